"""The pinhole camera that looks at the table; used to plan what is seen, and to draw it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# The image is shared out among these from left to right.
PLACES = ("left", "middle", "right")


def raised(point: Array, height: float) -> Array:
    """`point` (3,) moved up by `height` m."""
    return point + np.array([0.0, 0.0, height])


@dataclass(frozen=True)
class Camera:
    """Where the camera is and what it looks at."""

    azimuth: float  # rad, 0 looks along +y, positive stands further to the right
    elevation: float  # rad above the table
    distance: float  # m from the target
    fovy: float  # rad, vertical field of view
    target: tuple[float, float, float]  # m
    aspect: float = 4 / 3  # width over height

    def axes(self) -> tuple[Array, Array, Array, Array]:
        """Position (3,), then the unit vectors right, up and forward, each (3,)."""
        flat = np.cos(self.elevation)
        offset = np.array(
            [
                np.sin(self.azimuth) * flat,
                -np.cos(self.azimuth) * flat,
                np.sin(self.elevation),
            ]
        )
        right = np.array([np.cos(self.azimuth), np.sin(self.azimuth), 0.0])
        forward = -offset
        return (
            np.array(self.target) + self.distance * offset,
            right,
            np.cross(right, forward),
            forward,
        )

    def project(self, point: Array) -> tuple[float, float, float]:
        """(u, v) of a point (3,) with the image in [0, 1] x [0, 1], v down; and its depth in m."""
        position, right, up, forward = self.axes()
        ray = point - position
        depth = float(ray @ forward)
        scale = 1 / (np.tan(self.fovy / 2) * depth)
        return (
            float(0.5 + 0.5 * scale * (ray @ right) / self.aspect),
            float(0.5 - 0.5 * scale * (ray @ up)),
            depth,
        )

    def place(self, point: Array) -> str:
        """Which third of the image a point (3,) is seen in."""
        return PLACES[int(np.clip(self.project(point)[0] * 3, 0, 2))]

    def table_right(self) -> Array:
        """(2,) unit vector on the table that runs to the right in the image."""
        return np.array([np.cos(self.azimuth), np.sin(self.azimuth)])
