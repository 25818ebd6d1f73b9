"""More images than can be embedded: the newest wins, and every other one is accounted for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import takewhile
from threading import Thread
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import Image
from vljepa_ros.msg import SemanticEmbedding

SENT = 200  # images
PERIOD = 0.001  # s between them: no processor embeds a thousand frames a second with this model
# One in work, one in the worker's place, one that the middleware holds: no more can wait.
WAITING = 3


@pytest.fixture(scope="module")
def embedder(bench: Any, model: str) -> Any:
    """A bench with an active embedder without a limit of its rate."""
    bench.start("embedder", model=model, max_rate_hz=0.0)
    bench.embeddings = bench.collect(SemanticEmbedding, "embedding")
    bench.wait_active("embedder")
    bench.open_camera("image", Image)
    return bench


def stamps(bench: Any) -> list[int]:
    """Stamps of the embeddings so far, in ms."""
    return [e.header.stamp.sec * 1000 + e.header.stamp.nanosec // 10**6 for e in bench.embeddings]


def send(bench: Any, images: Sequence[Image]) -> None:
    """As a camera does, which waits for nobody."""
    for sent in images:
        bench.publish("image", sent)
        time.sleep(PERIOD)


def test_the_newest_frame_wins_and_the_skipped_ones_are_counted(
    embedder: Any, scene: Callable[..., np.ndarray], image: Callable[..., Image]
) -> None:
    embedder.publish("image", image(scene(), 1.0))
    embedder.until(lambda: embedder.embeddings, "the first embedding")
    images = [image(scene(), 2.0 + number / 100) for number in range(SENT)]
    camera = Thread(target=send, args=(embedder, images))
    camera.start()
    embedder.until(lambda: not camera.is_alive(), "all images to be sent")
    last = 2000 + 10 * (SENT - 1)
    embedder.until(lambda: stamps(embedder)[-1] == last, "the embedding of the last image")
    waited = list(takewhile(lambda gap: gap == 10, np.diff(stamps(embedder))[::-1]))
    assert len(waited) <= WAITING, "old frames waited before newer ones"
    assert stamps(embedder) == sorted(set(stamps(embedder))), "a newer frame never comes first"

    def balance() -> bool:
        received, processed, skipped = (
            embedder.counted("embedder", f"frames {what}")
            for what in ("received", "processed", "skipped")
        )
        return bool(skipped) and received == processed + skipped

    embedder.until(balance, "each frame to be counted as processed or skipped")
    assert embedder.counted("embedder", "frames processed") == len(embedder.embeddings)


def test_with_a_stride_the_frames_between_only_enter_the_window(
    embedder: Any, scene: Callable[..., np.ndarray], image: Callable[..., Image]
) -> None:
    assert not embedder.set("embedder", stride=0).successful
    assert embedder.set("embedder", stride=3).successful
    embedder.embeddings.clear()
    for number in range(9):
        before = embedder.counted("embedder", "frames processed")
        embedder.publish("image", image(scene(), 100 + number / 4))
        embedder.until(
            lambda before=before: embedder.counted("embedder", "frames processed") > before,
            "the image in the counts",
        )
    embedder.until(lambda: len(embedder.embeddings) == 3, "every third embedding")
    # Three images apart, with windows that hold the ones between too.
    first, second, third = stamps(embedder)
    assert second - first == third - second == 750
    assert [e.window_frames for e in embedder.embeddings][1:] == [3, 4]
