"""Every executable starts and stops cleanly, and a missing model is no end."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ament_index_python.packages import get_package_prefix
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from sensor_msgs.msg import Image
from vljepa_ros.msg import ModelInfo
from vljepa_ros.srv import Ask

from vljepa_ros.nodes.qos import LATCHED
from vljepa_ros.nodes.vqa import _THREADS
from vljepa_ros.runtime.engine import TEXT_CACHE


@pytest.fixture
def fresh(bench: Any) -> Iterator[Any]:
    """The bench, whose processes of one test are gone before the next."""
    yield bench
    codes = [bench.processes.pop().stop() for _ in list(bench.processes)]
    assert not any(codes), codes


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["embedder", "gate", "decoder", "vqa", "pipeline"])
def test_it_ends_with_code_0(fresh: Any, name: str, sent: signal.Signals) -> None:
    # Without weights: what is tested is start and end, and loading takes its time.
    process = fresh.start(name, autostart=False)
    node = "gate" if name == "pipeline" else name
    assert fresh.state(node) == "unconfigured"
    assert process.stop(sent) == 0, process.log()
    assert "Traceback" not in process.log()


def test_it_may_be_stopped_while_it_loads(fresh: Any, model: str) -> None:
    # With torch, whose import alone takes longer than the signal.
    process = fresh.start("decoder", model=model, **{"runtime.backend": "torch"})
    fresh.until(lambda: "loading" in process.log(), "it to load")
    assert process.stop() == 0, process.log()
    assert "loaded in" not in process.log(), "it was to end before that"


def test_it_may_be_stopped_while_questions_are_in_work(
    fresh: Any, model: str, scene: Callable[..., np.ndarray], image: Callable[..., Image]
) -> None:
    process = fresh.start("vqa", model=model)
    fresh.wait_active("vqa")
    fresh.open_camera("image", Image)
    fresh.publish("image", image(scene(), 1.0))
    fresh.until(lambda: fresh.call("ask", Ask, question="?", candidates=["a"]).success, "an image")
    client = fresh.node.create_client(Ask, "ask")
    fresh.until(client.service_is_ready, "ask")
    for asked in range(_THREADS + 2):  # so that two of them have not begun
        candidates = [f"thing {number} of {asked}" for number in range(TEXT_CACHE)]
        client.call_async(Ask.Request(question="Which?", candidates=candidates))
    unfinished = str(_THREADS + 2)
    fresh.until(
        lambda: fresh.diagnostics("vqa").get("requests unfinished") == unfinished, "all questions"
    )
    sent = time.monotonic()
    assert process.stop() == 0, process.log()
    assert time.monotonic() - sent < 10, "they take ten times that"
    assert "Traceback" not in process.log() and "rror" not in process.log()


def test_missing_weights_leave_a_node_that_can_be_repaired(
    fresh: Any, copy_model: Callable[[Path], None]
) -> None:
    folder = fresh.folder / "later"
    # With torch, which needs no export.
    process = fresh.start("embedder", model=str(folder), **{"runtime.backend": "torch"})
    fresh.until(lambda: "cannot be configured" in process.log(), "the error in the log")
    assert "there is no model" in process.log() and "Traceback" not in process.log()
    assert fresh.state("embedder") == "unconfigured"
    fresh.until(
        lambda: fresh.diagnostics("embedder").get("message", "").startswith("cannot be"),
        "the error in the diagnostics",
    )
    assert fresh.diagnostics("embedder")["level"] == "2"
    assert not fresh.change("embedder", "configure")
    copy_model(folder)
    assert fresh.change("embedder", "configure")
    assert fresh.change("embedder", "activate")
    fresh.until(lambda: fresh.diagnostics("embedder")["level"] != "2", "the error to go")


def test_damaged_weights_are_refused_with_a_reason(
    fresh: Any, copy_model: Callable[[Path], None]
) -> None:
    folder = fresh.folder / "damaged"
    copy_model(folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    process = fresh.start("decoder", model=str(folder))
    fresh.until(lambda: "cannot be configured" in process.log(), "the error in the log")
    assert "model.safetensors is damaged" in process.log() and "Traceback" not in process.log()
    assert fresh.state("decoder") == "unconfigured"


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"image_transport": "pigeon"}, "raw, compressed"),
        ({"image_reliability": "maybe"}, "best_effort"),
        ({"queries": [1, 2]}, "list of texts"),
        ({"device": "cuda:99"}, "device"),
    ],
)
def test_a_bad_parameter_leaves_it_unconfigured_with_a_reason(
    fresh: Any, model: str, parameters: dict[str, Any], reason: str
) -> None:
    process = fresh.start("embedder", model=model, **parameters)
    fresh.until(lambda: "cannot be configured" in process.log(), "the error in the log")
    assert reason in process.log() and "Traceback" not in process.log()
    assert fresh.state("embedder") == "unconfigured"


def test_it_may_only_build_what_later_starts_need(
    fresh: Any, copy_model: Callable[[Path], None]
) -> None:
    copy_model(fresh.folder / "built")
    process = fresh.start("embedder", model=str(fresh.folder / "built"), build_only=True)
    assert process.wait() == 0, process.log()
    assert "is built for onnx on cpu" in process.log() and "Traceback" not in process.log()
    assert "error" not in process.log().lower()


@pytest.mark.parametrize("name", ["embedder", "pipeline"])
def test_what_cannot_be_built_ends_it_with_code_1(fresh: Any, name: str) -> None:
    process = fresh.start(name, model="/none", build_only=True)
    assert process.wait() == 1, process.log()
    assert "no model" in process.log() and "Traceback" not in process.log()
    fresh.processes.remove(process)


def test_the_pipeline_builds_what_each_of_its_nodes_is_told(model: str, tmp_path: Path) -> None:
    common = f"/**:\n  ros__parameters: {{build_only: true, model: {model}}}\n"
    own = "/**/{}:\n  ros__parameters: {{runtime.{}}}\n".format
    params = tmp_path / "params.yaml"
    params.write_text(common + own("decoder", "backend: torch") + own("vqa", "precision: fp32"))
    pipeline = Path(get_package_prefix("vljepa_ros")) / "lib" / "vljepa_ros" / "pipeline"
    command = [pipeline, "--ros-args", "--params-file", params]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"embedder\]: .* runs in int8 with onnx", ended.stderr), ended.stderr
    assert re.search(r"decoder\]: .* is built for torch", ended.stderr), ended.stderr
    assert re.search(r"vqa\]: .* runs in fp32 with onnx", ended.stderr), ended.stderr


def test_a_gate_has_nothing_to_build_and_ends(fresh: Any) -> None:
    process = fresh.start("gate", build_only=True)
    assert process.wait() == 0 and "nothing to build" in process.log()
    fresh.processes.remove(process)


def test_a_fallback_is_told_where_it_is_allowed(fresh: Any, model: str) -> None:
    allowed = {"device": "cuda:99", "runtime.allow_fallback": True}
    fresh.start("embedder", model=model, **allowed)
    received = fresh.collect(ModelInfo, "model_info", LATCHED)
    (info,) = fresh.until(lambda: received, "model_info")
    assert info.device == "cpu" and "cuda:99" in info.fallback
    fresh.until(lambda: "cuda:99" in fresh.diagnostics("embedder").get("fallback", ""), "the same")


def test_a_transition_that_is_not_possible_is_refused(fresh: Any) -> None:
    process = fresh.start("gate")
    fresh.wait_active("gate")
    # As a lifecycle manager asks, by number.
    again = Transition(id=Transition.TRANSITION_CONFIGURE)
    assert not fresh.call("gate/change_state", ChangeState, transition=again).success
    assert fresh.state("gate") == "active" and process.code() is None


def test_a_node_that_was_never_configured_can_be_shut_down(fresh: Any) -> None:
    for name in ("gate", "decoder"):
        fresh.start(name, autostart=False)
        assert fresh.change(name, "shutdown")
        assert fresh.state(name) == "finalized"


def test_a_name_given_to_the_pipeline_renames_none_of_its_nodes(fresh: Any) -> None:
    fresh.start("pipeline", remap={"__node": "vljepa"}, autostart=False)
    for name in ("embedder", "gate", "decoder", "vqa"):
        assert fresh.state(name) == "unconfigured"


@pytest.mark.parametrize("value", ["high", 5.0])
def test_a_parameter_of_a_wrong_type_or_value_ends_it_with_one_line(
    fresh: Any, value: str | float
) -> None:
    process = fresh.start("gate", threshold=value)
    assert process.wait() == 1
    assert "threshold" in process.log() and "Traceback" not in process.log()
    fresh.processes.remove(process)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--params-file", "/none.yaml"],
        ["--params-file", "{broken}"],
        ["-r", "image"],
        ["-p", "threshold"],
        ["--nonsense"],
    ],
)
def test_arguments_that_ros_refuses_end_it_with_one_line(
    arguments: list[str], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("/**:\n  ros__parameters: [\n")
    given = [argument.format(broken=broken) for argument in arguments]
    gate = Path(get_package_prefix("vljepa_ros")) / "lib" / "vljepa_ros" / "gate"
    ended = subprocess.run(
        [gate, "--ros-args", *given], capture_output=True, text=True, timeout=60
    )
    *of_rcl, line = ended.stderr.splitlines()
    assert ended.returncode == 1 and line.startswith("error: ROS cannot be started: ")
    assert given[-1] in line and all("[rcl]" in other for other in of_rcl), ended.stderr
