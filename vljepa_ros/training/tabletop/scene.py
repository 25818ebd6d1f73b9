"""The MuJoCo model of one room: table, walls, light, furniture and objects."""

import cv2
import mujoco
import numpy as np
from numpy.typing import NDArray

from vljepa_ros.training.tabletop import furniture
from vljepa_ros.training.tabletop.layout import Layout, Rgb, Room
from vljepa_ros.training.tabletop.shapes import box, rgba, thing_body

TEXTURE_SIZE = 256  # px


def texture(color: Rgb, kind: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """(256, 256, 3) uint8 RGB pattern around `color`: flat, noise, wood, checker or speckle."""
    size = TEXTURE_SIZE
    y, x = np.mgrid[0:size, 0:size] / size
    if kind == "noise":
        rough = cv2.resize(rng.normal(size=(16, 16)), (size, size), interpolation=cv2.INTER_CUBIC)
        pattern = 0.07 * rough + 0.03 * rng.normal(size=(size, size))
    elif kind == "wood":
        wave = cv2.resize(rng.normal(size=(4, 9)), (size, size), interpolation=cv2.INTER_CUBIC)
        planks = np.floor(y * 5)
        grain = np.sin(2 * np.pi * (y * 24 + 0.5 * wave + x * 1.5 + planks * 0.37))
        pattern = 0.06 * grain + 0.03 * wave - 0.18 * ((y * 5 - planks) < 0.025)
    elif kind == "checker":
        count = int(rng.integers(3, 8))
        pattern = 0.10 * (((np.floor(x * count) + np.floor(y * count)) % 2) - 0.5)
    elif kind == "speckle":
        pattern = -0.25 * (rng.random((size, size)) < 0.03) + 0.02 * rng.normal(size=(size, size))
    else:
        pattern = np.zeros((size, size))
    image = np.array(color) * (1 + pattern[..., None])
    return (np.clip(image, 0, 1) * 255).astype(np.uint8)


def _png(rgb: NDArray[np.uint8]) -> bytes:
    done, data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    if not done:
        raise RuntimeError("OpenCV cannot write a PNG")
    return data.tobytes()


def _decor(room: Room, rng: np.random.Generator) -> str:
    poster, mat, shelf = room.decor
    xml = ""
    if poster:
        x = float(rng.uniform(-0.7, 0.7))
        xml += box((0.22, 0.004, 0.16), (x, 1.035, 0.55), 'rgba="0.25 0.22 0.2 1"')
        xml += box((0.20, 0.004, 0.14), (x, 1.030, 0.55), rgba((0.75, 0.76, 0.70)))
    if mat:
        xml += box((0.55, 0.22, 0.001), (0, -0.10, 0.0005), rgba(room.table[0], 0.78))
    if shelf:
        x = float(rng.uniform(-0.8, 0.8))
        xml += box((0.35, 0.09, 0.012), (x, 0.95, 0.62), rgba(room.paint[0], 0.8))
        xml += box((0.10, 0.05, 0.06), (x + 0.1, 0.95, 0.70), rgba(room.paint[1], 0.7))
    return xml


def build(layout: Layout, width: int, height: int) -> mujoco.MjModel:
    """The compiled model of `layout`, for images of up to `width` x `height` px.

    Bodies obj0, obj1, ... are mocap; joints come in the order drawer, lid, arm, where present.
    """
    room = layout.room
    rng = np.random.default_rng(room.seed)
    assets = {
        f"{name}.png": _png(texture(color, kind, rng))
        for name, (color, kind) in (
            ("table", room.table),
            ("wall", room.wall),
            ("floor", room.floor),
        )
    }
    asset_xml = "".join(
        f'<texture name="{name}" type="2d" file="{name}.png"/>'
        f'<material name="{name}" texture="{name}" texrepeat="{repeat} {repeat}" '
        'texuniform="true" specular="0.15" shininess="0.2"/>'
        for name, repeat in (("table", 1.4), ("wall", 0.7), ("floor", 0.6))
    )
    bodies = ""
    for index, thing in enumerate(layout.things):
        asset, body = thing_body(index, thing)
        asset_xml += asset
        bodies += body
    if layout.cabinet is not None:
        bodies += furniture.cabinet(layout.cabinet, room.paint[0])
    if layout.box is not None:
        bodies += furniture.lidded_box(layout.box, room.paint[1])
    if layout.arm is not None:
        bodies += furniture.robot_arm(layout)
    if layout.lamp is not None:
        asset, body = furniture.lamp(layout.lamp, room.paint[2])
        asset_xml += asset
        bodies += body
    direction = " ".join(f"{value:.3f}" for value in room.key_direction)
    start = " ".join(f"{-2.0 * value:.3f}" for value in room.key_direction)
    xml = f"""
<mujoco>
  <compiler angle="degree" boundmass="0.01" boundinertia="0.0001"/>
  <visual>
    <global offwidth="{width}" offheight="{height}" fovy="{np.degrees(room.camera.fovy):.3f}"/>
    <quality shadowsize="768" offsamples="0" numquads="3" numslices="24"/>
    <headlight ambient="{room.ambient:.3f} {room.ambient:.3f} {room.ambient:.3f}"
      diffuse="0.12 0.12 0.12" specular="0 0 0"/>
    <map znear="0.05" zfar="20" shadowclip="1.2"/>
  </visual>
  <default><geom contype="0" conaffinity="0"/></default>
  <asset><material name="gloss" specular="0.4" shininess="0.5"/>{asset_xml}</asset>
  <worldbody>
    <light name="key" type="directional" pos="{start}" dir="{direction}" castshadow="true"
      diffuse="{room.key:.3f} {room.key:.3f} {room.key:.3f}" specular="0.25 0.25 0.25"/>
    <camera name="view" pos="0 -1.3 0.8" mode="fixed"/>
    <geom type="box" size="0.85 0.55 0.02" pos="0 0.15 -0.021" material="table"/>
    <geom type="plane" size="0.85 0.55 0.07" pos="0 0.15 0" material="table"/>
    <geom type="plane" size="4 4 0.1" pos="0 0 -0.7" material="floor"/>
    <geom type="box" size="4 0.02 2" pos="0 1.06 1.0" material="wall"/>
    {_decor(room, rng)}
    {bodies}
  </worldbody>
</mujoco>"""
    return mujoco.MjModel.from_xml_string(xml, assets)
