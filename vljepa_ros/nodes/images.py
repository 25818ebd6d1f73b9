"""Image messages of any common encoding to RGB arrays.

OpenCV reads 8-bit colors and greys where they lie. cv_bridge does what it can of the others where
it is installed and imports; rosbags-image does the rest.
"""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vljepa_ros.errors import InputError
from vljepa_ros.runtime import to_input_size


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
_PLANAR = ("nv12", "nv21")  # rows of color follow the rows of luminance
# OpenCV's generic formats carry no color order; drivers that use them mean these.
_GENERIC = {"8UC1": "mono8", "8UC3": "bgr8", "8UC4": "bgra8"}
# Whole bytes a channel: what makes RGB of a pixel, None where it is.
_TO_RGB = {
    "mono8": cv2.COLOR_GRAY2RGB,
    "rgb8": None,
    "bgr8": cv2.COLOR_BGR2RGB,
    "rgba8": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2RGB,
}
_MEASURED = re.compile(r"\d+[USF]C\d*")  # OpenCV's generic formats, _GENERIC among them
_BRIDGE_LACKS = {*_PLANAR, "uyvy", "yuyv", "mono16"}


def to_rgb(message: Any, size: int | None = None) -> NDArray[np.uint8]:
    """Decode an image.

    Args:
        message: Image or CompressedImage, or what `read_image` makes of one.
        size: side of the square that it is resized to, in pixels; None leaves it as it is.

    Returns:
        (H, W, 3) or (size, size, 3) uint8 RGB; a view on the message where nothing is to be done.

    Raises:
        InputError: an unknown encoding, missing bytes, no pixels, or damaged compression.
    """
    order: int | None = cv2.COLOR_BGR2RGB
    if hasattr(message, "format"):
        pixels = _decompress(message)
    else:
        _check(message)
        encoding = _GENERIC.get(message.encoding, message.encoding)
        if encoding in _TO_RGB:
            pixels, order = _view(message), _TO_RGB[encoding]
        else:
            pixels, order = _convert(message, encoding), None
    # The order of three channels does not matter to resizing, and costs less to change in a small
    # picture; a fourth channel costs more to resize than to leave out, and grey is not resized.
    if size is not None and pixels.ndim == 3 and pixels.shape[2] == 3:
        pixels = to_input_size(pixels, size)
    rgb = pixels if order is None else cv2.cvtColor(pixels, order)
    return rgb if size is None else to_input_size(rgb, size)


def _check(message: Any) -> None:
    """Refuse what does not hold the picture that it says it does."""
    width, height, encoding = message.width, message.height, message.encoding
    if not width or not height:
        raise InputError(f"the image has no pixels ({width}x{height}); check the camera driver")
    if encoding not in _BYTES:
        raise _no_picture(encoding)
    if encoding in _PLANAR and (width % 2 or height % 2):
        raise InputError(
            f"{encoding} needs an even width and height, not {width}x{height}; "
            "check the camera driver"
        )
    rows, row, step = _layout(message)
    if step < row:
        raise InputError(
            f"step is {step} bytes, but a row of {width} {encoding} pixels has {row}; "
            "check the camera driver"
        )
    # The last row may lack its padding.
    if len(message.data) < step * (rows - 1) + row:
        raise InputError(
            f"the image is truncated: {width}x{height} {encoding} with step {step} needs "
            f"{step * rows} bytes, it has {len(message.data)}; check the camera driver"
        )


def _no_picture(encoding: str) -> InputError:
    return InputError(
        f"the encoding {encoding!r} is not a color or grey image; "
        f"use a topic with one of {sorted(_BYTES)}"
    )


def _layout(message: Any) -> tuple[int, int, int]:
    """Rows of bytes, bytes of a row, and bytes from one row to the next."""
    planar = message.encoding in _PLANAR
    row = message.width * _BYTES[message.encoding]
    return message.height * 3 // 2 if planar else message.height, row, message.step or row


def _view(message: Any) -> NDArray[np.uint8]:
    """(H, W) or (H, W, C) on the bytes of the message, over the padding that `step` may add."""
    channels, (_, _, step) = _BYTES[message.encoding], _layout(message)
    shape, strides = (message.height, message.width, channels), (step, channels, 1)
    pixels: NDArray[np.uint8] = np.ndarray(shape, np.uint8, message.data, strides=strides)
    return pixels[..., 0] if channels == 1 else pixels


def _convert(message: Any, encoding: str) -> NDArray[np.uint8]:
    """(H, W, 3) RGB by one of the libraries."""
    pixels = _unpadded(message)
    packed: Any = SimpleNamespace(
        encoding=encoding,
        height=pixels.shape[0],
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


def _unpadded(message: Any) -> NDArray[np.uint8]:
    """(rows, bytes of a row) without padding, which the libraries do not take."""
    rows, row, step = _layout(message)
    data = np.frombuffer(message.data, dtype=np.uint8)
    return np.ascontiguousarray(np.ndarray((rows, row), np.uint8, data, strides=(step, 1)))


def _decompress(message: Any) -> NDArray[np.uint8]:
    """(H, W, 3) BGR."""
    # image_transport writes what the picture was made of before a semicolon. Of what is measured,
    # such as depth, OpenCV would drop all but 8 bits; other names do not matter to a JPEG or PNG.
    encoding = message.format.partition(";")[0].strip()
    if _MEASURED.fullmatch(encoding) and encoding not in _BYTES:
        raise _no_picture(encoding)
    data = np.frombuffer(message.data, dtype=np.uint8)
    bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if bgr is None:
        raise InputError(
            f"the compressed image ({message.format!r}, {data.size} bytes) cannot be decoded; "
            "it must be a whole JPEG or PNG"
        )
    return np.asarray(bgr, dtype=np.uint8)
