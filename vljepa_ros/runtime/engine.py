"""The one object through which nodes, demo and evaluation use a model."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vljepa_ros.errors import CheckpointError, EngineError, InputError
from vljepa_ros.runtime.backend import PARTS, Backend, EngineConfig
from vljepa_ros.runtime.images import to_input_size

WEIGHTS_FOLDER = Path(__file__).resolve().parent.parent / "weights"
MAX_TEXT_LENGTH = 2000  # characters
UNSURE = "I don't know"
# Of a text that the nodes tell; chosen on the validation split (docs/model_card.md).
MIN_CONFIDENCE = 0.5
# What the nodes ask unless they are told otherwise, and the frames a second that they process.
STREAM_QUERY, LABEL_QUERY = "What is happening?", "What is shown?"
MAX_RATE = 4.0  # Hz
TEXT_CACHE = 4096  # embeddings of texts that are kept
_TEXT_BATCH = 64  # texts embedded together


@dataclass(frozen=True)
class Decoded:
    """Text of an embedding; confidence is the Y-Decoder's probability of the text, in [0, 1].

    An unsure text is UNSURE; the confidence is then that of what would have been said.
    """

    text: str
    confidence: float

    def if_sure(self, min_confidence: float) -> Decoded:
        """Itself, or UNSURE with the same confidence where that is lower."""
        return self if self.confidence >= min_confidence else Decoded(UNSURE, self.confidence)


@dataclass(frozen=True)
class Ranking:
    """Candidates against an embedding: index of the nearest, (K,) softmax and (K,) cosines.

    Cosines of an answer and its rivals lie close together; the softmax's temperature spreads
    them.
    """

    best: int
    scores: NDArray[np.float32]
    similarities: NDArray[np.float32]


class Engine:
    """Runs a loaded model; every method may be called from any thread.

    A method that needs a part that the engine was loaded without raises EngineError.

    Args:
        backend: which computes.
        parts: of `PARTS`, which may be used.

    Attributes:
        info: what runs.
    """

    def __init__(self, backend: Backend, parts: Collection[str] = PARTS) -> None:
        self.info = backend.info
        self._backend = backend
        self._parts = parts
        self._text_lock = threading.Lock()  # the libraries take calls from any thread
        self._texts: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    @classmethod
    def load(cls, model: str = "vljepa-tiny", config: EngineConfig | None = None) -> Engine:
        """Load a checkpoint.

        Args:
            model: name of a shipped model, a folder with config.json and model.safetensors, or
                a CLIP or SigLIP of the Hugging Face hub.
            config: how to run it; by default with torch on the CPU.

        Raises:
            CheckpointError: the model is missing or damaged.
            EngineError: it cannot be run in this way.
        """
        from vljepa_ros.runtime.choice import load_backend

        config = config or EngineConfig()
        return cls(load_backend(find_model(model), config), config.parts)

    def encode_frames(self, frames: Sequence[NDArray[np.uint8]]) -> NDArray[Any]:
        """Visual tokens of frames, each on its own, so that callers can keep them.

        Args:
            frames: F images (H, W, 3) uint8 RGB of any size; or an array of them.

        Returns:
            (F, ...), a row for each frame.

        Raises:
            InputError: no frame, or one that is not such an image.
        """
        self._need("x_encoder")
        if len(frames) == 0:
            raise InputError("there are no frames to encode; give at least one")
        size = self.info.input_width
        batch = np.stack([to_input_size(frame, size) for frame in frames])
        return self._backend.encode_frames(batch)

    def predict(
        self, tokens: Sequence[NDArray[Any]], queries: Sequence[str]
    ) -> NDArray[np.float32]:
        """Predict the embedding of each query's answer, all queries in one pass.

        Args:
            tokens: 1 to `info.window_frames` rows of `encode_frames`, oldest first; the oldest
                is repeated when there are fewer, as the paper repeats an image to fill a clip
                (section 3.1).
            queries: Q texts.

        Returns:
            (Q, D) float32, L2-normalised.

        Raises:
            InputError: no or too many frames, tokens of another model, no query, or a text that
                cannot be used.
        """
        self._need("x_encoder", "predictor")
        length = self.info.window_frames
        if not 1 <= len(tokens) <= length:
            raise InputError(f"a window has 1 to {length} frames, not {len(tokens)}")
        shapes, expected = {row.shape for row in tokens}, self.info.frame_tokens
        if len(shapes) > 1 or (expected is not None and shapes != {expected}):
            raise InputError(
                f"a frame has tokens of the shape {expected or 'that encode_frames gives'} with "
                f"{self.info.model_id}, not {sorted(shapes)}; were they made by another model?"
            )
        cleaned = _checked(queries, "query")
        window = np.stack([tokens[0]] * (length - len(tokens)) + list(tokens))
        return self._backend.predict(self._backend.encode_window(window), cleaned)

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts; embeddings of recent texts are kept.

        Returns:
            (K, D) float32, L2-normalised.

        Raises:
            InputError: no text, one that is empty or too long, or a single text without a list.
        """
        self._need("y_encoder")
        cleaned = _checked(texts, "text")
        with self._text_lock:
            known = {text: self._texts[text] for text in cleaned if text in self._texts}
        # Not under the lock: the many candidates of a question would hold up a frame's labels.
        new = sorted({text for text in cleaned if text not in known}, key=lambda t: (len(t), t))
        for start in range(0, len(new), _TEXT_BATCH):  # those of like length: padding costs too
            part = new[start : start + _TEXT_BATCH]
            known.update(zip(part, self._backend.encode_text(part), strict=True))
        with self._text_lock:
            for text, row in known.items():
                self._texts[text] = row
                self._texts.move_to_end(text)
            while len(self._texts) > TEXT_CACHE:
                self._texts.popitem(last=False)
        return np.stack([known[text] for text in cleaned])

    def decode(self, embeddings: NDArray[Any], min_confidence: float = 0.0) -> list[Decoded]:
        """Decode embeddings into text.

        Args:
            embeddings: (B, D). In int8 those that are decoded together share scales, so that now
                and then a word is another one than if each were decoded alone.
            min_confidence: a text less sure than this becomes UNSURE, with its confidence, so
                that a robot does not invent.

        Raises:
            InputError: another shape, NaN, infinity or a vector of length zero.
        """
        self._need("y_decoder")
        unit = self.unit(embeddings)
        if len(unit) == 0:
            return []
        texts, shares = self._backend.decode(unit)
        confidences = [
            share if text else 0.0 for text, share in zip(texts, shares.tolist(), strict=True)
        ]
        return [
            Decoded(text, confidence).if_sure(min_confidence)
            for text, confidence in zip(texts, confidences, strict=True)
        ]

    def rank(
        self, embedding: NDArray[Any], candidates: Sequence[str] | NDArray[np.float32]
    ) -> Ranking:
        """Compare an embedding (D,) with candidate answers or labels.

        Args:
            embedding: of this model's space.
            candidates: K texts, or what `encode_text` made of them.

        Raises:
            InputError: an embedding or a candidate that cannot be used.
        """
        if not isinstance(candidates, np.ndarray):
            candidates = self.encode_text(candidates)
        similarities = candidates @ self.unit(embedding[None])[0]
        logits = similarities / self.info.temperature
        scores = np.exp(logits - logits.max())
        return Ranking(int(similarities.argmax()), scores / scores.sum(), similarities)

    def unit(self, embeddings: NDArray[Any]) -> NDArray[np.float32]:
        """Embeddings (B, D) of this model's space, L2-normalised.

        Raises:
            InputError: another shape, NaN, infinity or a vector of length zero.
        """
        dim = self.info.embedding_dim
        if embeddings.ndim != 2 or embeddings.shape[1] != dim:
            raise InputError(
                f"embeddings of {self.info.model_id} have the dimension {dim}, "
                f"not the shape {embeddings.shape}; was it made by another model?"
            )
        # The squares of large float32 would overflow, and make it a vector of zeros.
        values = np.asarray(embeddings, dtype=np.float64)
        norms = np.linalg.norm(values, axis=1, keepdims=True)
        if not np.isfinite(norms).all() or not (norms > 1e-6).all():
            raise InputError("an embedding has NaN, infinity or the length zero; drop it")
        return (values / norms).astype(np.float32)

    def _need(self, *parts: str) -> None:
        if missing := [part for part in parts if part not in self._parts]:
            raise EngineError(
                f"{self.info.model_id} was loaded without {', '.join(missing)}; name that among "
                "the parts of its EngineConfig"
            )


