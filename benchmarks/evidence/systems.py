"""Ways to choose among texts for a window: by a shared space, by words, by perplexity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from evidence.token_model import TokenModel
from vljepa_ros.model.x_encoder import XEncoder
from vljepa_ros.runtime import Engine
from vljepa_ros.training.paraphrases import Embed
from vljepa_ros.training.phrases import CAPTION_QUERIES
from vljepa_ros.training.trials import Draw

_PASS = 8  # windows at once
_CAPTION_QUERY = CAPTION_QUERIES[0]


class System(Protocol):
    """Whatever can say how well texts fit windows."""

    def scores(
        self, drawn: Sequence[Draw], candidates: Sequence[str], answering: bool
    ) -> NDArray[np.float32]:
        """How well each of K texts fits each of B windows with its query: higher is better.

        Args:
            drawn: B windows and queries.
            candidates: K texts.
            answering: whether they answer the query, and mean nothing without it ("yes").

        Returns:
            (B, K), to be compared within a row and within a column.
        """


class Nearest:
    """Cosines in one space.

    Args:
        see: what a window and its query are in the space, (D,) of length 1.
        embed: what texts are in it, (K, D) of length 1.
        joins: whether `see` knows nothing of the query, so that the texts have to repeat it.
    """

    def __init__(
        self,
        see: Callable[[Draw], NDArray[np.float32]],
        embed: Callable[[Sequence[str]], NDArray[np.float32]],
        joins: bool,
    ) -> None:
        self.see, self.embed, self.joins = see, embed, joins

    def scores(
        self, drawn: Sequence[Draw], candidates: Sequence[str], answering: bool
    ) -> NDArray[np.float32]:
        """See `System`."""
        rows = []
        for draw in drawn:
            query = draw[0].query
            texts = (
                [f"{query} {c}" for c in candidates] if self.joins and answering else candidates
            )
            rows.append(self.embed(texts) @ self.see(draw))
        return np.stack(rows)


class LowestPerplexity:
    """The token-space VLM, to which a text fits the better the less it surprises."""

    def __init__(self, model: TokenModel) -> None:
        self.model = model

    def scores(
        self, drawn: Sequence[Draw], candidates: Sequence[str], answering: bool
    ) -> NDArray[np.float32]:
        """See `System`."""
        rows = []
        for start in range(0, len(drawn), _PASS):
            part = drawn[start : start + _PASS]
            tokens = torch.from_numpy(np.stack([window_of(draw) for draw in part]))
            queries = [sample.query for sample, _, _ in part]
            rows.append(self.model.rank(tokens, queries, candidates).numpy())
        return np.concatenate(rows)


def shared_space(engine: Engine) -> Nearest:
    """VL-JEPA itself: the predicted embedding against those of the texts."""

    def see(draw: Draw) -> NDArray[np.float32]:
        return engine.predict(list(window_of(draw)), [draw[0].query])[0]

    return Nearest(see, engine.encode_text, joins=False)


def image_net_head(x_encoder: XEncoder, embed: Embed) -> Nearest:
    """What ImageNet's classes are seen in the whole frames, as the mean of their names.

    ConvSE (Norouzi et al., arXiv 1312.5650), as in benchmarks/image_net_floor.py; the mean over
    the frames of the window.
    """

    def see(draw: Draw) -> NDArray[np.float32]:
        classes = window_of(draw)[:, -x_encoder.class_tokens, : x_encoder.class_dim].mean(0)
        return classes / max(float(np.linalg.norm(classes)), 1e-6)

    return Nearest(see, embed, joins=True)


def decoded_caption(engine: Engine, embed: Embed) -> Nearest:
    """What the model says of the window, compared as text: no embedding of it leaves the model."""

    def see(draw: Draw) -> NDArray[np.float32]:
        predicted = engine.predict(list(window_of(draw)), [_CAPTION_QUERY])
        (said,) = engine.decode(predicted)
        return embed([said.text or "nothing"])[0]

    return Nearest(see, embed, joins=True)


def window_of(draw: Draw) -> NDArray[np.float32]:
    """Frame tokens (T, N, C)."""
    _, episode, numbers = draw
    return episode.frames[numbers].astype(np.float32)
