"""Typed configuration of a VL-JEPA: each part is chosen by the dataclass that describes it.

A part of which there is more than one kind has the field `kind`, which names its class.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from vljepa_ros.errors import CheckpointError
from vljepa_ros.model.strict import at_least, build, check_heads, check_width

# Published weights, each at one revision of its repository on the Hugging Face hub.
VJEPA2_VIT_L = "facebook/vjepa2-vitl-fpc64-256@b3c1679b7c34d3255ef3547f27c7b226aefab26f"
LLAMA_1B = "meta-llama/Llama-3.2-1B@4e20de362430cd3b72f300e6b0f18e50e7166e08"
EMBEDDING_GEMMA = "google/embeddinggemma-300m@57c266a740f537b4dc058e1b0cda161fd15afa75"
_LEAST_TOKENS = 2  # of a text: what opens and what closes it


@dataclass(frozen=True)
class EfficientNetConfig:
    """EfficientNet-Lite0: encodes every frame on its own, feature maps of three depths."""

    patch: ClassVar[int] = 32  # pixels a side, for which one token stands
    tubelet: ClassVar[int] = 1
    kind: str = "efficientnet-lite0"
    image_size: int = 224  # pixels a side; a multiple of `patch`


@dataclass(frozen=True)
class VJEPA2Config:
    """V-JEPA 2 (paper section 3.1): encodes the frames of a window together."""

    kind: str = "vjepa2"
    weights: str = VJEPA2_VIT_L  # hub name or folder
    image_size: int = 256  # pixels a side; a multiple of `patch`
    width: int = 1024
    layers: int = 24
    heads: int = 16
    patch: int = 16  # pixels a side
    tubelet: int = 2  # neighbouring frames joined into one token

    def __post_init__(self) -> None:
        at_least("x_encoder", 1, patch=self.patch, tubelet=self.tubelet, layers=self.layers)
        check_width("x_encoder", self.width, self.heads)


@dataclass(frozen=True)
class WindowConfig:
    """The frames that one embedding is computed from."""

    frames: int = 4  # a multiple of `tubelet` times that of the X-Encoder
    period: float = 0.5  # seconds between neighbouring frames
    tubelet: int = 2  # neighbouring tokens in time that the predictor joins, at each place

    def __post_init__(self) -> None:
        at_least("window", 1, frames=self.frames, tubelet=self.tubelet)
        if not 0 < self.period < math.inf:
            raise CheckpointError(f"window.period is {self.period}; give seconds, above 0")


@dataclass(frozen=True)
class QueryConfig:
    """The query's tokens: those of the Y-Encoder with its token embedding."""

    kind: str = "y-encoder"
    max_tokens: int = 64

    def __post_init__(self) -> None:
        at_least("query", _LEAST_TOKENS, max_tokens=self.max_tokens)


@dataclass(frozen=True)
class LlamaQueryConfig:
    """The query's tokens: Llama's tokenizer and frozen token embedding (paper section 3.1)."""

    kind: str = "llama"
    weights: str = LLAMA_1B  # hub name or folder
    vocabulary: int = 128_256
    width: int = 2048
    max_tokens: int = 512

    def __post_init__(self) -> None:
        at_least("query", _LEAST_TOKENS, max_tokens=self.max_tokens)


@dataclass(frozen=True)
class PredictorConfig:
    """Llama-style blocks with bidirectional attention (paper section 3.1)."""

    width: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 4
    ffn_width: int = 704
    dropout: float = 0.0
    rope_theta: float = 10_000.0
    rope_factor: float = 1.0  # Llama 3's stretching of long wavelengths; 1: none
    adapt_tokens: bool = True  # normalise visual tokens, add learned places and times
    weights: str = ""  # hub name or folder of the Llama that it starts from; empty: random
    first_layer: int = 0  # of that Llama

    def __post_init__(self) -> None:
        at_least("predictor", 1, layers=self.layers, ffn_width=self.ffn_width)
        if not 0 <= self.dropout < 1:
            raise CheckpointError(f"predictor.dropout is {self.dropout}; give 0 to below 1")
        check_heads("predictor", self.heads, self.kv_heads)
        check_width("predictor", self.width, self.heads)


@dataclass(frozen=True)
class MiniLMConfig:
    """MiniLM-L6-v2 with a linear head into the shared space."""

    kind: str = "minilm"
    max_tokens: int = 128
    trained_layers: int = 0  # of its 6, the last ones; the others are frozen

    def __post_init__(self) -> None:
        at_least("y_encoder", _LEAST_TOKENS, max_tokens=self.max_tokens)
        if not 0 <= self.trained_layers <= 6:
            raise CheckpointError(
                f"y_encoder.trained_layers is {self.trained_layers}; MiniLM has 6 layers"
            )


