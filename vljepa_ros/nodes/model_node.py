"""What the nodes that load a model share."""

from __future__ import annotations

from collections.abc import Mapping

from vljepa_ros.msg import ModelInfo
from vljepa_ros.nodes.conversions import to_model_info
from vljepa_ros.nodes.engines import shared_engine
from vljepa_ros.nodes.lifecycle import ManagedNode
from vljepa_ros.nodes.parameters import declare
from vljepa_ros.nodes.qos import LATCHED
from vljepa_ros.runtime import Engine


def declare_min_confidence(node: ManagedNode) -> None:
    """Declare below which confidence a node that writes text says that it does not know."""
    description = 'texts less sure than this become "I don\'t know"; 0: never'
    declare(node, "min_confidence", 0.5, description, span=(0.0, 1.0))


class ModelNode(ManagedNode):
    """Holds the process's engine from configure to cleanup.

    Publishes: `model_info` (ModelInfo, latched), if it announces.
    Parameters: model, device; and those of `ManagedNode`.

    Args:
        name: of the node.
        announces: whether to publish `model_info`; in a process of several nodes one does.
    """

    def __init__(self, name: str, announces: bool = True) -> None:
        super().__init__(name)
        declare(self, "model", "vljepa-tiny", "shipped name, or folder", read_only=True)
        declare(self, "device", "cpu", "torch device, for example cuda:0", read_only=True)
        self.engine: Engine | None = None
        self._announces = announces

    def configure(self) -> None:
        model, device = (self.get_parameter(name).value for name in ("model", "device"))
        self.engine = shared_engine(model, device)
        if self._announces:
            self._info = self.create_publisher(ModelInfo, "model_info", LATCHED)
            self._info.publish(to_model_info(self.engine.info))

    def cleanup(self) -> None:
        if self.engine is not None and self._announces:
            self.dispose(self.destroy_publisher, self._info)
        self.engine = None

    def details(self) -> Mapping[str, str]:
        if self.engine is None:
            return {"model": "not loaded"}
        info = self.engine.info
        return {
            "model": info.model_id,
            "backend": info.backend,
            "device": info.device,
            "precision": info.precision,
        }
