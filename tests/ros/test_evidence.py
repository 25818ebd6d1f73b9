"""The replay of the evidence: recorded frames through the real nodes."""

from __future__ import annotations

import numpy as np
from evidence.playing import play

from vljepa_ros.training.shards import encode_jpeg

PERIOD = 250_000_000  # ns
FRAMES = 20


def test_streams_are_played_and_heard_each_for_itself() -> None:
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    streams = [
        (PERIOD, [encode_jpeg(np.kron(p, np.ones((28, 28, 1), np.uint8)))] * FRAMES)
        for p in pictures
    ]
    sent: list[int] = []
    heard = play(streams, sent.append)
    assert sent == list(range(1, 2 * FRAMES + 1))
    assert len(heard) == 2
    for ear in heard:
        assert 1 <= ear.frames <= FRAMES
        # A picture that stays is told once, with the stamp of a frame that was sent.
        assert len(ear.told.texts) == 1 and ear.told.texts[0]
        assert ear.told.stamps[0] % PERIOD == 0
        assert 0 <= ear.told.stamps[0] < FRAMES * PERIOD
        assert 0 < ear.shift_ages[0] <= ear.text_ages[0]
