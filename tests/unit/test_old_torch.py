"""What old versions of torch refuse while they export, and later ones take."""

from __future__ import annotations

import warnings
from typing import Any, get_type_hints

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from vljepa_ros.model.efficientnet import EfficientNet
from vljepa_ros.runtime import export
from vljepa_ros.runtime.graphs import frame_graph


class _Pools(TorchFunctionMode):
    """Keeps the sizes of all poolings."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[object] = []

    def __torch_function__(self, func: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.avg_pool2d:
            self.sizes.extend(args[1:])
        return func(*args, **(kwargs or {}))


def test_sizes_of_poolings_are_numbers(x_encoder: EfficientNet) -> None:
    """Versions 2.5 and 2.6 refuse tensors, which a shape is made of while it is traced."""
    graph = frame_graph(x_encoder, 224)
    with _Pools() as pools, torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as `write_graph`
        torch.jit.trace(graph.module.eval(), tuple(graph.inputs.values()))
    assert pools.sizes and all(type(size) is int for size in pools.sizes)


def test_the_first_annotation_of_an_operator_is_a_class() -> None:
    """Version 2.4 gives it to `issubclass`, and in Python 3.10 Any is none."""
    hints = get_type_hints(export._rms_norm)
    assert isinstance(hints["g"], type) and hints["g"] is not Any
