"""What a room looks like and where its furniture and objects are, drawn at random."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vljepa_ros.training.phrases import COLORS, SHAPES
from vljepa_ros.training.tabletop import palette
from vljepa_ros.training.tabletop.camera import Camera

Array = NDArray[np.float64]
Rgb = tuple[float, float, float]

BACK_SLOTS = (-0.46, -0.16, 0.16, 0.46)  # m, x of what stands at the back of the table
BACK_Y = 0.30  # m
ARM_Y = 0.50  # m
CLEAR_OF_FURNITURE = 0.20  # m, how far right and left of a piece of furniture nothing is put
# Table colors that people have; objects of a similar color get another table.
TABLES: tuple[Rgb, ...] = (
    (0.72, 0.55, 0.38),
    (0.55, 0.38, 0.24),
    (0.82, 0.72, 0.56),
    (0.62, 0.62, 0.60),
    (0.40, 0.42, 0.45),
    (0.78, 0.78, 0.74),
    (0.45, 0.55, 0.52),
    (0.52, 0.58, 0.66),
)
PAINTS: tuple[Rgb, ...] = (
    (0.62, 0.44, 0.28),
    (0.80, 0.66, 0.46),
    (0.45, 0.30, 0.20),
    (0.72, 0.72, 0.70),
    (0.50, 0.56, 0.60),
    (0.35, 0.42, 0.42),
    (0.85, 0.80, 0.70),
)
ARMS: tuple[tuple[Rgb, Rgb], ...] = (
    ((0.85, 0.85, 0.86), (0.25, 0.27, 0.30)),
    ((0.90, 0.50, 0.12), (0.20, 0.20, 0.22)),
    ((0.30, 0.32, 0.36), (0.75, 0.75, 0.78)),
    ((0.88, 0.88, 0.84), (0.15, 0.40, 0.65)),
    ((0.80, 0.72, 0.25), (0.22, 0.22, 0.24)),
)
TEXTURES = ("flat", "noise", "wood", "checker", "speckle")


@dataclass(frozen=True)
class Thing:
    """An object that is seen at some time of the episode."""

    name: str
    color: str
    rgb: Rgb
    scale: float
    upright: bool = False  # books only: standing, the cover towards the camera

    @property
    def half_width(self) -> float:
        """Half the footprint along x, m."""
        return palette.SHAPES[self.name].half_width * self.scale

    @property
    def height(self) -> float:
        """Height over what it stands on, m."""
        if self.upright:
            return 0.16 * self.scale
        return palette.SHAPES[self.name].height * self.scale

    @property
    def supports(self) -> bool:
        """Whether something can stand on it."""
        return palette.SHAPES[self.name].supports and not self.upright

    @property
    def grip(self) -> float:
        """Half the distance between the fingers that hold it, m."""
        return 0.03 * self.scale if self.upright else palette.SHAPES[self.name].grip * self.scale


@dataclass(frozen=True)
class Room:
    """Looks that do not change during an episode."""

    camera: Camera
    drift: tuple[float, float, float]  # rad, rad, Hz: how far and fast a held camera sways
    key_direction: tuple[float, float, float]
    key: float  # brightness of the main light
    ambient: float
    table: tuple[Rgb, str]  # color and kind of texture
    wall: tuple[Rgb, str]
    floor: tuple[Rgb, str]
    paint: tuple[Rgb, Rgb, Rgb]  # cabinet, box, lamp shade
    arm_colors: tuple[Rgb, Rgb]
    decor: tuple[bool, bool, bool]  # poster, mat under the objects, shelf
    noise: float  # standard deviation of the sensor's noise, grey levels of 255
    seed: int  # of the textures


@dataclass
class Layout:
    """A room with its furniture and objects; x in m where a piece stands, None where absent."""

    room: Room
    cabinet: float | None
    box: float | None
    lamp: float | None
    arm: float | None
    things: list[Thing] = field(default_factory=list)

    @property
    def arm_base(self) -> tuple[float, float]:
        """(x, y) of the arm's foot in m; of use only where there is an arm."""
        return (self.arm or 0.0, ARM_Y)

    @property
    def arm_home(self) -> Array:
        """(4,) tip and opening where the arm rests: back and high."""
        x, y = self.arm_base
        return np.array([x, y - 0.27, 0.40, 0.05])


