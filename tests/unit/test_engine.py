"""The engine: one interface over a checkpoint, with clear errors for bad input."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from vljepa_ros.errors import CheckpointError, EngineError, InputError
from vljepa_ros.runtime import Engine, EngineConfig, to_input_size
from vljepa_ros.runtime import engine as engine_module


def _picture(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    red, green = 255 * rows / height, 255 * columns / width
    return np.stack([red, green, 128 * np.ones_like(red)], axis=-1).astype(np.uint8)


def test_any_size_of_one_scene_gives_nearly_the_same_embedding(engine: Engine) -> None:
    frames = [_picture(*size) for size in ((480, 640), (720, 1280), (240, 320))]
    tokens = engine.encode_frames(frames)
    rows = np.concatenate([engine.predict([t], ["What is shown?"]) for t in tokens])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert (rows @ rows.T).min() > 0.99


def test_queries_in_one_pass_equal_queries_alone(engine: Engine) -> None:
    tokens = list(engine.encode_frames([_picture(100, 100), _picture(50, 80)]))
    queries = ["What is shown?", "Is the lamp on, or is it off now?"]
    together = engine.predict(tokens, queries)
    alone = np.concatenate([engine.predict(tokens, [q]) for q in queries])
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_in_int8_an_embedding_hangs_on_no_other_query(checkpoint: Path) -> None:
    engine = Engine.load(
        str(checkpoint), EngineConfig(backend="onnx", precision="int8", allow_drift=True)
    )
    tokens = list(engine.encode_frames([_picture(100, 100)]))
    queries = ["What is shown?", "Is the lamp on, or is it off now?"]
    together = engine.predict(tokens, queries)
    alone = np.concatenate([engine.predict(tokens, [q]) for q in queries])
    np.testing.assert_array_equal(together, alone)


def test_fewer_frames_repeat_the_oldest(engine: Engine) -> None:
    first, second = engine.encode_frames([_picture(100, 100), 255 - _picture(50, 80)])
    short, full, other = (
        engine.predict(window, ["what?"])
        for window in ([first, second], [first] * 3 + [second], [first] + [second] * 3)
    )
    np.testing.assert_array_equal(short, full)
    assert not np.allclose(short, other, atol=1e-4)


def test_texts_are_cached_and_stripped(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    (first,) = engine.encode_text(["a red ball"])
    monkeypatch.setattr(engine._backend, "encode_text", None)
    (second,) = engine.encode_text(["  a red ball "])
    np.testing.assert_array_equal(first, second)


def test_many_texts_are_embedded_in_parts_and_keep_their_order(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed, sizes = engine._backend.encode_text, []

    def counted(texts: Sequence[str]) -> np.ndarray:
        sizes.append(len(texts))
        return embed(texts)

    monkeypatch.setattr(engine._backend, "encode_text", counted)
    texts = [f"{'very ' * (n % 7)}new candidate {n}" for n in range(150)]
    rows = engine.encode_text(texts)
    assert max(sizes) <= 64 and sum(sizes) == 150
    for number in (0, 6, 149):
        np.testing.assert_allclose(embed([texts[number]])[0], rows[number], atol=1e-5)


def test_new_texts_do_not_hold_up_those_that_are_known(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.encode_text(["a red ball"])
    begun, enough = threading.Event(), threading.Event()
    embed = engine._backend.encode_text

    def slow(texts: Sequence[str]) -> np.ndarray:
        begun.set()
        assert enough.wait(30)
        return embed(texts)

    monkeypatch.setattr(engine._backend, "encode_text", slow)
    with ThreadPoolExecutor(2) as pool:
        new = pool.submit(engine.encode_text, ["a candidate that nobody gave before"])
        try:
            assert begun.wait(30)
            assert len(pool.submit(engine.encode_text, ["a red ball"]).result(30)) == 1
            assert not new.done()
        finally:
            enough.set()
        assert len(new.result(30)) == 1


def test_rank_prefers_the_text_that_made_the_embedding(engine: Engine) -> None:
    embedding = engine.encode_text(["the lamp is off"])[0]
    ranking = engine.rank(embedding, ["a red ball", "the lamp is off", "nothing happens"])
    assert ranking.best == 1
    assert ranking.similarities[1] == pytest.approx(1, abs=1e-5)
    assert ranking.scores.sum() == pytest.approx(1, abs=1e-5)


def test_candidates_may_be_embedded_before(engine: Engine) -> None:
    texts = ["a red ball", "the lamp is off", "nothing happens"]
    rows = engine.encode_text(texts)
    np.testing.assert_array_equal(
        engine.rank(rows[1], rows).scores, engine.rank(rows[1], texts).scores
    )


def test_the_temperature_spreads_the_scores(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, texts = engine.encode_text(["the lamp is off"])[0], ["a red ball", "the lamp is off"]
    for temperature in (0.07, 0.5):
        monkeypatch.setattr(engine, "info", replace(engine.info, temperature=temperature))
        ranking = engine.rank(row, texts)
        first, second = np.log(ranking.scores) * temperature
        apart = ranking.similarities[0] - ranking.similarities[1]
        assert first - second == pytest.approx(apart, abs=1e-3)


def test_decoded_confidence_is_a_share(engine: Engine) -> None:
    (decoded,) = engine.decode(engine.encode_text(["the lamp is off"]) * 3)
    assert 0 <= decoded.confidence <= 1


def test_an_unsure_text_is_not_said(engine: Engine) -> None:
    row = engine.encode_text(["the lamp is off"])
    (said,) = engine.decode(row, min_confidence=0.0)
    (kept,) = engine.decode(row, min_confidence=said.confidence)
    (unsure,) = engine.decode(row, min_confidence=said.confidence + 1e-3)
    assert kept == said
    assert (unsure.text, unsure.confidence) == ("I don't know", said.confidence)


@pytest.mark.parametrize(
    ("frame", "match"),
    [
        (np.zeros((0, 10, 3), np.uint8), "above 0"),
        (np.zeros((10, 10), np.uint8), "must be"),
        (np.zeros((10, 10, 3), np.float32), "uint8"),
    ],
)
def test_bad_frames_are_refused(engine: Engine, frame: np.ndarray, match: str) -> None:
    with pytest.raises(InputError, match=match):
        engine.encode_frames([frame])


@pytest.mark.parametrize("text", ["", "  ", "x" * 10_000])
def test_bad_texts_are_refused(engine: Engine, text: str) -> None:
    (tokens,) = engine.encode_frames([_picture(10, 10)])
    with pytest.raises(InputError, match=r"empty|at most"):
        engine.predict([tokens], [text])
    with pytest.raises(InputError, match=r"empty|at most"):
        engine.encode_text([text])


@pytest.mark.parametrize(
    "embedding",
    [np.full((1, 384), np.nan), np.zeros((1, 384)), np.ones((1, 7)), np.ones(384)],
)
def test_bad_embeddings_are_refused(engine: Engine, embedding: np.ndarray) -> None:
    with pytest.raises(InputError):
        engine.decode(embedding)


def test_windows_of_a_wrong_length_are_refused(engine: Engine) -> None:
    (tokens,) = engine.encode_frames([_picture(10, 10)])
    for count in (0, 5):
        with pytest.raises(InputError, match="1 to 4 frames"):
            engine.predict([tokens] * count, ["what?"])


def test_nothing_is_refused(engine: Engine) -> None:
    (tokens,) = engine.encode_frames([_picture(10, 10)])
    row = engine.encode_text(["a text"])[0]
    for ask in (
        lambda: engine.encode_frames([]),
        lambda: engine.predict([tokens], []),
        lambda: engine.encode_text([]),
        lambda: engine.rank(row, []),
        lambda: engine.rank(row * np.nan, ["a text"]),
    ):
        with pytest.raises(InputError, match=r"at least one|drop it"):
            ask()


def test_of_many_texts_the_latest_are_kept(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "TEXT_CACHE", 2)
    for text in ("one", "two", "one", "three"):
        engine.encode_text([text])
    assert list(engine._texts) == ["one", "three"]


def test_unknown_models_and_devices_are_refused(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="no model 'nonsense'"):
        Engine.load("nonsense")
    for backend in ("torch", "onnx"):
        with pytest.raises(EngineError, match="set the parameter device"):
            Engine.load(str(checkpoint), EngineConfig(backend=backend, device="cuda:99"))


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_a_fallback_is_told(checkpoint: Path, backend: str) -> None:
    config = EngineConfig(backend=backend, device="cuda:99", allow_fallback=True)
    info = Engine.load(str(checkpoint), config).info
    assert info.device == "cpu" and "cuda:99" in info.fallback


@pytest.mark.parametrize(
    "wanted", [{"backend": "jax"}, {"precision": "fp8"}, {"precision": "int8"}]
)
def test_what_cannot_run_is_refused(checkpoint: Path, wanted: dict[str, str]) -> None:
    with pytest.raises(EngineError, match=r"is one of|for a VL-JEPA, the backend onnx"):
        Engine.load(str(checkpoint), EngineConfig(**wanted))


def test_resize_keeps_the_whole_image() -> None:
    image = np.zeros((100, 300, 3), np.uint8)
    image[:, -30:] = 255
    small = to_input_size(image, 224)
    assert small.shape == (224, 224, 3)
    assert small[:, -10:].min() > 200 > 50 > small[:, :190].max()


@pytest.mark.parametrize(("height", "width"), [(720, 1280), (1080, 1920), (896, 1792)])
def test_a_large_image_becomes_what_it_would_by_one_average(height: int, width: int) -> None:
    image = _picture(height, width)
    once = cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA)
    assert np.abs(to_input_size(image, 224).astype(int) - once).max() <= 2


def test_importing_the_runtime_needs_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import vljepa_ros.runtime"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nothing_is_told_to_the_maker_of_onnx_runtime(tmp_path: Path) -> None:
    # What it would send, it keeps in the user's cache until then.
    names = ("HOME", "XDG_CACHE_HOME")
    home = {**dict.fromkeys(names, str(tmp_path)), "PYTHONPATH": os.pathsep.join(sys.path)}
    code = "import vljepa_ros.runtime, onnxruntime"
    subprocess.run([sys.executable, "-c", code], check=True, env=home)
    assert list(tmp_path.rglob("*onnxruntime*")) == []
