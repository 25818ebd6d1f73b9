"""Draws a planned episode with MuJoCo, off screen."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

# Read by mujoco when it is imported; EGL needs no screen and works in software too.
os.environ.setdefault("MUJOCO_GL", "egl")

import mujoco

from vljepa_ros.training.tabletop import arm
from vljepa_ros.training.tabletop.camera import Camera
from vljepa_ros.training.tabletop.furniture import DRAWER_TRAVEL, LID_ANGLE
from vljepa_ros.training.tabletop.layout import Layout
from vljepa_ros.training.tabletop.scene import build
from vljepa_ros.training.tabletop.timeline import Timeline

Image = NDArray[np.uint8]
Array = NDArray[np.float64]
HIDDEN = (0.0, 0.0, -5.0)  # m, below the floor
_MOST_SHAPES = 1000  # of a scene


def swayed(layout: Layout, time: float) -> Camera:
    """The room's camera at `time` (s), as a hand holds it where the room says so."""
    yaw, pitch, speed = layout.room.drift
    phase = 2 * np.pi * speed * time
    camera = layout.room.camera
    return replace(
        camera,
        azimuth=camera.azimuth + yaw * float(np.sin(phase)),
        elevation=camera.elevation + pitch * float(np.sin(1.7 * phase + 1)),
    )


@cache
def _graphics() -> mujoco.GLContext:
    """This process's graphics; to begin anew for each room takes as long as to draw a moment."""
    return mujoco.GLContext(1, 1)  # what is drawn off screen has buffers of its own


class Stage:
    """One room, ready to be drawn again and again; close it after use."""

    def __init__(self, layout: Layout, width: int, height: int) -> None:
        self._layout = layout
        self._model = build(layout, width, height)
        self._data = mujoco.MjData(self._model)
        _graphics().make_current()
        self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_50.value)
        self._scene = mujoco.MjvScene(self._model, _MOST_SHAPES)
        self._view = mujoco.MjvCamera()
        self._view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._view.fixedcamid = self._model.camera("view").id
        self._size = width, height
        self._drawn: tuple[bytes, Image] | None = None

    def draw(self, state: Array, camera: Camera) -> Image:
        """(height, width, 3) uint8 RGB of `state` (see Timeline.at), without noise."""
        key = state.tobytes() + repr(camera).encode()
        # Most frames show nothing new, and drawing is what takes the time.
        if self._drawn is None or self._drawn[0] != key:
            self._pose(state)
            self._aim(camera)
            mujoco.mj_kinematics(self._model, self._data)
            mujoco.mj_camlight(self._model, self._data)
            self._drawn = (key, self._render())
        return self._drawn[1]

    def close(self) -> None:
        """Free the graphics memory."""
        self._context.free()

    def _render(self) -> Image:
        options, kinds = mujoco.MjvOption(), mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(
            self._model, self._data, options, None, self._view, kinds, self._scene
        )
        width, height = self._size
        image = np.empty((height, width, 3), np.uint8)
        whole = mujoco.MjrRect(0, 0, width, height)
        # Another room may have been drawn meanwhile.
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        mujoco.mjr_render(whole, self._scene, self._context)
        mujoco.mjr_readPixels(image, None, whole, self._context)
        return np.flipud(image)  # OpenGL's first row is the lowest

    def _pose(self, state: Array) -> None:
        layout, model, data = self._layout, self._model, self._data
        count = len(layout.things)
        for index in range(count):
            x, y, z, yaw, seen = state[5 * index : 5 * index + 5]
            data.mocap_pos[index] = (x, y, z) if seen > 0.5 else HIDDEN
            data.mocap_quat[index] = (np.cos(yaw / 2), 0, 0, np.sin(yaw / 2))
        x, y, z, opening, drawer, lid, lamp = state[5 * count :]
        joints: list[float] = []
        if layout.cabinet is not None:
            joints.append(drawer * DRAWER_TRAVEL)
        if layout.box is not None:
            joints.append(lid * LID_ANGLE)
        if layout.arm is not None:
            pose = arm.solve(layout.arm_base, np.array([x, y, z]), opening)
            joints.extend(pose.qpos())
        data.qpos[:] = joints
        if layout.lamp is not None:
            model.light("lamp").active[0] = lamp > 0.5
            model.material("shade").emission[0] = 0.9 if lamp > 0.5 else 0.0
            glow = (1.0, 0.93, 0.68) if lamp > 0.5 else np.multiply(layout.room.paint[2], 0.6)
            model.material("shade").rgba[:3] = glow

    def _aim(self, camera: Camera) -> None:
        position, right, up, forward = camera.axes()
        view = self._model.camera("view")
        view.pos[:] = position
        view.fovy[:] = np.degrees(camera.fovy)
        turn = np.stack([right, up, -forward], axis=1).ravel()
        mujoco.mju_mat2Quat(view.quat, turn)


def noisy(image: Image | Array, deviation: float, rng: np.random.Generator) -> Image:
    """`image` (H, W, 3) in [0, 255], H and W even, with a sensor's noise in grains of 2 x 2 px."""
    if deviation:
        height, width = image.shape[:2]
        grain = rng.normal(0, deviation, (height // 2, width // 2, 1))
        image = image + grain.repeat(2, 0).repeat(2, 1)
    return np.clip(image, 0, 255).astype(np.uint8)


def draw_episode(
    layout: Layout, timeline: Timeline, times: Sequence[float], width: int, height: int
) -> Iterator[Image]:
    """Yield (height, width, 3) uint8 RGB at each of `times` (s), with the sensor's noise."""
    rng = np.random.default_rng(layout.room.seed + 1)
    stage = Stage(layout, width, height)
    try:
        for time in times:
            image = stage.draw(timeline.at(time), swayed(layout, time))
            yield noisy(image, layout.room.noise, rng)
    finally:
        stage.close()
