"""config/vljepa.yaml says what the nodes declare, and what is set reaches the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
import yaml
from vljepa_ros.msg import ModelInfo

from vljepa_ros.nodes.decoder import Decoder
from vljepa_ros.nodes.embedder import Embedder
from vljepa_ros.nodes.gate import Gate
from vljepa_ros.nodes.lifecycle import ManagedNode
from vljepa_ros.nodes.qos import LATCHED
from vljepa_ros.nodes.vqa import Vqa

FILE = Path(__file__).parents[2] / "config" / "vljepa.yaml"
OF_ROS = {"use_sim_time", "start_type_description_service"}


@pytest.fixture
def make() -> Iterator[Callable[[type[ManagedNode]], ManagedNode]]:
    """Makes nodes that nobody spins."""
    rclpy.init()
    made: list[ManagedNode] = []

    def make(kind: type[ManagedNode]) -> ManagedNode:
        made.append(kind())
        return made[-1]

    yield make
    for node in made:
        node.destroy_node()
    rclpy.shutdown()


@pytest.mark.parametrize("kind", [Embedder, Gate, Decoder, Vqa])
def test_the_file_has_every_parameter_with_its_default(
    kind: type[ManagedNode], make: Callable[[type[ManagedNode]], ManagedNode]
) -> None:
    node = make(kind)
    declared = {
        name: parameter.value
        for name, parameter in node.get_parameters_by_prefix("").items()
        if name not in OF_ROS and not name.startswith("qos_overrides.")
    }
    written = yaml.safe_load(FILE.read_text("utf-8"))[f"/**/{node.get_name()}"]["ros__parameters"]
    assert declared == written


@pytest.mark.parametrize("namespace", ["/", "/robot/front"])
def test_what_the_launch_file_overrides_wins_over_a_file_of_the_user(
    tmp_path: Path, namespace: str
) -> None:
    """As rcl reads it: launch/vljepa.launch.py gives its arguments in a second file."""
    override = tmp_path / "override.yaml"
    override.write_text("/**/*: {ros__parameters: {autostart: false}}\n")
    files = ["--params-file", str(FILE), "--params-file", str(override)]
    rclpy.init(args=["--ros-args", "-r", f"__ns:={namespace}", *files])
    gate = Gate()
    values = [gate.get_parameter(name).value for name in ("autostart", "max_silence")]
    gate.destroy_node()
    rclpy.shutdown()
    assert values == [False, 30.0]


@pytest.mark.parametrize(("backend", "precision"), [("torch", "fp32"), ("onnx", "fp32")])
def test_backend_and_precision_are_those_that_were_asked_for(
    bench: Any, model: str, backend: str, precision: str
) -> None:
    chosen = {"runtime.backend": backend, "runtime.precision": precision}
    process = bench.start("embedder", model=model, **chosen)
    received = bench.collect(ModelInfo, "model_info", LATCHED)
    (info,) = bench.until(lambda: received, "model_info")
    assert (info.backend, info.precision) == (backend, precision)
    assert process.stop() == 0, process.log()
    bench.processes.remove(process)
    bench.until(lambda: not bench.node.count_publishers("model_info"), "it to be gone")