def find_model(model: str) -> Path:
    """Folder of a shipped model's name, `model` itself when it is a folder, or the hub's copy.

    Raises:
        CheckpointError: there is no such model; the message lists the shipped names.
    """
    folder = Path(model).expanduser()
    for candidate in (WEIGHTS_FOLDER / model, folder):
        if model and candidate.is_dir():
            return candidate
    if model.count("/") == 1 and not folder.is_absolute():
        from vljepa_ros.model.weights import find_weights

        return find_weights(model)
    shipped = sorted(p.name for p in WEIGHTS_FOLDER.glob("*") if p.is_dir())
    raise CheckpointError(
        f"there is no model {model!r}: give one of {shipped} or the path of a folder with "
        "config.json and model.safetensors"
    )


def _checked(texts: Sequence[str], what: str) -> list[str]:
    if isinstance(texts, str):
        raise InputError(f"give a list of texts, not the {what} {texts[:40]!r} alone")
    if len(texts) == 0:
        raise InputError(f"there is no {what}; give at least one")
    return [check_text(text, what) for text in texts]


def check_text(text: str, what: str) -> str:
    """Strip a text from outside.

    Raises:
        InputError: it is empty, longer than MAX_TEXT_LENGTH characters, or no valid Unicode.
    """
    text = text.strip()
    if not text:
        raise InputError(f"the {what} is empty; give some words")
    if len(text) > MAX_TEXT_LENGTH:
        raise InputError(f"the {what} has {len(text)} characters; give at most {MAX_TEXT_LENGTH}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the {what} is no valid Unicode ({error}); decode it again") from error
    return text
