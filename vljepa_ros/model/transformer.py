"""Llama-style blocks, shared by the predictor (bidirectional) and the Y-Decoder (causal)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LLAMA_CONTEXT = 8192  # tokens that Llama 3 was first trained with


class Attention(nn.Module):
    """Multi-head attention with rotary positions and grouped key and value heads.

    Args:
        width: model width.
        heads: query heads; width / heads must be even.
        kv_heads: key and value heads; must divide `heads`.
    """

    def __init__(self, width: int, heads: int, kv_heads: int) -> None:
        super().__init__()
        self.head_dim = width // heads
        self.q_proj = nn.Linear(width, heads * self.head_dim, bias=False)
        self.k_proj = nn.Linear(width, kv_heads * self.head_dim, bias=False)
        self.v_proj = nn.Linear(width, kv_heads * self.head_dim, bias=False)
        self.o_proj = nn.Linear(heads * self.head_dim, width, bias=False)

    def forward(self, x: Tensor, rotary: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
        """Attend.

        Args:
            x: (B, L, width).
            rotary: (2, L, head_dim) cosines and sines.
            mask: (B, 1, 1, L) bool, True where a position may be seen; None for all.
            causal: hide the future; excludes `mask`.

        Returns:
            (B, L, width).
        """
        return self._attend(*self._project(x, rotary), mask, causal)

    def extend(
        self, x: Tensor, rotary: Tensor, mask: Tensor, past: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Attend from positions that follow others.

        Args:
            x: (B, L, width) of the new positions.
            rotary: (2, L, head_dim) of the new positions.
            mask: (L, P + L) bool, True where a position may be seen.
            past: (2, B, kv_heads, P, head_dim) keys and values of the positions before.

        Returns:
            (B, L, width), and the keys and values of all P + L positions.
        """
        q, k, v = self._project(x, rotary)
        present = torch.cat([past, torch.stack([k, v])], dim=3)
        return self._attend(q, present[0], present[1], mask, False), present

    def _project(self, x: Tensor, rotary: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values: (B, heads or kv_heads, L, head_dim)."""
        q, k, v = (
            p(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for p in (self.q_proj, self.k_proj, self.v_proj)
        )
        return rotate(q, rotary), rotate(k, rotary), v

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool
    ) -> Tensor:
        groups = q.shape[1] // k.shape[1]
        if groups > 1:
            k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        y = F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal)
        return self.o_proj(y.transpose(1, 2).flatten(2))


class SwiGLU(nn.Module):
    """Gated feed-forward network (Shazeer, arXiv 2002.05202)."""

    def __init__(self, width: int, ffn_width: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, ffn_width, bias=False)
        self.up_proj = nn.Linear(width, ffn_width, bias=False)
        self.down_proj = nn.Linear(ffn_width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    """Pre-norm attention and feed-forward with residuals."""

    def __init__(
        self, width: int, heads: int, kv_heads: int, ffn_width: int, dropout: float
    ) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(width, eps=1e-5)
        self.self_attn = Attention(width, heads, kv_heads)
        self.post_attention_layernorm = nn.RMSNorm(width, eps=1e-5)
        self.mlp = SwiGLU(width, ffn_width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, rotary: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
        x = x + self.dropout(self.self_attn(self.input_layernorm(x), rotary, mask, causal))
        return self._feed_forward(x)

    def extend(
        self, x: Tensor, rotary: Tensor, mask: Tensor, past: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `Attention.extend`."""
        y, present = self.self_attn.extend(self.input_layernorm(x), rotary, mask, past)
        return self._feed_forward(x + self.dropout(y)), present

    def _feed_forward(self, x: Tensor) -> Tensor:
        return x + self.dropout(self.mlp(self.post_attention_layernorm(x)))


class Transformer(nn.Module):
    """A stack of blocks and a final norm, as in Llama 3 (names of its checkpoints)."""

    def __init__(
        self,
        width: int,
        layers: int,
        heads: int,
        kv_heads: int,
        ffn_width: int,
        dropout: float = 0.0,
        rope_theta: float = 10_000.0,
        rope_factor: float = 1.0,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            Block(width, heads, kv_heads, ffn_width, dropout) for _ in range(layers)
        )
        self.norm = nn.RMSNorm(width, eps=1e-5)
        self.head_dim, self.kv_heads = width // heads, kv_heads
        self.rope_theta = rope_theta
        self.rope_factor = rope_factor

    def forward(self, x: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """Run all blocks.

        Args:
            x: (B, L, width).
            mask: (B, L) bool, True where a position is not padding; None for no padding.
            causal: hide the future; excludes `mask`.

        Returns:
            (B, L, width), normalised.
        """
        rotary = rotary_table(x.shape[1], self.head_dim, self.rope_theta, self.rope_factor, x)
        seen = None if mask is None else mask[:, None, None, :]
        for layer in self.layers:
            x = layer(x, rotary, seen, causal)
        return self.norm(x)

    def no_past(self, batch: int) -> Tensor:
        """Keys and values of no position, with which `extend` begins."""
        shape = (len(self.layers), 2, batch, self.kv_heads, 0, self.head_dim)
        return self.norm.weight.new_zeros(shape)

    def extend(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Run all blocks, causally, on positions that follow others.

        Args:
            x: (B, L, width) of the new positions.
            past: (layers, 2, B, kv_heads, P, head_dim) keys and values of the positions before.

        Returns:
            (B, L, width), normalised, and the keys and values of all P + L positions.
        """
        before, length = past.shape[4], past.shape[4] + x.shape[1]
        rotary = rotary_table(length, self.head_dim, self.rope_theta, self.rope_factor, x)
        places = torch.arange(length, device=x.device)
        seen = places <= places[before:, None]
        present = []
        for layer, known in zip(self.layers, past, strict=True):
            assert isinstance(layer, Block)
            x, kept = layer.extend(x, rotary[:, before:], seen, known)
            present.append(kept)
        return self.norm(x), torch.stack(present)


def rotary_table(length: int, head_dim: int, theta: float, factor: float, like: Tensor) -> Tensor:
    """Cosines and sines of rotary positions (Su et al., arXiv 2104.09864).

    Args:
        length: L, number of positions.
        head_dim: width of a head.
        theta: base of the wavelengths.
        factor: how much Llama 3 stretches long wavelengths (arXiv 2407.21783); 1: not at all.
        like: tensor whose dtype and device the table gets.

    Returns:
        (2, length, head_dim) in the dtype and on the device of `like`; the two halves of the
        last axis are rotated against each other, as in Llama.
    """
    pairs = torch.arange(0, head_dim, 2, device=like.device, dtype=torch.float32)
    frequencies = theta ** (-pairs / head_dim)
    if factor != 1:
        # Kept where a wave ends four times or more in Llama's first context, stretched where it
        # does not end once, in between in between.
        waves = _LLAMA_CONTEXT * frequencies / (2 * math.pi)
        kept = ((waves - 1) / 3).clamp(0, 1)
        frequencies = frequencies * (kept + (1 - kept) / factor)
    angles = torch.arange(length, device=like.device)[:, None] * frequencies
    angles = torch.cat([angles, angles], dim=-1)
    return torch.stack([angles.cos(), angles.sin()]).to(like.dtype)


def rotate(x: Tensor, rotary: Tensor) -> Tensor:
    """Apply `rotary_table` to (B, heads, L, head_dim)."""
    first, second = x.chunk(2, dim=-1)
    return x * rotary[0] + torch.cat([-second, first], dim=-1) * rotary[1]
