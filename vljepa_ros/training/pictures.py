"""Which cut-outs and backgrounds there are, what they show, and in which split each one is.

A split is made by source picture: a picture is in one split only, with its mirror image.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vljepa_ros.training.captions import name_stamp
from vljepa_ros.training.shards import SPLITS
from vljepa_ros.training.sources import SourceError, fetch_source

SPLIT_BEGINS = (70, 80)  # percent of the pictures where val and test begin

# In a drawing most neighbouring pixels are equal, in a photograph few: measured on the stamps,
# 0.65 parts the two but for a handful that are named in captions.SKIPPED.
MAX_FLATNESS = 0.65
MIN_CUTOUT_SIDE = 40  # pixels; smaller ones are blots when enlarged
MAX_CUTOUT_SIDE = 256  # pixels; larger ones are shrunk on reading, no frame shows more
BACKGROUND_HEIGHT = 720  # pixels

# Recolored copies of one photograph: they follow the first.
TWINS = {"apple_red": "apple_green"}

# Photographs without anything large in front, and some abstract pictures for variety.
BACKGROUNDS = {
    "gnome": ("gnome/wood-*", "gnome/adwaita-*", "gnome/grid-*", "gnome/truchet-*"),
    "mate": (
        *(f"mate/nature/{name}.*" for name in ("Aqua", "Blinds", "Dune", "GreenMeadow")),
        *(f"mate/nature/{name}.*" for name in ("RainDrops", "Storm", "Wood")),
        *("mate/abstract/Elephants.*", "mate/desktop/Stripes.*"),
    ),
    "plasma": tuple(
        f"{name}/contents/images/*"
        for name in (
            *(
                "Autumn",
                "BytheWater",
                "ColdRipple",
                "DarkestHour",
                "EveningGlow",
                "FallenLeaf",
            ),
            *(
                "Grey",
                "Kite",
                "OneStandsOut",
                "Path",
                "Volna",
                "summer_1am",
                "Shell",
                "Opal",
            ),
        )
    ),
}


@dataclass(frozen=True, eq=False)
class Cutout:
    """A thing cut out of its photograph."""

    noun: str  # lower-case, without article
    color: str | None
    rgba: NDArray[np.uint8]  # (H, W, 4), cropped to what is not transparent


def split_of(stem: str) -> str:
    """Split of the picture whose file name without suffix is `stem`; the same everywhere."""
    original = stem.removesuffix("_mirror")
    digest = hashlib.sha256(TWINS.get(original, original).encode()).digest()
    percent = int.from_bytes(digest[:4], "big") % 100
    return SPLITS[sum(percent >= begin for begin in SPLIT_BEGINS)]


def flatness(rgba: NDArray[np.uint8]) -> float:
    """Share of opaque pixels that equal their right neighbour, of (H, W, 4): 1 for a drawing."""
    opaque = np.minimum(rgba[:, 1:, 3], rgba[:, :-1, 3]) > 250
    if not opaque.any():
        return 1.0
    rgb = rgba[..., :3].astype(np.int16)
    equal = np.abs(rgb[:, 1:] - rgb[:, :-1]).max(axis=2) <= 1
    return float(equal[opaque].mean())


def load_cutouts(split: str, cache: Path) -> list[Cutout]:
    """Cut-outs of `split`, in order of their file names; raises SourceError where none is."""
    root = fetch_source("stamps", cache)
    found = []
    for path in sorted(root.rglob("*.png")):
        if split_of(path.stem) == split and not path.with_suffix(".svg").exists():
            cutout = read_cutout(root, path)
            if cutout is not None:
                found.append(cutout)
    if not found:
        raise SourceError(f"no cut-outs for {split} in {root}; delete that folder and try again")
    return found


def read_cutout(root: Path, path: Path) -> Cutout | None:
    """The stamp at `path` below `root`; None for a drawing, a nameless or a tiny one."""
    stamp = path.relative_to(root).with_suffix("")
    text_file = path.with_name(path.stem.removesuffix("_mirror") + ".txt")
    name = name_stamp(stamp.as_posix(), text_file)
    bgra = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if name is not None else None
    if name is None or bgra is None or bgra.ndim != 3 or bgra.shape[2] != 4:
        return None
    rgba = np.asarray(cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGBA), np.uint8)
    x, y, width, height = cv2.boundingRect((rgba[..., 3] > 8).astype(np.uint8))
    rgba = rgba[y : y + height, x : x + width]
    if max(width, height) < MIN_CUTOUT_SIDE or flatness(rgba) > MAX_FLATNESS:
        return None
    return Cutout(name.noun, name.color, _shrink(rgba, MAX_CUTOUT_SIDE / max(width, height)))


def load_backgrounds(split: str, cache: Path) -> list[NDArray[np.uint8]]:
    """Backgrounds of `split`, each (H, W, 3) uint8 RGB with H at most BACKGROUND_HEIGHT."""
    found = {}
    for source, patterns in BACKGROUNDS.items():
        root = fetch_source(source, cache)
        paths = [path for pattern in patterns for path in root.glob(pattern)]
        for path in paths:
            group = background_group(source, path.relative_to(root))
            if split_of(group) == split:
                found[f"{source}/{path.relative_to(root).as_posix()}"] = path
    pictures = []
    for _, path in sorted(found.items()):
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if bgr is not None:
            rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).astype(np.uint8)
            pictures.append(_shrink(rgb, BACKGROUND_HEIGHT / rgb.shape[0]))
    return pictures


def background_group(source: str, path: Path) -> str:
    """What tells a background's source picture apart: all sizes, light and dark are one."""
    stem = path.parts[0] if "contents" in path.parts else path.stem
    return f"{source}/{re.sub('-[dl]$', '', stem)}"


def _shrink(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    if scale >= 1:
        return image
    size = (
        max(1, round(image.shape[1] * scale)),
        max(1, round(image.shape[0] * scale)),
    )
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
