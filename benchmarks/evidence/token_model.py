"""A token-space VLM of VL-JEPA's own parts: it writes its answer word by word (paper section 4.5).

The module is the predictor itself, with more layers: visual tokens, then the query, both as in
VL-JEPA; then the answer, causally. Words of the answer enter as those of the query do, through
the same frozen table, and its output projection ends in that table's space, where the product with
a word's row is the word's logit. So both arms know words by MiniLM's table alone, and neither has
parameters of another kind than the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from vljepa_ros.model import VLJEPA
from vljepa_ros.model.config import PredictorConfig
from vljepa_ros.model.predictor import Predictor
from vljepa_ros.model.tokenizer import tensors
from vljepa_ros.model.transformer import Block, rotary_table
from vljepa_ros.model.y_decoder import END, START
from vljepa_ros.training.dataset import Batch

_MAX_TOKENS = 40  # of an answer, from start to end; as the Y-Decoder's
_PACKED = 256  # tokens of candidates that are ranked in one pass
_UNTAUGHT = -1  # target on padding, and for words that it does not have


@dataclass(frozen=True)
class Memory:
    """Keys and values of B windows with their queries, and of the text so far.

    Attributes:
        past: for each layer (2, B, kv_heads, P, head_dim).
        seen: (B, P) bool, False on padding.
    """

    past: list[Tensor]
    seen: Tensor


class TokenModel(nn.Module):
    """Next-token prediction over the answer, attending both ways over window and query.

    Args:
        config: of the predictor's blocks.
        base: whose frozen parts it shares: X-Encoder and query.
        words: (V,) WordPiece numbers that it may say; `vocabulary_of` the training texts.
    """

    words: Tensor

    def __init__(self, config: PredictorConfig, base: VLJEPA, words: Tensor) -> None:
        super().__init__()
        self.query = base.query
        self.body = Predictor(
            config, base.window, base.x_encoder, base.query.dim, embedding_dim=base.query.dim
        )
        self.register_buffer("words", words.unique())  # sorted

    def tokenize(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """WordPiece numbers of texts, from start to end: (B, L) int64 and the mask (B, L)."""
        ids, mask = tensors(self.query.tokenizer, texts, _MAX_TOKENS)
        return ids.to(self.words.device), mask.to(self.words.device)

    def read(self, tokens: Tensor, queries: Sequence[str]) -> Memory:
        """Read windows (B, T, N, C) and their queries, all of which see each other."""
        query, real = self.query(queries)
        visual = self.body.visual(tokens)
        x = torch.cat([visual, self.body.query_projection(query)], dim=1)
        seen = torch.cat([real.new_ones(visual.shape[:2]), real], dim=1)
        rotary = self._rotary(torch.arange(x.shape[1], device=x.device).expand_as(seen), x)
        past = []
        nothing = self.body.transformer.no_past(len(x))
        for layer, known in zip(self._layers(), nothing, strict=True):
            x, kept = layer.extend(x, rotary, seen[:, None, None], known)
            past.append(kept)
        return Memory(past, seen)

    def follow(
        self, text: Tensor, memory: Memory, places: Tensor, allowed: Tensor
    ) -> tuple[Tensor, Memory]:
        """Go on with text.

        Args:
            text: (B, L) WordPiece numbers.
            memory: of what comes before it.
            places: (L,) positions, counted from the end of what is in memory.
            allowed: (L, L) bool, which text tokens (columns) each one sees.

        Returns:
            (B, L, query_dim) outputs, whose product with a word's row of the table is the logit of
            the word that comes next; and the memory with the text in it.
        """
        x = self.body.query_projection(self.query.embedding(text))
        before = memory.seen[:, None, None].expand(-1, 1, len(places), -1)
        mask = torch.cat([before, allowed.expand(len(x), 1, -1, -1)], dim=-1)
        # Padding between query and text takes no position, so that a batch changes nothing.
        rotary = self._rotary(memory.seen.sum(1, keepdim=True) + places, x)
        past = []
        for layer, known in zip(self._layers(), memory.past, strict=True):
            x, kept = layer.extend(x, rotary, mask, known)
            past.append(kept)
        seen = torch.cat([memory.seen, memory.seen.new_ones(text.shape)], dim=1)
        outputs = self.body.output_projection(self.body.transformer.norm(x))
        return outputs, Memory(past, seen)

    def forward(self, tokens: Tensor, queries: Sequence[str], text: Tensor) -> Tensor:
        """Logits (B, L, V) over `words` of what follows each of an answer's tokens (B, L)."""
        length = text.shape[1]
        places = torch.arange(length, device=text.device)
        causal = places <= places[:, None]
        outputs, _ = self.follow(text, self.read(tokens, queries), places, causal)
        return self._logits(outputs, self.words)

    @torch.no_grad()
    def generate(self, tokens: Tensor, queries: Sequence[str]) -> list[str]:
        """Greedy answers to the queries about windows (B, T, N, C); keys and values are kept."""
        memory = self.read(tokens, queries)
        token = torch.full((len(queries),), START, device=tokens.device)
        first = torch.zeros(1, dtype=torch.int64, device=tokens.device)
        alone = torch.ones(1, 1, dtype=torch.bool, device=tokens.device)
        ended = torch.zeros_like(token, dtype=torch.bool)
        told = []
        for _ in range(_MAX_TOKENS - 1):
            outputs, memory = self.follow(token[:, None], memory, first, alone)
            best = self._logits(outputs[:, -1], self.words).argmax(-1)
            token = self.words[best].long().masked_fill(ended, END)
            told.append(token)
            ended = token == END
            if bool(ended.all()):
                break
        rows = torch.stack(told, dim=1).tolist()
        return self.query.tokenizer.texts([[t for t in row if t != END] for row in rows])

    @torch.no_grad()
    def rank(self, tokens: Tensor, queries: Sequence[str], candidates: Sequence[str]) -> Tensor:
        """Mean log-likelihood of a candidate's tokens, its end included: minus its log perplexity.

        Words that only candidates have take part as well: their rows are in the table.

        Args:
            tokens: (B, T, N, C) windows.
            queries: B.
            candidates: K answers.

        Returns:
            (B, K).
        """
        memory = self.read(tokens, queries)
        ids, mask = self.tokenize(candidates)
        words = torch.cat([self.words, ids[mask].int()]).unique()
        scores = [
            self._likelihoods(ids[part], mask[part], memory, words) for part in _parts(mask.sum(1))
        ]
        return torch.cat(scores, dim=1)

    def caption(self, tokens: NDArray[Any], query: str) -> str:
        """What it says of one window (T, N, C) of frame tokens."""
        window = torch.from_numpy(tokens).to(self.words.device, torch.float32)
        return self.generate(window[None], [query])[0]

    def _likelihoods(self, ids: Tensor, mask: Tensor, memory: Memory, words: Tensor) -> Tensor:
        """All candidates (K, L) in one row, in which each sees itself alone: (B, K)."""
        real = mask[:, 1:]  # a token that another one follows
        owner, places = real.nonzero(as_tuple=True)
        allowed = (owner[:, None] == owner) & (places <= places[:, None])
        text = ids[:, :-1][real].expand(len(memory.seen), -1)
        outputs, _ = self.follow(text, memory, places, allowed)
        right = torch.searchsorted(words, ids[:, 1:][real].int())
        logits = self._logits(outputs, words).float()
        chosen = logits.gather(-1, right.expand(len(logits), -1)[..., None]).squeeze(-1)
        likely = chosen - logits.logsumexp(-1)  # (B, M)
        sums = likely.new_zeros(len(likely), len(ids)).index_add_(1, owner, likely)
        return sums / real.sum(1)

    def _logits(self, outputs: Tensor, words: Tensor) -> Tensor:
        return F.linear(outputs, self.query.embedding(words.long()))

    def _layers(self) -> Iterator[Block]:
        for layer in self.body.transformer.layers:
            assert isinstance(layer, Block)
            yield layer

    def _rotary(self, places: Tensor, like: Tensor) -> Tensor:
        """(2, B, 1, L, head_dim) of positions (B, L)."""
        blocks = self.body.transformer
        length = int(places.max()) + 1
        table = rotary_table(length, blocks.head_dim, blocks.rope_theta, blocks.rope_factor, like)
        return table[:, places][:, :, None]


