"""Croissant, the JSON-LD description of a data set, with its fields of responsible AI, for the Hugging Face form.

It never states what the workspace does not know: who took the photographs, when, and of whom.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ferclean
from ferclean.exports.card import licence_warning
from ferclean.exports.content import DECIDED_TEST, Content, split_order
from ferclean.exports.provenance import LIMITS, Provenance, agreement_lines

FILE = "croissant.json"
"""Where it lies in the folder."""

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The vocabulary of Croissant 1.0, as its specification lists it."""

_TYPES = {"string": "sc:Text", "bool": "sc:Boolean", "float32": "sc:Float", "int64": "sc:Integer"}


def write_croissant(content: Content, path: Path, columns: Any, about: Mapping[str, str], origin: Provenance) -> None:
    """Write the description of an exported folder of data/<split>-*.parquet.

    `columns` are the `datasets.Features` of the files, `about` what each column means.
    """
    text = json.dumps(_described(content, columns, about, origin), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def _described(content: Content, columns: Any, about: Mapping[str, str], origin: Provenance) -> dict[str, Any]:
    dataset, made, card = content.dataset, content.release, content.dataset.card
    warning = licence_warning(content)
    known = {
        "url": card.get("homepage"),
        "citeAs": card.get("citation"),
        "datePublished": made.created_at if made else None,
    }
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": f"{dataset.name}-{content.name}",
        "description": f"Facial-expression images of {card.get('title') or dataset.name} with curated labels, release "
        f"{content.name}, written by ferclean {ferclean.__version__}." + (f" It {warning}." if warning else ""),
        "license": dataset.licence,
        "version": made.config.get("version", "1.0.0") if made else "1.0.0",
        "keywords": ["facial expression recognition", "label noise"],
        **{name: value for name, value in known.items() if value},
        **_responsible(content, origin),
        "distribution": [
            {
                "@type": "cr:FileSet",
                "@id": "files",
                "name": "files",
                "description": "The rows, several files per split, pictures inside.",
                "encodingFormat": "application/x-parquet",
                "includes": "data/*.parquet",
            },
            *([] if content.decided is None else [_decided_files(content)]),
        ],
        "recordSet": [
            _classes(content), _splits(content), _rows(columns, about, _whose(content)),
            *([] if content.decided is None else [_rows(columns, about, _whose(content), name=DECIDED_TEST)]),
        ],
    }  # fmt: skip


def _decided_files(content: Content) -> dict[str, Any]:
    """The files of the second configuration: those of the first but for the test split's."""
    names = sorted(set(content.rows["split"]) - {"test"}, key=split_order)
    return {
        "@type": "cr:FileSet",
        "@id": f"{DECIDED_TEST}_files",
        "name": f"{DECIDED_TEST}_files",
        "description": "The rows where the test split, too, is as people decided.",
        "encodingFormat": "application/x-parquet",
        "includes": [*(f"data/{name}-*.parquet" for name in names), f"{DECIDED_TEST}/*.parquet"],
    }


def _classes(content: Content) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "classes",
        "name": "classes",
        "description": "The expressions, in the order of every soft label.",
        "dataType": "sc:Enumeration",
        "key": {"@id": "classes/number"},
        "field": [
            {"@type": "cr:Field", "@id": "classes/number", "name": "number", "dataType": "sc:Integer"},
            {"@type": "cr:Field", "@id": "classes/name", "name": "name", "dataType": "sc:Text"},
        ],
        "data": [
            {"classes/number": number, "classes/name": name} for number, name in enumerate(content.dataset.classes)
        ],
    }


def _splits(content: Content) -> dict[str, Any]:
    names = sorted(content.rows["split"].unique(), key=split_order)
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "description": f"The {_whose(content)} splits.",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [{"@type": "cr:Field", "@id": "splits/name", "name": "name", "dataType": "sc:Text"}],
        "data": [{"splits/name": name} for name in names],
    }