@dataclass(frozen=True)
class EmbeddingGemmaConfig:
    """EmbeddingGemma (trained slowly) with a linear head into the shared space."""

    kind: str = "embedding-gemma"
    weights: str = EMBEDDING_GEMMA  # hub name or folder
    vocabulary: int = 262_144
    width: int = 768
    layers: int = 24
    heads: int = 3
    kv_heads: int = 1
    head_dim: int = 256
    ffn_width: int = 1152
    max_tokens: int = 512
    sliding_window: int = 512  # tokens that most layers attend to, half of them to each side

    def __post_init__(self) -> None:
        at_least("y_encoder", _LEAST_TOKENS, max_tokens=self.max_tokens)
        check_heads("y_encoder", self.heads, self.kv_heads)


@dataclass(frozen=True)
class YDecoderConfig:
    """A small causal decoder that reads an embedding as a prefix of a few tokens."""

    decodes: ClassVar[bool] = True
    kind: str = "small"
    width: int = 256
    layers: int = 3
    heads: int = 4
    ffn_width: int = 704
    prefix_tokens: int = 4
    max_tokens: int = 40
    vocabulary: int = 0  # number of WordPiece tokens that it can say; set when it is built

    def __post_init__(self) -> None:
        at_least("y_decoder", 1, layers=self.layers, prefix_tokens=self.prefix_tokens)
        at_least("y_decoder", _LEAST_TOKENS, max_tokens=self.max_tokens)
        check_width("y_decoder", self.width, self.heads)


@dataclass(frozen=True)
class LlamaDecoderConfig:
    """Llama (frozen) that reads an embedding as a linear prefix."""

    decodes: ClassVar[bool] = True
    kind: str = "llama"
    weights: str = LLAMA_1B  # hub name or folder
    vocabulary: int = 128_256
    width: int = 2048
    layers: int = 16
    heads: int = 32
    kv_heads: int = 8
    ffn_width: int = 8192
    prefix_tokens: int = 1
    max_tokens: int = 128

    def __post_init__(self) -> None:
        at_least("y_decoder", 1, prefix_tokens=self.prefix_tokens)
        at_least("y_decoder", _LEAST_TOKENS, max_tokens=self.max_tokens)
        check_heads("y_decoder", self.heads, self.kv_heads)
        check_width("y_decoder", self.width, self.heads)


@dataclass(frozen=True)
class NoDecoderConfig:
    """No Y-Decoder: as a model is before one is trained."""

    decodes: ClassVar[bool] = False
    kind: str = "none"


@dataclass(frozen=True)
class VLJEPAConfig:
    """A whole model.

    Raises:
        CheckpointError: a number that does not fit the others.
    """

    name: str = "vljepa-tiny"
    embedding_dim: int = 384  # width of the shared space
    # Of the softmax over candidates. That which the objective learns, half of this, is too sure of
    # what it has not seen (docs/model_card.md).
    temperature: float = 0.07
    x_encoder: EfficientNetConfig | VJEPA2Config = field(default_factory=EfficientNetConfig)
    window: WindowConfig = field(default_factory=WindowConfig)
    query: QueryConfig | LlamaQueryConfig = field(default_factory=QueryConfig)
    predictor: PredictorConfig = field(default_factory=PredictorConfig)
    y_encoder: MiniLMConfig | EmbeddingGemmaConfig = field(default_factory=MiniLMConfig)
    y_decoder: YDecoderConfig | LlamaDecoderConfig | NoDecoderConfig = field(
        default_factory=YDecoderConfig
    )

    def __post_init__(self) -> None:
        at_least("model", 1, embedding_dim=self.embedding_dim)
        x_encoder, y_encoder = self.x_encoder, self.y_encoder
        size, side = x_encoder.image_size, x_encoder.patch
        if size % side or size < 2 * side:
            raise CheckpointError(
                f"x_encoder.image_size is {size}; give a multiple of {side}, at least {2 * side}"
            )
        if isinstance(x_encoder, EfficientNetConfig) and not isinstance(y_encoder, MiniLMConfig):
            raise CheckpointError(
                f"x_encoder.kind is {x_encoder.kind}, whose class tokens are in MiniLM's space; "
                "choose the y_encoder minilm"
            )
        if isinstance(self.y_decoder, YDecoderConfig) and not isinstance(y_encoder, MiniLMConfig):
            raise CheckpointError(
                "y_decoder.kind is small, which says words of MiniLM's tokenizer; choose llama or "
                "none, or the y_encoder minilm"
            )
        joined = self.window.tubelet * x_encoder.tubelet
        if self.window.frames % joined:
            raise CheckpointError(
                f"window.frames is {self.window.frames}, which the {joined} frames that share a "
                "token do not divide"
            )
        if not 0 < self.temperature < math.inf:
            raise CheckpointError(f"temperature is {self.temperature}; it must be above 0")

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dictionary, the inverse of `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> VLJEPAConfig:
        """Build from a nested mapping.

        Raises:
            CheckpointError: a key that no field has, or a value that does not fit.
        """
        return build(cls, values, "config")
