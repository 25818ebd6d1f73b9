"""Compares a backend with what torch computed in fp32 from the same clip and texts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vljepa_ros.errors import EngineError
from vljepa_ros.runtime.backend import PARTS, Backend, EngineInfo
from vljepa_ros.runtime.engine import LABEL_QUERY, STREAM_QUERY
from vljepa_ros.runtime.exported import reading
from vljepa_ros.runtime.images import to_input_size

REFERENCE_FILE = "reference.npz"
_LEAST = {"int8": 0.97, "bf16": 0.97}  # cosine
_LEAST_ELSE = 0.99
_SURE = 0.5  # probability of a text
_STARTS = 10.0, 25.0  # s, where the windows begin in the clip
_TEXTS = ("a red ball is on the table", "the lamp goes off", "two")


def clip_frames(times: list[float], size: int) -> NDArray[np.uint8]:
    """Frames of the demo's clip, which no training has seen.

    Args:
        times: s, from its beginning; after its end it begins again.
        size: S, of the result, in pixels.

    Returns:
        (F, S, S, 3) uint8 RGB.
    """
    frames = []
    with as_file(files("vljepa_ros") / "demo" / "tabletop.mp4") as path:
        video = cv2.VideoCapture(str(path))
        rate, count = video.get(cv2.CAP_PROP_FPS), int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        for time in times:
            video.set(cv2.CAP_PROP_POS_FRAMES, round(time * rate) % max(1, count))
            read, bgr = video.read()
            if not read:
                raise EngineError(f"{path} cannot be read at {time} s; install the package again")
            frames.append(to_input_size(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), size))
        video.release()
    return np.stack(frames)


def reference_times(info: EngineInfo) -> list[float]:
    """Seconds of the clip at which a model's windows have their frames, oldest first."""
    steps = [info.window_period * step for step in range(info.window_frames)]
    return [start + step for start in _STARTS for step in steps]


def make_reference(backend: Backend) -> dict[str, NDArray[Any]]:
    """What a backend makes of the clip and the texts, by the names that `drift` looks for."""
    info = backend.info
    frames = clip_frames(reference_times(info), info.input_width)
    tokens = _encode(backend, frames)
    predicted = _predict(backend, tokens)
    made = {
        "frames": frames,
        "tokens": tokens,
        "predicted": predicted,
        "embedded": backend.encode_text(_TEXTS),
    }
    if info.decodes:
        texts, shares = backend.decode(predicted)
        made["told"] = np.array(texts)
        made["told_embedded"] = backend.encode_text([text or _TEXTS[0] for text in texts])
        made["sure"] = shares >= min(_SURE, float(np.max(shares)))
    return made


def read_reference(folder: Path) -> dict[str, NDArray[Any]]:
    """The reference in an exported folder.

    Raises:
        DamagedExportError: it is missing or damaged.
    """
    path = folder / REFERENCE_FILE
    with reading(path), np.load(path) as stored:
        return dict(stored)


def drift(
    backend: Backend, reference: Mapping[str, NDArray[Any]], parts: Collection[str] = PARTS
) -> dict[str, float]:
    """Lowest cosine between a backend and a reference, part by part.

    That of the X-Encoder is the mean over the frames of the token that drifts most.

    Each part takes the reference's inputs, so that the drift of one does not count for the
    next; `whole` is the predictor on the backend's own tokens. The Y-Decoder's texts are
    compared as embeddings, by the backend itself, unless they are the same: then it need not
    load the Y-Encoder. Texts that the reference is unsure of are not compared: a little less
    precision turns one of them into another.
    """
    tokens, cosines = reference["tokens"], {}
    own = _encode(backend, reference["frames"]) if "x_encoder" in parts else None
    if own is not None:
        cosines["x_encoder"] = _lowest_token(own, tokens)
    if "predictor" in parts:
        cosines["predictor"] = _lowest(_predict(backend, tokens), reference["predicted"])
    if own is not None and "predictor" in parts:
        cosines["whole"] = _lowest(_predict(backend, own), reference["predicted"])
    if "y_encoder" in parts:
        cosines["y_encoder"] = _lowest(backend.encode_text(_TEXTS), reference["embedded"])
    if "y_decoder" in parts and "told" in reference:
        sure = reference["sure"]
        texts, _ = backend.decode(reference["predicted"][sure])
        cosines["y_decoder"] = 1.0
        if texts != reference["told"][sure].tolist():
            told = backend.encode_text([text or _TEXTS[0] for text in texts])
            cosines["y_decoder"] = _lowest(told, reference["told_embedded"][sure])
    return cosines


def too_far(info: EngineInfo, cosines: Mapping[str, float]) -> str:
    """Which parts have drifted too far, by what `drift` found; empty if none has."""
    least = _LEAST.get(info.precision, _LEAST_ELSE)
    far = {part: cosine for part, cosine in cosines.items() if not cosine >= least}
    if not far:
        return ""
    parts = ", ".join(f"{part} {cosine:.3f}" for part, cosine in far.items())
    return (
        f"{info.backend} in {info.precision} drifts from torch in fp32: cosine {parts}, below "
        f"{least}; take another precision or backend, or allow it with runtime.allow_drift"
    )


def _encode(backend: Backend, frames: NDArray[np.uint8]) -> NDArray[Any]:
    """Visual tokens (W, T', ...) of the W windows."""
    windows = np.split(backend.encode_frames(frames), len(_STARTS))
    return np.stack([backend.encode_window(window) for window in windows])


def _predict(backend: Backend, tokens: NDArray[Any]) -> NDArray[np.float32]:
    """Embeddings (W * Q, D) of the visual tokens (W, T', ...) of windows."""
    return np.concatenate(
        [backend.predict(window, (STREAM_QUERY, LABEL_QUERY)) for window in tokens]
    )


def _lowest_token(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Lowest mean cosine of a visual token over the windows and times (W, T', ...).

    Tokens are compared one by one, since some have numbers a hundred times larger than others. One
    that is zero in both is left out. NaN where one has NaN.
    """
    rows = [x.reshape(*x.shape[:2], -1, x.shape[-1]).astype(np.float64) for x in (ours, theirs)]
    lengths = np.prod([np.linalg.norm(x, axis=-1) for x in rows], axis=0)  # (W, T', N)
    used = np.any([(x != 0).any((0, 1, 3)) for x in rows], axis=0)
    cosines = (rows[0] * rows[1]).sum(-1) / np.maximum(lengths, np.finfo(float).tiny)
    return float(np.where(used, cosines.mean((0, 1)), 1.0).min())


def _lowest(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Lowest cosine of two rows; NaN where a row is zero or has NaN."""
    rows = [x.reshape(len(x), -1).astype(np.float64) for x in (ours, theirs)]
    lengths = np.prod([np.linalg.norm(x, axis=1) for x in rows], axis=0)
    return float(((rows[0] * rows[1]).sum(1) / lengths).min())
