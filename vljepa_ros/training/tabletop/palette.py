"""Names, colors and sizes of the things that lie on the table."""

import colorsys
from dataclasses import dataclass

import numpy as np

COLORS: dict[str, tuple[float, float, float]] = {
    "red": (0.80, 0.07, 0.07),
    "green": (0.10, 0.58, 0.14),
    "blue": (0.08, 0.22, 0.82),
    "yellow": (0.95, 0.84, 0.08),
    "orange": (0.96, 0.46, 0.04),
    "purple": (0.46, 0.12, 0.68),
    "pink": (0.97, 0.48, 0.70),
    "brown": (0.38, 0.20, 0.09),
    "white": (0.93, 0.93, 0.92),
    "black": (0.07, 0.07, 0.08),
}


@dataclass(frozen=True)
class Shape:
    """Size of one kind of object at scale 1; its origin is the middle of its underside."""

    half_width: float  # m, footprint along the table's x
    height: float  # m
    grip: float  # m, half the distance between the fingers that hold it
    supports: bool  # whether something can stand on it


SHAPES: dict[str, Shape] = {
    "mug": Shape(0.062, 0.130, 0.062, False),
    "ball": Shape(0.066, 0.132, 0.055, False),
    "cube": Shape(0.060, 0.120, 0.060, True),
    "can": Shape(0.048, 0.150, 0.048, True),
    "bottle": Shape(0.050, 0.260, 0.022, False),
    "book": Shape(0.105, 0.045, 0.105, True),
    "plate": Shape(0.120, 0.030, 0.012, True),
}


def jittered(color: str, rng: np.random.Generator) -> tuple[float, float, float]:
    """RGB in [0, 1] near a named color, near enough that the name stays right."""
    hue, saturation, value = colorsys.rgb_to_hsv(*COLORS[color])
    if color not in ("white", "black"):
        hue = (hue + rng.uniform(-0.012, 0.012)) % 1.0
        saturation = float(np.clip(saturation * rng.uniform(0.9, 1.05), 0, 1))
    value = float(np.clip(value * rng.uniform(0.9, 1.06), 0, 1))
    return colorsys.hsv_to_rgb(hue, saturation, value)
