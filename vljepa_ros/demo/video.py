"""A video file or a camera, read in real time."""

import math
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vljepa_ros.errors import InputError
from vljepa_ros.training.sources import fetch_video

Picture = NDArray[np.uint8]  # (H, W, 3) BGR

_USUAL_RATE = 30.0  # images a second, where a file does not say
_DEMO_CLIP = Path(__file__).parent / "tabletop.mp4"


def find_video(wanted: str) -> tuple[str, str]:
    """Return (name, path or device) of the video that the user asked for.

    Args:
        wanted: "tabletop" (ships with the package), "bikes" or "vtest" (fetched once), a file,
            or a camera such as /dev/video0.

    Raises:
        InputError: when there is no such video.
        SourceError: when "bikes" or "vtest" can be neither found nor fetched.
    """
    if wanted == "tabletop":
        return wanted, str(_DEMO_CLIP)
    if wanted in ("bikes", "vtest"):
        return wanted, str(fetch_video(wanted))
    path = Path(wanted)
    if not path.exists():
        raise InputError(
            f"no video at {wanted}: give a file, a camera such as /dev/video0, or one of the "
            "names tabletop, bikes, vtest"
        )
    return path.stem, str(path)


class Video:
    """An opened video file or camera.

    Raises:
        InputError: when it cannot be opened or gives no image.
    """

    def __init__(self, path: str) -> None:
        self.live = path.startswith("/dev/")
        self._capture = cv2.VideoCapture(path)
        opened, first = self._capture.read()
        if not opened:
            self.close()
            raise InputError(f"cannot read a picture from {path}: is it a video, is it in use?")
        self._first = np.asarray(first, np.uint8)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if math.isfinite(rate) and 0 < rate <= 1000 else _USUAL_RATE
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.duration = None if self.live or count <= 0 else count / self.rate  # s

    def frames(self) -> Iterator[Picture]:
        """Yield the images, in real time: a computer that is too slow loses some, as a camera.

        A file's image k is due k / rate seconds after the first; a camera sets its own time.
        """
        yield self._first
        start = time.monotonic()
        index = 0
        while self._capture.grab():
            index += 1
            late = time.monotonic() - (start + index / self.rate)
            if not self.live:
                if late > 1 / self.rate:
                    continue
                time.sleep(max(-late, 0.0))
            good, picture = self._capture.retrieve()
            if good:
                yield np.asarray(picture, np.uint8)

    def close(self) -> None:
        """Give the file or the camera back."""
        self._capture.release()
