"""Image messages of any common encoding to RGB arrays.

cv_bridge does what it can where it is installed and imports; rosbags-image does the rest.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from vljepa_ros.errors import InputError


def _load_bridge() -> Any:
    """A CvBridge that was seen to work, or None."""
    try:
        from cv_bridge import CvBridge

        bridge = CvBridge()
        # Its compiled half is loaded at the first conversion and may be built for another NumPy.
        pixel = SimpleNamespace(
            encoding="bgr8", height=1, width=1, step=3, is_bigendian=0, data=bytes(3)
        )
        bridge.imgmsg_to_cv2(pixel, "rgb8")
    except Exception:
        # ImportError, AttributeError and SystemError have all been seen.
        return None
    return bridge


_bridge = _load_bridge()

# Bytes a pixel; for the planar formats of the luminance plane.
_BYTES = {
    **dict.fromkeys(("mono8", "8UC1", "nv12", "nv21"), 1),
    **{f"bayer_{order}8": 1 for order in ("rggb", "bggr", "gbrg", "grbg")},
    **{f"bayer_{order}16": 2 for order in ("rggb", "bggr", "gbrg", "grbg")},
    **dict.fromkeys(("mono16", "uyvy", "yuv422", "yuyv", "yuv422_yuy2"), 2),
    **dict.fromkeys(("rgb8", "bgr8", "8UC3"), 3),
    **dict.fromkeys(("rgba8", "bgra8", "8UC4"), 4),
    **dict.fromkeys(("rgb16", "bgr16"), 6),
    **dict.fromkeys(("rgba16", "bgra16"), 8),
}
_PLANAR = ("nv12", "nv21")  # rows of colour follow the rows of luminance
# OpenCV's generic formats carry no colour order; drivers that use them mean these.
_GENERIC = {"8UC1": "mono8", "8UC3": "bgr8", "8UC4": "bgra8"}
_BRIDGE_LACKS = {*_PLANAR, "uyvy", "yuyv", "mono16"}


def to_rgb(message: Image | CompressedImage) -> NDArray[np.uint8]:
    """Decode an image message.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: an unknown encoding, missing bytes, no pixels, or damaged compression.
    """
    return _compressed(message) if hasattr(message, "format") else _raw(message)


def _raw(message: Image) -> NDArray[np.uint8]:
    pixels = _unpadded(message)
    encoding = _GENERIC.get(message.encoding, message.encoding)
    rows = pixels.shape[0]
    packed: Any = SimpleNamespace(
        encoding=encoding,
        height=rows,
        width=message.width,
        step=pixels.shape[1],
        is_bigendian=message.is_bigendian,
        data=pixels.reshape(-1),
    )
    try:
        if _bridge is not None and encoding not in _BRIDGE_LACKS:
            return np.asarray(_bridge.imgmsg_to_cv2(packed, "rgb8"), dtype=np.uint8)
        from rosbags.image import image_to_cvimage

        return np.ascontiguousarray(image_to_cvimage(packed, "rgb8"), dtype=np.uint8)
    except (ImportError, MemoryError):
        raise
    except Exception as error:
        # Both libraries raise what OpenCV and NumPy raise, for sizes that an encoding forbids.
        raise InputError(
            f"a {message.width}x{message.height} image cannot be converted from {encoding!r} "
            f"({error}); check the camera driver"
        ) from error


def _unpadded(message: Image) -> NDArray[np.uint8]:
    """(rows, bytes of a row) without the padding that `step` may add."""
    width, height, encoding = message.width, message.height, message.encoding
    if not width or not height:
        raise InputError(f"the image has no pixels ({width}x{height}); check the camera driver")
    if encoding not in _BYTES:
        raise InputError(
            f"the encoding {encoding!r} is not a colour or grey image; "
            f"use a topic with one of {sorted(_BYTES)}"
        )
    rows = height * 3 // 2 if encoding in _PLANAR else height
    row = width * _BYTES[encoding]
    step = message.step or row
    data = np.frombuffer(message.data, dtype=np.uint8)
    # The last row may lack its padding.
    if step < row or data.size < step * (rows - 1) + row:
        raise InputError(
            f"the image is truncated: {width}x{height} {encoding} with step {step} needs "
            f"{max(step, row) * rows} bytes, it has {data.size}; check the camera driver"
        )
    if step == row:
        return data[: rows * row].reshape(rows, row)
    whole = np.zeros(rows * step, dtype=np.uint8)
    whole[: min(data.size, whole.size)] = data[: whole.size]
    return np.ascontiguousarray(whole.reshape(rows, step)[:, :row])


def _compressed(message: CompressedImage) -> NDArray[np.uint8]:
    data = np.frombuffer(message.data, dtype=np.uint8)
    bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if bgr is None:
        raise InputError(
            f"the compressed image ({message.format!r}, {data.size} bytes) cannot be decoded; "
            "it must be a whole JPEG or PNG"
        )
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