class TokenStep(nn.Module):
    """Next-token cross-entropy of the answers' wordings: trains all of a TokenModel's body."""

    def __init__(self, model: TokenModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Tensor:
        """Loss of a batch: scalar."""
        device = self.model.words.device
        half = torch.is_autocast_enabled(device.type)
        dtype = torch.get_autocast_dtype(device.type) if half else torch.float32
        queries = [sample.query for sample in batch.samples]
        text, mask = self.model.tokenize(batch.texts)
        logits = self.model(batch.frames.to(device, dtype), queries, text[:, :-1])
        words, told = self.model.words, text[:, 1:].int()
        right = torch.searchsorted(words, told).clamp(max=len(words) - 1)
        known = mask[:, 1:] & (words[right] == told)
        right = right.masked_fill(~known, _UNTAUGHT)
        return F.cross_entropy(
            logits.float().flatten(0, 1), right.flatten(), ignore_index=_UNTAUGHT
        )


def _parts(lengths: Tensor) -> list[slice]:
    """Runs of candidates of at most _PACKED tokens together, or of one."""
    parts, start, held = [], 0, 0
    for number, length in enumerate(lengths.tolist()):
        if held and held + length > _PACKED:
            parts.append(slice(start, number))
            start, held = number, 0
        held += length
    return [*parts, slice(start, len(lengths))]
