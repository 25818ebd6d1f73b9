"""Runs an exported model with ONNX Runtime, without torch: on CPU, CUDA and TensorRT."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vljepa_ros.errors import EngineError, InputError
from vljepa_ros.runtime.backend import EngineConfig, EngineInfo
from vljepa_ros.runtime.exported import MOST, read_export, reading
from vljepa_ros.runtime.providers import place
from vljepa_ros.tokenizer import TextTokenizer

_ASKED = 64  # sets of queries that are kept


class OnnxBackend:
    """See `Backend`. A part is loaded when it is first used.

    Args:
        folder: of an exported model.
        config: how to run it.

    Raises:
        DamagedExportError: a file cannot be read. Other methods raise it too, as most files are
            read when they are first used.
        EngineError: ONNX Runtime or the device is unavailable.
    """

    def __init__(self, folder: Path, config: EngineConfig) -> None:
        self._folder = folder
        self._description = read_export(folder)
        info = self._description["info"]
        info["frame_tokens"] = info["frame_tokens"] and tuple(info["frame_tokens"])
        self._placement = place(folder, config)
        self.info = replace(EngineInfo(**info), device=self._placement.device)
        self._sessions: dict[str, tuple[Any, list[str]]] = {}
        self._loading = threading.Lock()
        self._table = cache(partial(_read_table, folder))
        self._tokenizer = cache(partial(_read_tokenizer, folder))
        self._ask = _asker(self._description["query"], self._tokenizer, self._table)

    def encode_frames(self, frames: NDArray[np.uint8]) -> NDArray[Any]:
        """See `Backend`."""
        if self.info.frame_tokens is None:
            return frames
        parts = range(0, len(frames), MOST["frames"])
        encoded = [self._run("x_encoder", frames[n : n + MOST["frames"]])[0] for n in parts]
        return np.concatenate(encoded)

    def encode_window(self, window: NDArray[Any]) -> NDArray[Any]:
        """See `Backend`."""
        return self._run("x_encoder", window)[0] if self.info.frame_tokens is None else window

    def predict(self, tokens: NDArray[Any], queries: Sequence[str]) -> NDArray[np.float32]:
        """See `Backend`."""
        tokens = tokens.astype(np.float32, copy=False)
        asked = (self._ask(tuple(batch)) for batch in self._batches(queries, MOST["queries"]))
        return np.concatenate([self._run("predictor", tokens, *batch)[0] for batch in asked])

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Backend`."""
        about = self._description["text"]
        tokenizer, longest = self._tokenizer(about["tokenizer"]), about["max_tokens"]
        tokenized = (tokenizer(batch, longest) for batch in self._batches(texts, len(texts)))
        return np.concatenate([self._run("y_encoder", *batch)[0] for batch in tokenized])

    def decode(self, embeddings: NDArray[np.float32]) -> tuple[list[str], NDArray[np.float32]]:
        """See `Backend`. Greedy, as `CausalDecoder.generate`."""
        if not self.info.decodes:
            raise InputError("this model has no Y-Decoder: give candidates to choose from")
        about, words = self._description["decoder"], self._table("words")
        start, end, batch = about["start"], about["end"], len(embeddings)
        shape = [batch if axis == 2 else size for axis, size in enumerate(about["no_past"])]
        past = np.zeros(shape, np.float32)
        begun = np.broadcast_to(words[start], (batch, len(start), words.shape[1]))
        x = np.concatenate([self._run("y_decoder_prefix", embeddings)[0], begun], axis=1)
        ended = np.zeros(batch, dtype=bool)
        probability = np.ones(batch, np.float32)
        rows = []
        for _ in range(about["max_tokens"] - len(start)):
            logits, past = self._run("y_decoder", x, past)
            token = logits.argmax(-1)
            share = 1 / np.exp(logits - logits.max(-1, keepdims=True)).sum(-1)
            probability = np.where(ended, probability, probability * share)
            token = np.where(ended, end, token)
            rows.append(token)
            ended = token == end
            if ended.all():
                break
            x = words[token][:, None]
        told = np.stack(rows, axis=1)
        numbers = [self._table("numbers")[row[row != end]].tolist() for row in told]
        return self._tokenizer(about["tokenizer"]).texts(numbers), probability

    def keep(self, parts: Collection[str]) -> None:
        """See `Backend`."""
        kept = tuple(parts)  # a part's graphs have names that begin with its own
        self._sessions = {n: loaded for n, loaded in self._sessions.items() if n.startswith(kept)}

    def _batches(self, texts: Sequence[str], most: int) -> list[Sequence[str]]:
        """Texts that run together, at most `most`.

        In int8 the numbers of a batch share their scales: what else is in it would change them.
        """
        together = 1 if self.info.precision == "int8" else most
        return [texts[start : start + together] for start in range(0, len(texts), together)]

    def _run(self, part: str, *inputs: NDArray[Any]) -> list[Any]:
        session, names = self._sessions.get(part) or self._load(part)
        outputs: list[Any] = session.run(None, dict(zip(names, inputs, strict=True)))
        return outputs

    def _load(self, part: str) -> tuple[Any, list[str]]:
        from onnxruntime import GraphOptimizationLevel, InferenceSession, SessionOptions

        with self._loading:
            if part not in self._sessions:
                options = SessionOptions()
                options.log_severity_level = 3  # errors
                # A thread that waits for work by spinning takes time from the rest of the robot.
                options.add_session_config_entry("session.intra_op.allow_spinning", "0")
                path = self._folder / f"{part}.onnx"
                providers = self._placement.providers(self._description["profiles"].get(part))
                wanted = [p if isinstance(p, str) else p[0] for p in providers]
                # ONNX Runtime 1.23, the last for Python 3.10, fails to fuse norms between the
                # casts that fp16 needs on a CPU.
                cast = self.info.precision == "fp16" and self.info.device == "cpu"
                try:
                    # Of itself it would go on with the CPU where a provider does not start.
                    session = InferenceSession(
                        str(path),
                        options,
                        providers=providers,
                        enable_fallback=0,
                        disabled_optimizers=["SimplifiedLayerNormFusion"] if cast else None,
                    )
                    session.disable_fallback()
                except Exception as error:  # of its own kinds, one for each cause
                    with reading(path):  # without a device or a way to run it faster at fault
                        options.graph_optimization_level = GraphOptimizationLevel.ORT_DISABLE_ALL
                        InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
                    raise EngineError(
                        f"{path} cannot be loaded on {self.info.device} ({error}); choose another "
                        "precision, or the backend torch"
                    ) from error
                if session.get_providers()[0] != wanted[0]:
                    raise EngineError(
                        f"{wanted[0]} does not start on {self.info.device}; ONNX Runtime's log "
                        "says why, most often a library of CUDA, cuDNN or TensorRT is missing"
                    )
                names = [put.name for put in session.get_inputs()]
                self._sessions[part] = session, names
            return self._sessions[part]


def _read_table(folder: Path, name: str) -> NDArray[Any]:
    path = folder / f"{name}.npy"
    with reading(path):
        table: NDArray[Any] = np.load(path, mmap_mode="r")
        return table


def _read_tokenizer(folder: Path, file: str) -> TextTokenizer:
    with reading(folder / file):
        return TextTokenizer(folder / file)


def _asker(
    about: Mapping[str, Any],
    tokenizer: Callable[[str], TextTokenizer],
    table: Callable[[str], NDArray[np.float32]],
) -> Callable[[tuple[str, ...]], tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """What turns Q queries into token embeddings (Q, L, E) and their mask (Q, L).

    Standing queries are the same for every frame, so that results are kept. It knows nothing of
    the backend: a cache that did would hold its memory until Python looks for cycles.
    """

    @lru_cache(_ASKED)
    def ask(queries: tuple[str, ...]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        ids, mask = tokenizer(about["tokenizer"])(queries, about["max_tokens"])
        return table("query")[ids], mask

    return ask
