"""What the nodes that load a model share."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from vljepa_ros.errors import VljepaError
from vljepa_ros.msg import ModelInfo
from vljepa_ros.nodes.conversions import to_model_info
from vljepa_ros.nodes.engines import shared_engine
from vljepa_ros.nodes.lifecycle import ManagedNode
from vljepa_ros.nodes.parameters import declare
from vljepa_ros.nodes.qos import LATCHED
from vljepa_ros.runtime import PARTS, Engine, EngineConfig
from vljepa_ros.runtime.engine import MIN_CONFIDENCE

_PARAMETERS = (
    ("model", "vljepa-tiny", "shipped name, folder, or hub name of a CLIP or SigLIP"),
    ("device", "cpu", "cpu or cuda:0; with ONNX Runtime also tensorrt:0"),
    ("runtime.backend", "auto", "torch; onnx; auto: onnx, and torch where that does not work"),
    ("runtime.precision", "auto", "fp32, fp16, bf16, int8; auto: the fastest that passes"),
    ("runtime.allow_fallback", False, "run on the CPU if the device is unavailable"),
    ("runtime.allow_drift", False, "run although the comparison with torch in fp32 fails"),
)


def declare_min_confidence(node: ManagedNode) -> None:
    """Declare below which confidence a node that writes text says that it does not know."""
    description = 'texts less sure than this become "I don\'t know"; 0: never'
    declare(node, "min_confidence", MIN_CONFIDENCE, description, span=(0.0, 1.0))


class ModelNode(ManagedNode):
    """Holds the process's engine from configure to cleanup.

    Publishes: its `info_topic` (ModelInfo, latched).
    Parameters: model, device, runtime.*; and those of `ManagedNode`.

    Args:
        name: of the node.
        info_topic: where it says what it runs on; None where another node of this process does.
            `model_info` is that of the embedder alone: what is latched there has one source.
        parts: of the model, that the nodes of this process use; others are not kept in memory.
        arguments: see `ManagedNode`.
    """

    def __init__(
        self,
        name: str,
        info_topic: str | None,
        parts: tuple[str, ...] = PARTS,
        arguments: Sequence[str] = (),
    ) -> None:
        super().__init__(name, arguments)
        for parameter, default, description in _PARAMETERS:
            declare(self, parameter, default, description, read_only=True)
        self.engine: Engine | None = None
        self._info_topic = info_topic
        self._info: Any = None  # publisher
        self._parts = parts

    def configure(self) -> None:
        self.engine = self._load()
        if self.engine.info.fallback:
            self.get_logger().warning(self.engine.info.fallback)
        if self._info_topic is not None:
            self._info = self.create_publisher(ModelInfo, self._info_topic, LATCHED)
            self._info.publish(to_model_info(self.engine.info))

    def build(self) -> None:
        try:
            info = self._load().info
        except VljepaError as error:
            self.get_logger().fatal(str(error))
            raise SystemExit(1) from error
        self.get_logger().info(f"{info.model_id} is built for {info.backend} on {info.device}")

    def _load(self) -> Engine:
        values = {name: self.get_parameter(name).value for name, *_ in _PARAMETERS}
        config = EngineConfig(
            backend=values["runtime.backend"],
            device=values["device"],
            precision=values["runtime.precision"],
            allow_fallback=values["runtime.allow_fallback"],
            allow_drift=values["runtime.allow_drift"],
            parts=self._parts,
        )
        log, started = self.get_logger(), time.monotonic()
        log.info(f"loading {values['model']} for {config.device}; the first time takes longer")
        engine = shared_engine(values["model"], config)
        info, seconds = engine.info, time.monotonic() - started
        log.info(
            f"{info.model_id} runs in {info.precision} with {info.backend} on {info.device}, "
            f"loaded in {seconds:.1f} s"
        )
        return engine

    def cleanup(self) -> None:
        if self._info is not None:
            self.dispose(self.destroy_publisher, self._info)
        self._info = self.engine = None

    def details(self) -> Mapping[str, str]:
        if self.engine is None:
            return {"model": "not loaded"}
        info = self.engine.info
        return {
            "model": info.model_id,
            "backend": info.backend,
            "device": info.device,
            "precision": info.precision,
            "fallback": info.fallback,
        }
