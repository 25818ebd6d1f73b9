"""CLIP and SigLIP behind the interface of VL-JEPA: no query and no text, but the whole world."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vljepa_ros.errors import CheckpointError, InputError
from vljepa_ros.model.config import WindowConfig
from vljepa_ros.model.tokenizer import published_tokenizer, tensors
from vljepa_ros.model.weights import how_to_mend, published_name
from vljepa_ros.tokenizer import TextTokenizer

KINDS = ("clip", "siglip")  # model_type of config.json; fixed-size SigLIP 2 is a siglip too
# Without a query there is no motion to tell: a window only steadies the embedding.
_WINDOW = WindowConfig(frames=4, period=0.25, tubelet=1)


class DualEncoder(nn.Module):
    """CLIP (arXiv 2103.00020), SigLIP (2303.15343) or SigLIP 2 (2502.14786) of transformers.

    An image's embedding lies in the space of the text encoder. The embedding of a window is the
    mean of its images', whatever is asked; and nothing turns it back into text.

    Args:
        network: transformers' CLIPModel or SiglipModel.
        tokenizer: its own.
        pad_token: which fills short texts, for SigLIP.
        pixels: mean and standard deviation of each color, in [0, 1].
        name: for messages.
    """

    conditioned = False
    decodes = False
    window = _WINDOW
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: Any,
        tokenizer: TextTokenizer,
        pad_token: int,
        pixels: tuple[Sequence[float], Sequence[float]],
        name: str,
    ) -> None:
        super().__init__()
        self.network = network
        self.name = name
        config = network.config
        self.image_size = int(config.vision_config.image_size)
        self._tokenizer = tokenizer
        self._pad_token = pad_token
        self._max_tokens = int(config.text_config.max_position_embeddings)
        # SigLIP was trained on lower-case texts that fill its whole context.
        self._is_siglip = config.model_type == "siglip"
        self.embedding_dim = int(
            config.vision_config.hidden_size if self._is_siglip else config.projection_dim
        )
        # As it was trained; SigLIP's other number, its bias, is the same for all candidates.
        self.temperature = 1 / float(network.logit_scale.detach().exp())
        for buffer, values in zip(("mean", "std"), pixels, strict=True):
            self.register_buffer(buffer, torch.tensor(values).view(3, 1, 1), persistent=False)

    def encode_frames(self, frames: Tensor) -> Tensor:
        """Embeddings of single images.

        Args:
            frames: (F, 3, S, S) uint8 RGB.

        Returns:
            (F, D), L2-normalised.
        """
        pixels = (frames.to(self.mean.dtype) / 255 - self.mean) / self.std
        return F.normalize(_pooled(self.network.get_image_features(pixels)).float(), dim=-1)

    def encode_window(self, window: Tensor) -> Tensor:
        """The embeddings of the frames as they are: (B, T, D)."""
        return window

    def predict(self, tokens: Tensor, queries: Sequence[str]) -> Tensor:
        """The mean of the images, the same for every query.

        Args:
            tokens: (1, T, D) of `encode_window`.
            queries: Q texts.

        Returns:
            (Q, D) L2-normalised.
        """
        return F.normalize(tokens.mean(1), dim=-1).expand(len(queries), -1)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Embed texts: (B, D), L2-normalised."""
        device = self.mean.device
        ids, mask = tensors(self._tokenizer, self._canonical(texts), self._max_tokens)
        if self._is_siglip:
            ids = ids.masked_fill(~mask, self._pad_token)
            ids = F.pad(ids, (0, self._max_tokens - ids.shape[1]), value=self._pad_token)
            features = self.network.get_text_features(input_ids=ids.to(device))
        else:
            features = self.network.get_text_features(
                input_ids=ids.to(device), attention_mask=mask.long().to(device)
            )
        return F.normalize(_pooled(features).float(), dim=-1)

    def decode(self, embeddings: Tensor) -> tuple[list[str], Tensor]:
        """Always refused.

        Raises:
            InputError: a dual encoder has no decoder.
        """
        raise InputError(
            f"{self.name} cannot write text: give candidates to choose from, or use a VL-JEPA"
        )

    def _canonical(self, texts: Sequence[str]) -> list[str]:
        return [text.lower() for text in texts] if self._is_siglip else list(texts)


def load_dual_encoder(folder: Path) -> DualEncoder:
    """Load a folder that transformers' save_pretrained wrote, or a copy of a hub repository.

    Raises:
        CheckpointError: a file is missing or damaged, or a tensor is missing or left over.
    """
    from transformers import CLIPModel, SiglipModel

    kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    maker: Any = {"clip": CLIPModel, "siglip": SiglipModel}[kind]
    try:
        network, found = maker.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
        pixels = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        statistics = pixels["image_mean"], pixels["image_std"]
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{folder} cannot be loaded ({error}); {how_to_mend(folder)}"
        ) from error
    for fault in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if found[fault]:
            raise CheckpointError(f"{folder}: {fault.replace('_', ' ')} {sorted(found[fault])}")
    tokenizer = published_tokenizer(str(folder))
    pad = _pad_token(folder, tokenizer, int(network.config.text_config.pad_token_id or 0))
    name = published_name(folder)
    return DualEncoder(network.float(), tokenizer, pad, statistics, name).eval()


def _pad_token(folder: Path, tokenizer: TextTokenizer, default: int) -> int:
    """The tokenizer's own; the model's configuration often names another model's."""
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    named = settings.get("pad_token")
    text = named.get("content") if isinstance(named, dict) else named
    found = tokenizer.tokenizer.token_to_id(text) if text else None
    return default if found is None else found


def _pooled(features: Any) -> Tensor:
    """One vector an input, in whichever form this version of transformers returns it."""
    return features if isinstance(features, Tensor) else features.pooler_output
