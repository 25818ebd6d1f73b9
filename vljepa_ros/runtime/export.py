"""Writes a VL-JEPA as ONNX graphs, which run without torch.

An exported folder holds a graph for each part, the token embeddings as arrays that are mapped
into memory, the tokenizers, `reference.npz` (see `parity.py`) and `export.json`.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from vljepa_ros.errors import EngineError
from vljepa_ros.model import VLJEPA
from vljepa_ros.model.checkpoint import is_dual_encoder
from vljepa_ros.model.y_decoder import CausalDecoder
from vljepa_ros.runtime.backend import EngineConfig
from vljepa_ros.runtime.exported import EXPORT_FILE, FORMAT, MOST, unfinished
from vljepa_ros.runtime.graphs import Graph, graphs
from vljepa_ros.runtime.parity import REFERENCE_FILE, make_reference
from vljepa_ros.runtime.quantise import quantise
from vljepa_ros.runtime.torch_backend import TorchBackend
from vljepa_ros.tokenizer import TextTokenizer

_OPSET = 18
_LARGEST = 2**31 - 2**20  # bytes of a protobuf, and what else is in it
_log = logging.getLogger(__name__)


def export(checkpoint: Path, folder: Path, precision: str = "fp32") -> None:
    """Export a checkpoint.

    Args:
        checkpoint: folder of a VL-JEPA.
        folder: to make, or to make anew.
        precision: "fp32"; "fp16" for GPUs; "int8", whose calibration frames are those of the
            demo's clip, which no training has seen.

    Raises:
        CheckpointError: the model is missing or damaged.
        EngineError: the model cannot be exported, or not in this precision.
    """
    if is_dual_encoder(checkpoint):
        raise EngineError(f"{checkpoint} is a dual encoder, which runs with the backend torch")
    backend = TorchBackend(checkpoint, EngineConfig())
    model = backend.model
    assert isinstance(model, VLJEPA)
    parts = graphs(model)
    if precision == "fp16":
        _check_size(parts)
    made = unfinished(folder)
    shutil.rmtree(made, ignore_errors=True)  # of an export that was killed
    made.mkdir(parents=True)
    try:
        for part, graph in parts.items():
            _log.info("exporting the graph %s", part)
            write_graph(graph, made / f"{part}.onnx")
        description = {
            "format": FORMAT,
            "info": asdict(replace(backend.info, backend="onnx", precision=precision)),
            "profiles": {
                part: _profile(parts[part], model) for part in ("x_encoder", "predictor")
            },
            **_texts(model, made),
        }
        reference: dict[str, Any] = make_reference(backend)
        np.savez(made / REFERENCE_FILE, **reference)
        quantise(made, precision, backend.info)
        (made / EXPORT_FILE).write_text(json.dumps(description, indent=2), encoding="utf-8")
        _sync(made)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Write files to the disk: else a power cut may leave empty ones under the final name."""
    for path in (*folder.iterdir(), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _check_size(parts: Mapping[str, Graph]) -> None:
    """Look, before anything is traced, whether ONNX's tools can make graphs of fp16.

    Raises:
        EngineError: they cannot, as one is too large for a protobuf.
    """
    for part, graph in parts.items():
        size = sum(p.numel() * p.element_size() for p in graph.module.parameters())
        if size > _LARGEST:
            raise EngineError(
                f"the graph {part} has {size / 1e9:.1f} GB in fp32, and ONNX's tools make fp16 of "
                f"{_LARGEST / 1e9:.1f} GB at most; take fp32, or the backend torch"
            )


def write_graph(graph: Graph, path: Path) -> None:
    """Write a graph to a file."""
    torch.onnx.register_custom_op_symbolic(  # type: ignore[attr-defined]
        "aten::rms_norm", _rms_norm, _OPSET
    )
    with warnings.catch_warnings(), torch.inference_mode():
        # What may change in shape is tested; the tracer warns of all that it takes for constant.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph.module.eval(),
            tuple(graph.inputs.values()),
            str(path),
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes={name: dict(axes) for name, axes in graph.dynamic.items()},
            opset_version=_OPSET,
            dynamo=False,
        )


class _Context(Protocol):
    """What adds operators to a graph.

    torch 2.4 asks whether this is a subclass of its own type, which needs a class; in Python 3.10
    Any is none.
    """

    def op(self, kind: str, *inputs: Any, **attributes: Any) -> Any: ...


def _rms_norm(g: _Context, x: Any, shape: Any, weight: Any, epsilon: Any) -> Any:
    """RMSNorm over the last axis, which ONNX has no operator for before opset 23."""
    axes = g.op("Constant", value_t=torch.tensor([-1]))
    mean = g.op("ReduceMean", g.op("Mul", x, x), axes, keepdims_i=1)
    root = g.op("Sqrt", g.op("Add", mean, epsilon))
    return g.op("Mul", g.op("Div", x, root), weight)


def _profile(graph: Graph, model: VLJEPA) -> dict[str, str]:
    """Least, usual and largest shapes, for which TensorRT builds one engine."""
    most = {**MOST, "length": model.query.max_tokens}
    counts = {"frames": (1, 1), "queries": (1, 1), "length": (1, 8)}
    profile = {}
    for place, kind in enumerate(("min", "opt", "max")):
        shapes = []
        for name, example in graph.inputs.items():
            axes = graph.dynamic.get(name, {})
            sizes = [
                (*counts[axes[axis]], most[axes[axis]])[place] if axis in axes else size
                for axis, size in enumerate(example.shape)
            ]
            shapes.append(f"{name}:{'x'.join(map(str, sizes))}")
        profile[kind] = ",".join(shapes)
    return profile


def _texts(model: VLJEPA, folder: Path) -> dict[str, Any]:
    """Write what texts need; its description."""
    np.save(folder / "query.npy", _array(model.query.embedding.weight))
    described: dict[str, Any] = {
        "query": _described(model.query.tokenizer, model.query.max_tokens, folder),
        "text": _described(model.y_encoder.tokenizer, model.y_encoder.max_tokens, folder),
    }
    if model.decodes:
        decoder = model.y_decoder
        assert isinstance(decoder, CausalDecoder)
        np.save(folder / "words.npy", _array(decoder.token_embedding.weight))
        np.save(folder / "numbers.npy", np.array(decoder.numbers, dtype=np.int64))
        described["decoder"] = {
            **_described(decoder.tokenizer, decoder.max_tokens, folder),
            "start": list(decoder.start),
            "end": decoder.end,
            "no_past": list(decoder.transformer.no_past(1).shape),
        }
    return described


def _described(tokenizer: TextTokenizer, max_tokens: int, folder: Path) -> Mapping[str, Any]:
    same = [f for f in folder.glob("tokenizer*.json") if _same(f, tokenizer.file)]
    file = same[0] if same else folder / f"tokenizer-{len(list(folder.glob('tok*')))}.json"
    shutil.copyfile(tokenizer.file, file)
    return {"tokenizer": file.name, "max_tokens": max_tokens}


def _same(first: Path, second: Path) -> bool:
    return first.read_bytes() == second.read_bytes()


def _array(values: Tensor) -> Any:
    return values.detach().float().numpy()
