"""Typed configuration of a VL-JEPA, one dataclass a part, saved beside the weights as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

from vljepa_ros.errors import CheckpointError

T = TypeVar("T")


@dataclass(frozen=True)
class XEncoderConfig:
    """The frozen image encoder: EfficientNet-Lite0, feature maps of three depths."""

    image_size: int = 224  # pixels a side; a multiple of 32


@dataclass(frozen=True)
class WindowConfig:
    """The frames that one embedding is computed from."""

    frames: int = 4  # a multiple of `tubelet`
    period: float = 0.5  # seconds between neighbouring frames
    tubelet: int = 2  # neighbouring frames joined into one token, as in V-JEPA 2


@dataclass(frozen=True)
class PredictorConfig:
    """Llama-style blocks with bidirectional attention (paper section 3.1)."""

    width: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 4
    ffn_width: int = 704
    dropout: float = 0.0
    max_query_tokens: int = 64


@dataclass(frozen=True)
class YEncoderConfig:
    """MiniLM-L6-v2 (frozen) with a linear head into the shared space."""

    max_tokens: int = 128


@dataclass(frozen=True)
class YDecoderConfig:
    """A small causal decoder that reads an embedding as a prefix of a few tokens."""

    width: int = 256
    layers: int = 3
    heads: int = 4
    ffn_width: int = 704
    prefix_tokens: int = 4
    max_tokens: int = 40
    vocabulary: int = 0  # number of WordPiece tokens that it can say; set when it is built


@dataclass(frozen=True)
class VLJEPAConfig:
    """A whole model.

    Raises:
        CheckpointError: a number that does not fit the others.
    """

    name: str = "vljepa-tiny"
    embedding_dim: int = 384  # width of the shared space
    x_encoder: XEncoderConfig = field(default_factory=XEncoderConfig)
    window: WindowConfig = field(default_factory=WindowConfig)
    predictor: PredictorConfig = field(default_factory=PredictorConfig)
    y_encoder: YEncoderConfig = field(default_factory=YEncoderConfig)
    y_decoder: YDecoderConfig = field(default_factory=YDecoderConfig)

    def __post_init__(self) -> None:
        if self.x_encoder.image_size % 32:
            raise CheckpointError(
                f"x_encoder.image_size is {self.x_encoder.image_size}; give a multiple of 32"
            )
        if self.window.frames % self.window.tubelet:
            raise CheckpointError(
                f"window.frames is {self.window.frames}, which window.tubelet "
                f"{self.window.tubelet} does not divide"
            )
        for part in (self.predictor, self.y_decoder):
            if part.width % (2 * part.heads):
                raise CheckpointError(
                    f"width {part.width} does not divide into {part.heads} heads of even width"
                )

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dictionary, the inverse of `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> VLJEPAConfig:
        """Build from a nested mapping.

        Raises:
            CheckpointError: a key that no field has, or a value that does not fit.
        """
        return _build(cls, values, "config")


def _build(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """Fill a dataclass strictly, so that a misspelt key never turns into a default."""
    if not isinstance(values, Mapping):
        raise CheckpointError(f"{where} must be a mapping, not {type(values).__name__}")
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - known):
        raise CheckpointError(f"{where} has unknown keys {unknown}; known are {sorted(known)}")
    hints = get_type_hints(kind)
    built: dict[str, Any] = {}
    for key, value in values.items():
        expected = hints[key]
        if is_dataclass(expected):
            built[key] = _build(expected, value, f"{where}.{key}")  # type: ignore[arg-type]
        elif expected is float and isinstance(value, int) and not isinstance(value, bool):
            built[key] = float(value)
        elif type(value) is expected:
            built[key] = value
        else:
            raise CheckpointError(
                f"{where}.{key} must be {expected.__name__}, not {type(value).__name__}"
            )
    return kind(**built)
