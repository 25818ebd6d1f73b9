"""What the engine takes, and what it refuses with an error that says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vljepa_ros.errors import InputError
from vljepa_ros.runtime import Engine
from vljepa_ros.runtime import engine as engine_module


def test_the_length_of_an_embedding_does_not_matter(engine: Engine) -> None:
    row = engine.encode_text(["the lamp is off"])
    told = engine.decode(row)[0].text
    for length in (1e-5, 1e20, 1e37):
        longer = (row * length).astype(np.float32)
        np.testing.assert_allclose(engine.unit(longer), row, atol=1e-6)
        assert engine.decode(longer)[0].text == told
    assert engine.unit(row).dtype == np.float32


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan, 0, 1e-9])
def test_an_embedding_without_a_direction_is_refused(engine: Engine, number: float) -> None:
    with pytest.raises(InputError, match="drop it"):
        engine.unit(np.full((1, 384), number, np.float32))


def test_of_no_embeddings_there_are_no_texts(engine: Engine) -> None:
    assert engine.decode(np.zeros((0, 384), np.float32)) == []


def test_a_single_text_is_not_taken_letter_by_letter(engine: Engine) -> None:
    tokens = engine.encode_frames([np.zeros((48, 64, 3), np.uint8)])
    row = engine.encode_text(["a text"])[0]
    for ask in (
        lambda: engine.encode_text("a red ball"),
        lambda: engine.predict(list(tokens), "what is this"),
        lambda: engine.rank(row, "a red ball"),
    ):
        with pytest.raises(InputError, match="give a list of texts"):
            ask()


def test_half_a_character_is_refused(engine: Engine) -> None:
    tokens = engine.encode_frames([np.zeros((48, 64, 3), np.uint8)])
    for ask in (
        lambda: engine.encode_text(["a \ud800 ball"]),
        lambda: engine.predict(list(tokens), ["\udfff"]),
    ):
        with pytest.raises(InputError, match="no valid Unicode"):
            ask()
    assert engine.encode_text(["a \U0001f534 ball"]).shape == (1, 384)


def test_frames_may_be_an_array(engine: Engine) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(engine.encode_frames(frames), engine.encode_frames([*frames]))
    with pytest.raises(InputError, match="at least one"):
        engine.encode_frames(frames[:0])
    with pytest.raises(InputError, match="must be"):
        engine.encode_frames(frames[0])


def test_tokens_of_another_model_are_refused(engine: Engine) -> None:
    own = engine.encode_frames([np.zeros((48, 64, 3), np.uint8)])[0]
    assert engine.predict(np.stack([own] * 2), ["what?"]).shape == (1, 384)
    for rows in ([own[:-1]] * 4, [own[:, :-1]], [own, own[0]], [own[None]]):
        with pytest.raises(InputError, match=r"\(54, 976\).*another model"):
            engine.predict(rows, ["what?"])


def test_a_text_without_words_is_not_sure(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        engine._backend, "decode", lambda rows: ([""] * len(rows), np.ones(len(rows)))
    )
    (decoded,) = engine.decode(engine.encode_text(["the lamp is off"]), min_confidence=0.5)
    assert (decoded.text, decoded.confidence) == ("I don't know", 0.0)


def test_a_shipped_name_means_the_shipped_model_whatever_lies_in_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vljepa-tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    found = engine_module.find_model("vljepa-tiny")
    assert found == engine_module.WEIGHTS_FOLDER / "vljepa-tiny"


def test_the_longest_text_is_taken() -> None:
    text = "x" * engine_module.MAX_TEXT_LENGTH
    assert engine_module.check_text(f" {text} ", "text") == text
    with pytest.raises(InputError, match="2001 characters; give at most 2000"):
        engine_module.check_text(f"{text}x", "text")
