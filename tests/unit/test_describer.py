"""A text is decoded once for all embeddings that mean the same."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_ros.errors import InputError
from vljepa_ros.runtime import Engine
from vljepa_ros.runtime.describer import Describer
from vljepa_ros.runtime.engine import UNSURE


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load()


def test_what_was_told_is_not_decoded_again(engine: Engine) -> None:
    lamp, ball = engine.encode_text(["the lamp goes on", "a red ball appears"])
    describer = Describer(engine, within=0.1)
    first, is_new = describer.describe(lamp)
    assert is_new and first == engine.decode(lamp[None])[0]
    near = 3 * (lamp + 0.1 * ball)  # of any length
    assert describer.describe(near) == (first, False)
    other, is_new = describer.describe(ball)
    assert is_new and other.text != first.text
    assert describer.describe(lamp) == (first, False)


@pytest.mark.parametrize("bad", [np.full(384, np.nan), np.zeros(384), np.ones(10), np.ones(0)])
def test_bad_embeddings_are_refused_and_not_remembered(engine: Engine, bad: np.ndarray) -> None:
    (good,) = engine.encode_text(["the lamp goes on"])
    describer = Describer(engine)
    for _ in range(2):
        with pytest.raises(InputError):
            describer.describe(bad)
    assert describer.describe(good)[1]


def test_an_unsure_text_is_remembered_as_it_was_decoded(engine: Engine) -> None:
    (embedding,) = engine.encode_text(["the lamp goes on"])
    describer = Describer(engine)
    told, _ = describer.describe(embedding)
    assert told.if_sure(1.0).text == UNSURE
    assert told.if_sure(1.0).confidence == told.confidence
    assert describer.describe(embedding)[0].if_sure(0.0) == told


def test_a_long_embedding_does_not_mean_what_others_mean(engine: Engine) -> None:
    lamp, ball = engine.encode_text(["the lamp goes on", "a red ball appears"])
    describer = Describer(engine, within=0.1)
    describer.describe(100 * lamp)
    assert 0 < lamp @ ball < 0.9
    assert describer.describe(ball)[1]
