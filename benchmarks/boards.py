"""What the models should cost on Jetson boards, computed from their graphs: no board is needed.

    python benchmarks/boards.py            # prints the tables of docs/jetson.md

The graphs are those that `vljepa export` writes, built without weights. For each, the arithmetic
and the bytes that go through memory give a lower bound of its time (the roofline); what boards are
published to reach of that bound turns it into an expectation.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from vljepa_ros.model import VLJEPA, VLJEPAConfig
from vljepa_ros.runtime.graphs import graphs

CONFIGS = Path(__file__).resolve().parents[1] / "config" / "models"
BYTES = 2  # of a number in fp16


@dataclass(frozen=True)
class Board:
    """Published peaks: dense fp16 of the GPU in FLOP/s, memory in bytes/s and in bytes."""

    name: str
    peak: float
    bandwidth: float
    memory: float


# Dense fp16 is a quarter of the advertised sparse int8 of the GPU alone (Orin NX: 60 of 100 TOPS,
# AGX Orin: 170 of 275), an eighth of Thor's sparse fp4.
BOARDS = (
    Board("Orin Nano 8 GB (Super)", 67e12 / 4, 102e9, 8e9),
    Board("Orin NX 16 GB", 60e12 / 4, 102.4e9, 16e9),
    Board("AGX Orin 64 GB", 170e12 / 4, 204.8e9, 64e9),
    Board("AGX Thor", 2070e12 / 8, 273e9, 128e9),
)
NANO = BOARDS[0]

# Share of the peak that TensorRT reaches: DINOv2-B/14 at 224 pixels, 126 images a second on Orin
# Nano Super. Of the bandwidth the same is assumed.
TENSORRT = 0.33
# PyTorch in fp16, of V-JEPA 2 ViT-L at 16 frames of 256 pixels on the same board; and what it
# takes there for however little, since the kernels are launched one by one.
TORCH, TORCH_FLOOR = 0.22, 0.213  # share; s
# (frames, pixels, s): github.com/tarassh/vjepa2-robotics, jetson/README.md.
PUBLISHED = (
    (4, 128, 0.213),
    (2, 256, 0.215),
    (8, 128, 0.216),
    (4, 224, 0.214),
    (16, 128, 0.224),
    (8, 224, 0.242),
    (16, 256, 0.452),
)


@dataclass(frozen=True)
class Work:
    """Floating-point operations, bytes of weights, and bytes of all that is written."""

    flops: float
    weights: float
    activations: float

    def seconds(self, board: Board, share: float) -> float:
        """By the roofline, if `share` of arithmetic and bandwidth is reached."""
        # What is written is read again, by the next operation at least.
        through_memory = self.weights + 2 * self.activations
        return max(self.flops / board.peak, through_memory / board.bandwidth) / share


class _Written(TorchDispatchMode):
    """Counts the elements that operations write; views write none."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        if not function.is_view:
            self.elements += sum(x.numel() for x in tree_leaves(out) if isinstance(x, Tensor))
        return out


def work(run: Callable[[], Any], module: nn.Module) -> Work:
    """What a call costs in fp16. Operations that a compiler would fuse are counted apart."""
    counter, written = FlopCounterMode(display=False), _Written()
    with torch.inference_mode(), counter, written:
        run()
    weights = sum(parameter.numel() for parameter in module.parameters())
    return Work(counter.get_total_flops(), BYTES * weights, BYTES * written.elements)


def configuration(name: str) -> dict[str, Any]:
    """The model of a file of config/models/."""
    values: dict[str, Any] = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text("utf-8"))
    return dict(values["model"])


def parts(name: str, device: str) -> dict[str, Work]:
    """Each graph of a model: one frame (or one window), one query, one text, one token.

    On the device "meta" there are no weights, but BERT wants to look at its masks.
    """
    with torch.device(device):
        model = VLJEPA(VLJEPAConfig.from_dict(configuration(name))).eval()
        found = {}
        for part, graph in graphs(model).items():
            if part == "y_decoder_prefix":  # one small matrix, and once a text
                continue
            inputs = [_single(graph.dynamic.get(key, {}), x) for key, x in graph.inputs.items()]
            found[part] = work(lambda g=graph, i=inputs: g.module(*i), graph.module)
    return found


def _single(axes: Any, example: Tensor) -> Tensor:
    """The example with one frame, query or text, and one token where tokens follow others."""
    for axis, counted in axes.items():
        if counted in ("frames", "queries", "texts"):
            example = example.narrow(axis, 0, 1)
    return example


def vjepa2(frames: int, size: int) -> Work:
    """V-JEPA 2 ViT-L alone, for the published clips."""
    values = configuration("vljepa-1.6b")
    values["window"]["frames"] = frames
    values["x_encoder"]["image_size"] = size
    with torch.device("meta"):
        encoder = VLJEPA(VLJEPAConfig.from_dict(values)).x_encoder.eval()
        window = torch.zeros(1, frames, 3, size, size)
        return work(lambda: encoder(window), encoder)


def main() -> None:
    """Print the tables."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    columns = ("clip (frames x pixels)", "TFLOP", "published, ms")
    columns += ("PyTorch by this method, ms", "computed / published")
    print(f"| {' | '.join(columns)} |")
    print("|---|---|---|---|---|")
    for frames, size, seconds in PUBLISHED:
        clip = vjepa2(frames, size)
        ours = max(TORCH_FLOOR, clip.seconds(NANO, TORCH))
        row = f"{frames} x {size} | {clip.flops / 1e12:.2f} | {seconds * 1e3:.0f}"
        print(f"| {row} | {ours * 1e3:.0f} | {ours / seconds:.2f} |")
    for name, device in (("vljepa-tiny", "cpu"), ("vljepa-1.6b", "meta")):
        found = parts(name, device)
        print(f"\n{name}\n\n| part | GFLOP | weights, MB | written, MB |", end="")
        print("".join(f" {board.name}, ms |" for board in BOARDS))
        print("|---" * (4 + len(BOARDS)) + "|")
        for part, cost in found.items():
            cells = [
                part.replace("_", "-"),
                f"{cost.flops / 1e9:.2f}",
                f"{cost.weights / 1e6:.1f}",
                f"{cost.activations / 1e6:.1f}",
                *(f"{cost.seconds(board, TENSORRT) * 1e3:.2f}" for board in BOARDS),
            ]
            print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
