"""Why a sample was judged as it was: a verdict keeps what a reason tells, and the sentence is made when it is read.

It computes nothing; `ferclean.evidence.verdict.reasons` says what there is to tell.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

WORDS = {
    "unreadable": "no readable face: blank or broken",
    "faceless": "perhaps no face: a face detector sees none, or it is unlike all other images",
    "votes": "{} of {} people say {}",
    "votes against": "{} of {} people say {}, {} {}",
    "given": "the recognizer gives the given label {} {} %",
    "other": "the recognizer gives {} {} %, the given label {} {} %",
    "given of several": "the recognizer gives the given label {0} {1} % ({2} of {3} recognizers prefer {0})",
    "other of several": "the recognizer gives {0} {1} %, the given label {2} {3} % ({4} of {5} recognizers prefer {0})",
    "torn": "torn between {} ({}%) and {} ({}%)",
    "nearest": "{} % of the nearest faces are labelled {}",
    "nearest against": "{} % of the nearest faces are labelled {}, {} % {}",
    "unlearned": "never learned in training",
    "unlearned in": "never learned in {} epochs",
    "copy labelled": "a copy of it is labelled {}",
    "judge given": "{}, an outside judge, gives the given label {} {} %",
    "judge unknown": "{}, an outside judge, gives {} {} % and does not know the given label",
    "judge other": "{}, an outside judge, gives {} {} %, the given label {} %",
    "copy": "a copy of {}",
    "leak": "a copy of {} in {}",
}
"""What can be told -> the sentence, in whose gaps stand names and whole numbers (percentages, counts).

A kind's gaps never change, since verdicts that were stored with them are read: other gaps are another kind.
"""

Reason = str | tuple[str | int, ...]
"""One of `WORDS` and what stands in its gaps; or a sentence that was said as it is."""


def packed(reason: Reason) -> str:
    """A reason as it is stored: a sentence as it is, others as a list in JSON.

    >>> packed(("nearest", 84, "fear"))
    '["nearest",84,"fear"]'
    """
    return reason if isinstance(reason, str) else _pack(reason)


def in_words(stored: Sequence[str]) -> list[str]:
    """The sentences that stored reasons stand for, in their order.

    An older ferclean stored sentences, and so is stored what was read elsewhere (why an image is broken). What has no
    words here, such as a kind that only a newer ferclean knows, is shown as it is stored.

    >>> in_words(['["nearest",84,"fear"]', "image: empty"])
    ['84 % of the nearest faces are labelled fear', 'image: empty']
    """
    return [_sentence(reason) if reason.startswith('["') else reason for reason in stored]


def _sentence(stored: str) -> str:
    try:
        what, *gaps = json.loads(stored)
        return WORDS[what].format(*gaps)
    except (json.JSONDecodeError, KeyError, IndexError):  # no JSON after all, an unknown kind, or gaps without filling
        return stored


_pack = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
