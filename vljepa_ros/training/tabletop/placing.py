"""Where on the table an object can stand: in view, clear of the others, plainly in its place."""

import numpy as np
from numpy.typing import NDArray

from vljepa_ros.training.tabletop import arm
from vljepa_ros.training.tabletop.camera import raised
from vljepa_ros.training.tabletop.layout import CLEAR_OF_FURNITURE, Layout, Thing

Array = NDArray[np.float64]

X_RANGE = (-0.52, 0.52)  # m
Y_RANGE = (-0.26, 0.06)  # m
PLACE_MARGIN = 0.03  # of the image's width, kept from the borders between places
TRIES = 60


def in_view(layout: Layout, thing: Thing, spot: Array) -> bool:
    """Whether an object whose foot is at `spot` (3,) is seen whole."""
    camera = layout.room.camera
    for side in (-1, 1):
        edge = spot + np.array([*(side * thing.half_width * camera.table_right()), 0.0])
        low = camera.project(edge - [0, thing.half_width, 0])
        high = camera.project(raised(edge, thing.height))
        if not (min(low[0], high[0]) > 0.02 and max(low[0], high[0]) < 0.98):
            return False
        if not (high[1] > 0.03 and low[1] < 0.97):
            return False
    return True


def clear_place(layout: Layout, spot: Array) -> bool:
    """Whether `spot` (3,) lies well inside one third of the image."""
    u = layout.room.camera.project(spot)[0]
    return min(abs(u - 1 / 3), abs(u - 2 / 3)) > PLACE_MARGIN


def apart(layout: Layout, one: Thing, spot: Array, two: Thing, other: Array) -> bool:
    """Whether two objects neither touch nor hide much of each other."""
    gap = float(np.hypot(*(spot[:2] - other[:2])))
    if gap < one.half_width + two.half_width + 0.045:
        return False
    camera = layout.room.camera
    u, _, depth = camera.project(spot)
    v, _, _ = camera.project(other)
    scale = 1 / (2 * np.tan(camera.fovy / 2) * depth * camera.aspect)
    return bool(abs(u - v) > 0.75 * scale * (one.half_width + two.half_width))


def free_of_furniture(layout: Layout, thing: Thing, spot: Array) -> bool:
    """Whether nothing that opens and no lamp is in the object's way."""
    for x, front in ((layout.cabinet, -0.05), (layout.box, 0.14), (layout.lamp, 0.16)):
        if (
            x is not None
            and abs(spot[0] - x) < CLEAR_OF_FURNITURE + thing.half_width - 0.05
            and spot[1] + thing.half_width > front
        ):
            return False
    return True


def reachable(layout: Layout, spot: Array, margin: float = 0.10) -> bool:
    """Whether the arm gets to a hand's breadth over `spot` (3,), and beside it by `margin` (m)."""
    if layout.arm is None:
        return False
    x, y = layout.arm_base
    out = np.hypot(abs(spot[0] - x) + margin, spot[1] - y)
    return bool(out < 0.98 * (arm.UPPER + arm.FORE) - 0.13)


def stands_well(layout: Layout, index: int, spot: Array, others: dict[int, Array]) -> bool:
    """All of the above for object `index` at `spot` (3,) among `others` (id -> (3,))."""
    thing = layout.things[index]
    return (
        in_view(layout, thing, spot)
        and clear_place(layout, spot)
        and free_of_furniture(layout, thing, spot)
        and all(
            apart(layout, thing, spot, layout.things[other], at) for other, at in others.items()
        )
    )


def free_spot(
    layout: Layout, index: int, others: dict[int, Array], rng: np.random.Generator
) -> Array | None:
    """A spot (3,) on the table for object `index`, or None where there seems to be no room."""
    for _ in range(TRIES):
        spot = np.array([rng.uniform(*X_RANGE), rng.uniform(*Y_RANGE), 0.0])
        if stands_well(layout, index, spot, others):
            return spot
    return None


def slide_end(
    layout: Layout,
    index: int,
    spot: Array,
    sign: int,
    others: dict[int, Array],
    rng: np.random.Generator,
) -> Array | None:
    """Where object `index` ends that slides right (`sign` 1) or left (-1), or None."""
    along = np.array([*layout.room.camera.table_right(), 0.0]) * sign
    thing = layout.things[index]
    for _ in range(8):
        way = rng.uniform(0.18, 0.36)
        end = spot + way * along
        path = [spot + part * way * along for part in (0.25, 0.5, 0.75)]
        passes = all(
            np.hypot(*(point[:2] - at[:2])) > thing.half_width + layout.things[o].half_width
            for point in path
            for o, at in others.items()
        )
        inside = X_RANGE[0] < end[0] < X_RANGE[1] and Y_RANGE[0] < end[1] < Y_RANGE[1] + 0.05
        if passes and inside and stands_well(layout, index, end, others):
            return end
    return None
