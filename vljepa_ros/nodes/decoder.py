"""Decoder node: shifts of meaning in, sentences out. Idle between shifts."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from vljepa_ros.errors import InputError
from vljepa_ros.msg import Description, SemanticShift
from vljepa_ros.nodes.conversions import to_description
from vljepa_ros.nodes.engines import shared_engine
from vljepa_ros.nodes.lifecycle import ManagedNode, run
from vljepa_ros.nodes.parameters import declare
from vljepa_ros.nodes.qos import RESULTS
from vljepa_ros.runtime import Engine


class Decoder(ManagedNode):
    """Says what each segment means.

    Subscribes: `shift` (SemanticShift).
    Publishes: `description` (Description).
    Parameters: below, and those of `ManagedNode`.
    """

    def __init__(self) -> None:
        super().__init__("decoder")
        declare(self, "model", "vljepa-tiny", "shipped name or folder", read_only=True)
        declare(self, "device", "cpu", "torch device, for example cuda:0", read_only=True)
        self._engine: Engine | None = None

    def configure(self) -> None:
        self._engine = shared_engine(
            self.get_parameter("model").value, self.get_parameter("device").value
        )
        self._publisher = self.create_lifecycle_publisher(Description, "description", RESULTS)
        self._subscription = self.create_subscription(
            SemanticShift, "shift", self._receive, RESULTS
        )

    def cleanup(self) -> None:
        if self._engine is not None:
            self.destroy_publisher(self._publisher)
            self.destroy_subscription(self._subscription)
        self._engine = None

    def details(self) -> Mapping[str, str]:
        return {"model": self._engine.info.model_id if self._engine else "not loaded"}

    def _receive(self, message: SemanticShift) -> None:
        if not self.active or self._engine is None:
            return
        started, embedding = time.perf_counter(), message.embedding
        try:
            if embedding.model_id != self._engine.info.model_id:
                raise InputError(
                    f"it comes from {embedding.model_id}, this decoder is of "
                    f"{self._engine.info.model_id}; give both nodes the same model"
                )
            data = np.frombuffer(embedding.data, dtype=np.float32)
            (decoded,) = self._engine.decode(data[None])
        except InputError as error:
            self.bad_input("shift", error)
            return
        self._publisher.publish(to_description(message, decoded))
        self.statistics.count("decodes")
        self.statistics.time("decoding", time.perf_counter() - started)


def main(args: list[str] | None = None) -> None:
    """Run the node."""
    run([Decoder], args)