def far(rgb: Rgb, others: list[Rgb]) -> bool:
    """Whether a color stands out against each of the others."""
    return all(np.linalg.norm(np.subtract(rgb, other)) > 0.33 for other in others)


def draw_things(rng: np.random.Generator, count: int) -> list[Thing]:
    """`count` objects, no two with the same name and color."""
    taken: list[tuple[str, str]] = []
    while len(taken) < count:
        # In another order of colors and shapes a seed would give other things.
        pair = (str(rng.choice(COLORS)), str(rng.choice(SHAPES)))
        if pair not in taken:
            taken.append(pair)
    return [
        Thing(
            name=name,
            color=color,
            rgb=palette.jittered(color, rng),
            scale=float(rng.uniform(1.05, 1.28)),
            upright=name == "book" and bool(rng.random() < 0.5),
        )
        for color, name in taken
    ]


def draw_camera(rng: np.random.Generator) -> Camera:
    """A camera in front of the table that sees all of it."""
    return Camera(
        azimuth=float(np.radians(rng.uniform(-20, 20))),
        elevation=float(np.radians(rng.uniform(22, 40))),
        distance=float(rng.uniform(1.18, 1.38)),
        fovy=float(np.radians(rng.uniform(42, 48))),
        target=(float(rng.uniform(-0.04, 0.04)), 0.08, float(rng.uniform(0.09, 0.14))),
    )


def draw_room(rng: np.random.Generator, things: list[Thing], with_lamp: bool) -> Room:
    """Light, textures and camera; the table's color stands out against the objects."""
    rgbs = [thing.rgb for thing in things]
    tables = [rgb for rgb in TABLES if far(rgb, rgbs)] or list(TABLES)
    # A lamp shows only in a room that is not bright already.
    dim = rng.uniform(0.62, 0.85) if with_lamp else rng.uniform(0.95, 1.25)

    def tint(rgb: Rgb) -> Rgb:
        red, green, blue = np.clip(np.array(rgb) * rng.uniform(0.88, 1.1, 3), 0, 1)
        return (float(red), float(green), float(blue))

    def pick(rgbs: tuple[Rgb, ...] | list[Rgb]) -> Rgb:
        return tint(rgbs[rng.integers(len(rgbs))])

    side = rng.uniform(-0.9, 0.9)
    wall = pick([(0.80, 0.78, 0.72), (0.62, 0.68, 0.74), (0.55, 0.60, 0.52), (0.74, 0.66, 0.60)])
    held = rng.random() < 0.3
    return Room(
        camera=draw_camera(rng),
        drift=tuple(rng.uniform([0.004, 0.003, 0.1], [0.015, 0.01, 0.25])) if held else (0, 0, 0),
        key_direction=(float(side), float(rng.uniform(0.1, 0.6)), -1.0),
        key=float(dim * rng.uniform(0.62, 0.8)),
        ambient=float(dim * rng.uniform(0.36, 0.48)),
        table=(pick(tables), str(rng.choice(TEXTURES))),
        wall=(wall, str(rng.choice(TEXTURES))),
        floor=(pick(TABLES), str(rng.choice(TEXTURES))),
        paint=(pick(PAINTS), pick(PAINTS), pick(PAINTS)),
        arm_colors=ARMS[rng.integers(len(ARMS))],
        decor=(bool(rng.random() < 0.4), bool(rng.random() < 0.25), bool(rng.random() < 0.25)),
        noise=float(rng.uniform(0, 3.5)),
        seed=int(rng.integers(2**31)),
    )


def draw_layout(rng: np.random.Generator, count: int) -> Layout:
    """A room with `count` objects that can appear and a random choice of furniture."""
    things = draw_things(rng, count)
    slots = rng.permutation(4)
    outer = [BACK_SLOTS[slot] for slot in slots if slot in (0, 3)]
    inner = [BACK_SLOTS[slot] for slot in slots if slot in (1, 2)]
    cabinet = outer.pop() if rng.random() < 0.5 else None
    box = outer.pop() if rng.random() < 0.45 else None
    arm = inner.pop() if rng.random() < 0.7 else None
    places = outer + inner
    lamp = places[rng.integers(len(places))] if places and rng.random() < 0.5 else None
    room = draw_room(rng, things, lamp is not None)
    return Layout(room=room, cabinet=cabinet, box=box, lamp=lamp, arm=arm, things=things)
