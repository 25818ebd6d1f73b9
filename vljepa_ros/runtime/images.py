"""From an image of any size to the model's input, the same way in training and on the robot.

Who changes the result raises `_TOKENS_VERSION` in model/efficientnet.py, so that stored tokens are
made again.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vljepa_ros.errors import InputError


def to_input_size(rgb: NDArray[np.uint8], size: int) -> NDArray[Any]:
    """Resize the whole image to a square, without cropping: a robot must not lose its sides.

    Args:
        rgb: (H, W, 3) uint8 RGB.
        size: side of the result, in pixels.

    Returns:
        (size, size, 3) uint8 RGB.

    Raises:
        InputError: not an (H, W, 3) uint8 array with at least one pixel.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or 0 in rgb.shape:
        raise InputError(
            f"an image must be (H, W, 3) uint8 RGB with H and W above 0, "
            f"not {rgb.shape} {rgb.dtype}"
        )
    if rgb.shape[:2] == (size, size):
        return np.ascontiguousarray(rgb)
    small = _halve(rgb, size)
    shrinking = small.shape[0] > size or small.shape[1] > size
    # Averaging over areas leaves no aliases; it cannot enlarge.
    how = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return cv2.resize(small, (size, size), interpolation=how)


def _halve(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Halve a picture as long as both sides stay at least `size`.

    For averages over two by two pixels OpenCV has instructions of the processor; over other areas
    it takes many times as long. What remains to be done is then small, and so is the difference.
    """
    height, width = pixels.shape[:2]
    while min(height, width) >= 2 * size and height % 2 == width % 2 == 0:
        height, width = height // 2, width // 2
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return pixels
