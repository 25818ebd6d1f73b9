"""What labels of photographs come to without training: ImageNet's classes through MiniLM.

    python benchmarks/image_net_floor.py

ConvSE (Norouzi et al., arXiv 1312.5650): the embeddings of the names of ImageNet's classes, as
likely as EfficientNet-Lite0's own head holds them, have a mean, which is compared with the labels.
It is the first of the class tokens that vljepa-tiny's predictor is given. The photographs and the
ten labels are those of `vljepa eval`: what a trained model reaches above this, it has learned.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vljepa_ros.model import VLJEPA, VLJEPAConfig
from vljepa_ros.runtime.images import to_input_size
from vljepa_ros.training.photographs import draw_choices, load_photographs

WAYS = 10


@torch.inference_mode()
def main() -> None:
    """Print both metrics."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of `vljepa data`")
    photographs = load_photographs(parser.parse_args().data / "sources")
    model = VLJEPA(VLJEPAConfig()).eval()
    model.load_pretrained()
    encoder, minilm = model.x_encoder, model.y_encoder  # its head into the shared space: identity
    frames = np.stack([to_input_size(p.rgb, model.image_size) for p in photographs])
    tokens = encoder.encode_frames(torch.from_numpy(frames).permute(0, 3, 1, 2))
    embeddings = tokens[:, -encoder.class_tokens, : encoder.class_dim]

    labels = sorted({photograph.label for photograph in photographs})
    texts = dict(zip(labels, minilm(labels), strict=True))

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
