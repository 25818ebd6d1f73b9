"""Which class each kind of part is; the one place that knows."""

from __future__ import annotations

from vljepa_ros.errors import CheckpointError
from vljepa_ros.model.config import (
    EfficientNetConfig,
    EmbeddingGemmaConfig,
    LlamaDecoderConfig,
    LlamaQueryConfig,
    MiniLMConfig,
    NoDecoderConfig,
    QueryConfig,
    VJEPA2Config,
    YDecoderConfig,
)
from vljepa_ros.model.efficientnet import EfficientNet
from vljepa_ros.model.embedding_gemma import EmbeddingGemma
from vljepa_ros.model.llama_decoder import LlamaDecoder
from vljepa_ros.model.minilm import MiniLM, minilm_tokenizer
from vljepa_ros.model.query import LlamaQuery, Query
from vljepa_ros.model.vjepa2 import VJEPA2
from vljepa_ros.model.x_encoder import XEncoder
from vljepa_ros.model.y_decoder import NoDecoder, SmallDecoder, YDecoder
from vljepa_ros.model.y_encoder import YEncoder


def build_x_encoder(config: EfficientNetConfig | VJEPA2Config) -> XEncoder:
    """The X-Encoder that the configuration describes, without weights."""
    return VJEPA2(config) if isinstance(config, VJEPA2Config) else EfficientNet(config)


def build_y_encoder(config: MiniLMConfig | EmbeddingGemmaConfig, embedding_dim: int) -> YEncoder:
    """The Y-Encoder that the configuration describes, without weights."""
    if isinstance(config, EmbeddingGemmaConfig):
        return EmbeddingGemma(config, embedding_dim)
    return MiniLM(config, embedding_dim)


def build_query(config: QueryConfig | LlamaQueryConfig, y_encoder: YEncoder) -> Query:
    """The query's tokens, without weights.

    Raises:
        CheckpointError: it is to share the table of a Y-Encoder that trains its own.
    """
    if isinstance(config, LlamaQueryConfig):
        return LlamaQuery(config)
    if not isinstance(y_encoder, MiniLM):
        raise CheckpointError("query.kind is y-encoder, which must be minilm then; take llama")
    return Query(y_encoder.token_embedding, minilm_tokenizer, config.max_tokens)


def build_y_decoder(
    config: YDecoderConfig | LlamaDecoderConfig | NoDecoderConfig,
    embedding_dim: int,
    y_encoder: YEncoder,
) -> YDecoder:
    """The Y-Decoder that the configuration describes, without weights."""
    if isinstance(config, NoDecoderConfig):
        return NoDecoder()
    if isinstance(config, LlamaDecoderConfig):
        return LlamaDecoder(config, embedding_dim)
    return SmallDecoder(config, embedding_dim, y_encoder.tokenizer)