def _rows(columns: Any, about: Mapping[str, str], whose: str, *, name: str = "rows") -> dict[str, Any]:
    place = {"fileSet": {"@id": "files" if name == "rows" else f"{name}_files"}}
    split = {
        "@type": "cr:Field",
        "@id": f"{name}/split",
        "name": "split",
        "description": f"The {whose} split.",
        "dataType": "sc:Text",
        "references": {"field": {"@id": "splits/name"}},
        "source": {
            **place,
            "extract": {"fileProperty": "fullpath"},
            # whole on the split's name alone: mlcroissant applies it to its own result again
            "transform": {"regex": r"^(?:.*/)?(\w+?)(?:-\d+-of-\d+\.parquet)?$"},
        },
    }
    fields = [_field(name, column, kind, about[column], place) for column, kind in columns.items()]
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "field": [split, *fields]}


def _field(rows: str, name: str, kind: Any, text: str, place: Mapping[str, Any]) -> dict[str, Any]:
    source: dict[str, Any] = {**place, "extract": {"column": name}}
    made = {"@type": "cr:Field", "@id": f"{rows}/{name}", "name": name, "description": text, "source": source}
    if hasattr(kind, "decode_example"):  # a picture, stored as its file's bytes and name
        source["transform"] = {"jsonPath": "bytes"}
        return made | {"dataType": "sc:ImageObject"}
    if hasattr(kind, "names"):
        return made | {"dataType": "sc:Integer", "references": {"field": {"@id": "classes/number"}}}
    several = getattr(kind, "feature", None)
    return made | {"dataType": _TYPES[(several or kind).dtype], **({"repeated": True} if several is not None else {})}


def _responsible(content: Content, origin: Provenance) -> dict[str, Any]:
    """The fields of the RAI vocabulary, each with what the workspace knows; those that it knows nothing of are left
    out."""
    made, card = content.release, content.dataset.card
    listed = [f"{run.kind} {run.method}, run {run.run_id}" for run in origin.runs]
    voters = card.get("annotators")
    found = {
        "rai:dataCollection": "The images and given labels are those of the source, unaltered; how they were collected "
        "is what its publication says." + (f" {card['citation']}" if card.get("citation") else ""),
        "rai:dataCollectionMissingData": f"{len(content.table) - len(content.rows)} images of the source are left out: "
        "unreadable, without a usable face, or by decision.",
        "rai:dataPreprocessingProtocol": ["The images are the source's files, byte for byte."],
        "rai:dataManipulationProtocol": _policy(content),
        "rai:dataAnnotationProtocol": [
            "People see a face with its given label and, unless they work blind, a suggestion, and keep the label, "
            "change it, call the face ambiguous or leave it out.",
            *(f"{one['label'] or 'All expressions'}: {one['text']}" for one in _guidelines(content)),
        ],
        "rai:dataAnnotationPlatform": [f"ferclean {ferclean.__version__}"],
        "rai:dataAnnotationAnalysis": agreement_lines(origin),
        "rai:annotationsPerItem": f"about {voters} votes per image behind the given label" if voters else None,
        "rai:machineAnnotationTools": listed,
        "rai:dataUseCases": ["Training and measuring recognizers of facial expressions."],
        "rai:dataLimitations": list(LIMITS),
        "rai:dataBiases": [LIMITS[2]],
        "rai:dataSocialImpact": "A recognized expression is no ground for decisions about people.",
        "rai:personalSensitiveInformation": ["Every image shows a person's face."],
        "rai:dataReleaseMaintenancePlan": f"Release {made.name} is frozen; corrections come as another release."
        if made
        else None,
    }
    return {name: value for name, value in found.items() if value}


def _whose(content: Content) -> str:
    return "new" if content.release is not None and content.release.config.get("splits") else "published"


def _policy(content: Content) -> str:
    made = content.release
    if made is None:
        return "None: the labels are those that the source gave."
    decided = content.configuration == DECIDED_TEST
    test = (
        "the test split is changed by people's decisions only" if decided
        else "the test split is as published" if _whose(content) == "published" or made.config["splits"]["kept_test"]
        else "the test split is a new one, with the labels as given"
    )  # fmt: skip
    if content.decided is not None:
        test += f", and in the record set {DECIDED_TEST} as people decided"
    if made.policy == "auto":
        return (
            "People's decisions, and for images that nobody decided automatic corrections where another label has a "
            f"probability of at least {made.threshold}; {test}."
        )
    return f"People's decisions alone; nothing was changed by a model; {test}."


def _guidelines(content: Content) -> list[Mapping[str, Any]]:
    return list(content.release.config.get("guidelines", ())) if content.release else []
