"""Sentences of the nodes held against what their windows show."""

import numpy as np
import pytest

for needed in ("ruptures", "sklearn", "bayesian_changepoint_detection"):
    pytest.importorskip(needed, reason="needs the extra evidence")

from evidence.detectors import Decode
from evidence.drawing import PERIOD
from evidence.sentences import count_sentences
from evidence.streams import Stream

from tests.unit.made_streams import SPAN, meanings
from vljepa_ros.runtime import Decoded

LAMP_ON, MUG, NOTHING, UNSURE = meanings(4).astype(np.float32)
_SAID = ("the lamp goes on", "a red mug appears on the table", "nothing is happening", "nothing")
FACTS = {
    "source": "tabletop",
    "frames": 100,
    "objects": [{"id": 0, "name": "mug", "color": "red"}],
    "events": [
        {"type": "lamp_on", "start": 20, "end": 20, "object": None},
        {"type": "appear", "start": 50, "end": 52, "object": 0},
    ],
}


class _Engine:
    """Says one sentence for each direction, and is unsure of the last."""

    def unit(self, embeddings):
        return embeddings

    def decode(self, embeddings):
        (said,) = embeddings.argmax(1)
        return [Decoded(_SAID[said], 0.4 if said == 3 else 0.9)]


def _decode(embedding, first, last):
    return Decode(last * PERIOD, first * PERIOD, last * PERIOD, embedding, change=True)


def _counted(*decodes):
    stream = Stream(FACTS, np.zeros((100, 16), np.float32))
    return count_sentences(_Engine(), [stream], [decodes], SPAN)


def test_a_sentence_is_true_where_a_window_of_its_segment_shows_it():
    found = _counted(
        _decode(NOTHING, 0, 10), _decode(LAMP_ON, 20, 22), _decode(NOTHING, 30, 40),
        _decode(MUG, 50, 53),
    )  # fmt: skip
    assert found == {
        "sentences": 4, "true": 4, "unsure": 0, "wrong": 0, "events": 2, "told": 2,
    }  # fmt: skip


def test_an_event_is_shown_until_its_last_frame_leaves_the_window():
    last = 52 + round(SPAN / PERIOD)
    assert _counted(_decode(MUG, last - 1, last - 1))["true"] == 1
    assert _counted(_decode(MUG, last, last))["wrong"] == 1


def test_another_event_and_nothing_are_wrong_where_an_event_is_shown():
    found = _counted(_decode(MUG, 20, 22), _decode(NOTHING, 50, 52))
    assert (found["wrong"], found["told"]) == (2, 0)


def test_a_sentence_that_is_not_published_is_neither_true_nor_wrong():
    found = _counted(_decode(UNSURE, 20, 22))
    assert (found["unsure"], found["true"], found["wrong"]) == (1, 0, 0)


def test_an_event_told_twice_is_told_once():
    found = _counted(_decode(LAMP_ON, 20, 20), _decode(LAMP_ON, 21, 22))
    assert (found["true"], found["told"]) == (2, 1)
