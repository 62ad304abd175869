"""How fast a recognizer trains on this machine: a few real steps on made-up images.

It keeps nothing, and says nothing about how well anything is recognised.
"""

from __future__ import annotations

import time

import numpy as np

from ferclean.recognition.profiles import get_profile
from ferclean.recognition.train import fit

STEPS = 6
CLASSES = 7


def images_per_second(method_name: str, *, profile: str = "quick", device: str = "auto", seed: int = 0) -> float:
    """Images of the training set per second of training with a profile's settings, first stage included.

    Two short trainings that differ only in their epochs are timed and subtracted, so that building the network does not
    count. Two views of an image are one image here.
    """
    chosen = get_profile(profile, methods=[method_name], seeds=1)
    rng = np.random.default_rng(seed)
    count = STEPS * chosen.batch_size
    images = rng.integers(0, 256, (count, chosen.channels, chosen.input_size, chosen.input_size), dtype=np.uint8)
    labels = np.arange(count) % CLASSES

    def seconds(epochs: int) -> float:
        config = get_profile(profile, methods=[method_name], epochs=epochs).train_config(seed=seed, device=device)
        start = time.perf_counter()
        fit(method_name, images, labels, num_classes=CLASSES, config=config)
        return time.perf_counter() - start

    seconds(1)  # the first steps of a process load and tune what the others reuse
    longer, shorter = seconds(3), seconds(1)
    # another process can make the short one the slower; the long one with all its overhead is then what is known
    return count * 2 / (longer - shorter) if longer > shorter else count * 3 / longer
