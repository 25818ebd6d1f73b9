"""Draws composite clips: cut-outs with a soft shadow, over a background that may drift."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from vljepa_ros.training.clip_plan import MOST_WIDTH, Plan, Pose
from vljepa_ros.training.pictures import Cutout
from vljepa_ros.training.shards import FRAME_SIZE

CANVAS = 320  # pixels, side of the background before the camera looks at a part of it
# Heights of the things as a share of the image's, by how many things a clip has.
HEIGHTS = {1: (0.32, 0.55), 2: (0.28, 0.45), 3: (0.26, 0.38)}
# Frames of other shapes are squeezed to a square before the model sees them.
SQUEEZES = (1.0, 1.0, 0.75, 0.5625)
NOISE_STRENGTH = 3.0  # of 255, at most

Float = NDArray[np.float32]
Bytes = NDArray[np.uint8]

_NOISE: Float = (
    np.random.default_rng(0).normal(0, 1, (FRAME_SIZE * 2, FRAME_SIZE * 2, 1)).astype(np.float32)
)


@dataclass
class Sprite:
    """A thing ready to be drawn: color times opacity, and what it covers (1: all); 0..255."""

    layers: Float  # (H, W, 4)


@dataclass
class CameraPath:
    """Where the camera looks in each frame: offset (F, 2) as a share of the frame; zoom (F,)."""

    offset: NDArray[np.float64]
    zoom: NDArray[np.float64]


def draw_clip(
    rng: Generator, plan: Plan, cutouts: Sequence[Cutout], backgrounds: Sequence[Bytes]
) -> list[Bytes]:
    """Frames of `plan`, each (224, 224, 3) uint8 RGB; `cutouts` in the order of its things."""
    squeeze = float(rng.choice(SQUEEZES))
    canvas = make_background(rng, backgrounds, squeeze)
    sprites = [make_sprite(rng, cutout, len(cutouts), squeeze) for cutout in cutouts]
    camera = make_camera(rng, plan.frames)
    strength = rng.uniform(0, NOISE_STRENGTH)
    frames = []
    for number in range(plan.frames):
        frame = look(canvas, camera.offset[number], camera.zoom[number])
        for sprite, pose in zip(sprites, plan.poses, strict=True):
            paste(frame, sprite, pose, camera, number)
        x, y = rng.integers(0, FRAME_SIZE, 2)
        frame += strength * _NOISE[y : y + FRAME_SIZE, x : x + FRAME_SIZE]
        frames.append(np.clip(frame + 0.5, 0, 255).astype(np.uint8))
    return frames


def make_camera(rng: Generator, frames: int) -> CameraPath:
    """A slow pan and zoom in half of the clips."""
    if rng.random() < 0.5:
        return CameraPath(np.zeros((frames, 2)), np.ones(frames))
    part = np.linspace(0, 1, frames)
    offset = np.outer(part, rng.uniform(-0.12, 0.12, 2))
    return CameraPath(offset, 1 + part * rng.uniform(0, 0.15))


def make_background(rng: Generator, pictures: Sequence[Bytes], squeeze: float) -> Float:
    """A part of a picture, or now and then a plain color or a gradient; (320, 320, 3)."""
    if not pictures or rng.random() < 0.2:
        corners = rng.uniform(10, 245, (2, 2, 3))
        if rng.random() < 0.4:
            corners[:] = corners[0, 0]
        return np.asarray(cv2.resize(corners, (CANVAS, CANVAS)), np.float32)
    picture = pictures[int(rng.integers(len(pictures)))]
    height, width = picture.shape[:2]
    tall = int(min(height, width * squeeze) * rng.uniform(0.4, 1))
    wide = int(tall / squeeze)
    top, left = (
        int(rng.integers(height - tall + 1)),
        int(rng.integers(width - wide + 1)),
    )
    part = cv2.resize(
        picture[top : top + tall, left : left + wide],
        (CANVAS, CANVAS),
        interpolation=cv2.INTER_AREA,
    )
    if rng.random() < 0.5:
        part = part[:, ::-1]
    if rng.random() < 0.25:  # no fact tells the background's colors, so any will do
        part = part[..., rng.permutation(3)]
    return _jitter(rng, _blur(part, rng.uniform(0.3, 3)))


def make_sprite(rng: Generator, cutout: Cutout, things: int, squeeze: float) -> Sprite:
    """A cut-out scaled, turned a little, lit a little differently, with its shadow."""
    height, width = cutout.rgba.shape[:2]
    scale = FRAME_SIZE * rng.uniform(*HEIGHTS[things]) / height
    scale = min(scale, FRAME_SIZE * MOST_WIDTH[things] / (width * squeeze))
    size = (max(8, round(width * scale * squeeze)), max(8, round(height * scale)))
    shrinking = scale < 1
    rgba = cv2.resize(
        cutout.rgba,
        size,
        interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC,
    )
    if rng.random() < 0.5:
        rgba = rgba[:, ::-1]
    rgb = _jitter(rng, rgba[..., :3].astype(np.float32))
    alpha = rgba[..., 3:].astype(np.float32)
    turned = _turn(np.concatenate([rgb * (alpha / 255), alpha], axis=2), rng.uniform(-12, 12))
    return Sprite(_add_shadow(rng, turned))


def look(canvas: Float, offset: NDArray[np.float64], zoom: float) -> Float:
    """The part of a background that a frame shows: (224, 224, 3) float32."""
    scale = CANVAS / FRAME_SIZE / zoom / 1.3  # 1.3 leaves room to pan
    middle = CANVAS / 2 + offset * CANVAS / 1.3
    shift = middle - scale * FRAME_SIZE / 2
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(
        canvas, matrix, (FRAME_SIZE, FRAME_SIZE), flags=flags, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(seen, np.float32)


def paste(frame: Float, sprite: Sprite, pose: Pose, camera: CameraPath, number: int) -> None:
    """Draw `sprite` on `frame` (224, 224, 3) in place, where frame `number` has it."""
    opacity = float(pose.opacity[number])
    if opacity == 0:
        return
    # The camera follows the things, so that they stay at their places: a quarter of its way.
    zoom = 1 + (camera.zoom[number] - 1) / 4
    layers = sprite.layers if zoom == 1 else cv2.resize(sprite.layers, None, fx=zoom, fy=zoom)
    height, width = layers.shape[:2]
    x, y = np.array([pose.x[number], pose.y[number]]) - camera.offset[number] / 4
    left, top = round(x * FRAME_SIZE - width / 2), round(y * FRAME_SIZE - height / 2)
    x0, y0, x1, y1 = (
        max(left, 0),
        max(top, 0),
        min(left + width, FRAME_SIZE),
        min(top + height, FRAME_SIZE),
    )
    if x0 >= x1 or y0 >= y1:
        return
    part = layers[y0 - top : y1 - top, x0 - left : x1 - left] * np.float32(opacity)
    frame[y0:y1, x0:x1] *= 1 - part[..., 3:] / 255
    frame[y0:y1, x0:x1] += part[..., :3]


def _jitter(rng: Generator, rgb: Float) -> Float:
    """Other light: brightness, contrast and a slight tint."""
    gain = rng.uniform(0.85, 1.15) * rng.uniform(0.95, 1.05, 3)
    lit = (rgb - 128) * rng.uniform(0.85, 1.15) + 128
    return np.clip(lit * gain, 0, 255).astype(np.float32)


def _turn(layers: Float, degrees: float) -> Float:
    height, width = layers.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    size = (int(width * cos + height * sin) + 1, int(width * sin + height * cos) + 1)
    matrix[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    return np.asarray(cv2.warpAffine(layers, matrix, size), np.float32)


def _add_shadow(rng: Generator, layers: Float) -> Float:
    """Room around the thing, and a soft dark copy of its outline below and beside it."""
    room = 10
    layers = np.pad(layers, ((room, room), (room, room), (0, 0)))
    alpha = layers[..., 3]
    shift = (int(rng.integers(2, 6)), int(rng.integers(-4, 5)))
    shadow = np.roll(alpha, shift, axis=(0, 1)) * rng.uniform(0.1, 0.4)
    shadow = _blur(shadow, rng.uniform(1.5, 3))
    # Over the shadow lies the thing: covered = 1 - (1 - alpha)(1 - shadow).
    layers[..., 3] = 255 - (255 - alpha) * (255 - shadow) / 255
    return layers.astype(np.float32)


def _blur(image: NDArray[Any], sigma: float) -> Float:
    return np.asarray(cv2.GaussianBlur(image.astype(np.float32), (0, 0), sigma), np.float32)
