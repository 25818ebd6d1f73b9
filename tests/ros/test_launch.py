"""The launch file, with the real launch and launch_ros where they are installed."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Timer

import pytest

LIMIT = 120.0  # s
LAUNCH_FILE = Path(__file__).parents[2] / "launch" / "vljepa.launch.py"
ARGUMENTS = {
    "image_topic",
    "cameras",
    "image_transport",
    "namespace",
    "params_file",
    "model",
    "device",
    "autostart",
    "build_only",
    "composed",
    "nodes",
    "use_sim_time",
    "log_level",
}
MISSING = [name for name in ("launch", "launch_ros") if importlib.util.find_spec(name) is None]
needs_launch = pytest.mark.skipif(
    bool(MISSING), reason=f"{' and '.join(MISSING)} missing: PyPI does not have them"
)

# What `ros2 launch` does, without ros2cli.
RUNNER = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import AnyLaunchDescriptionSource
path, *arguments = sys.argv[1:]
service = LaunchService()
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    AnyLaunchDescriptionSource(path), launch_arguments=[a.split(":=", 1) for a in arguments])]))
sys.exit(service.run())
"""


def launched(
    arguments: list[str], enough: Callable[[list[str]], bool] = lambda lines: False
) -> tuple[str, int]:
    """Output and exit code of a launch, which gets SIGINT once its lines are enough."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(LAUNCH_FILE), *arguments],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines: list[str] = []
    stopped = False
    timer = Timer(LIMIT, process.kill)  # so that the output ends
    timer.start()
    with process:
        for line in process.stdout:
            lines.append(line)
            if not stopped and enough(lines):
                process.send_signal(signal.SIGINT)
                stopped = True
    timer.cancel()
    return "".join(lines), process.returncode


def refusals(lines: list[str]) -> int:
    """How many nodes have said that they cannot be configured, as without a model."""
    return sum("cannot be configured" in line for line in lines)


def load() -> object:
    """Return what generate_launch_description() of the file gives."""
    spec = importlib.util.spec_from_file_location("vljepa_launch", LAUNCH_FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


@needs_launch
def test_every_argument_is_declared_and_described() -> None:
    from launch.actions import DeclareLaunchArgument

    declared = {
        entity.name: entity.description
        for entity in load().entities
        if isinstance(entity, DeclareLaunchArgument)
    }
    assert declared.keys() == ARGUMENTS
    assert all(declared.values())


@needs_launch
@pytest.mark.parametrize(
    ("arguments", "started", "models"),
    [
        (["composed:=true"], {"pipeline"}, 3),
        (["composed:=false"], {"embedder", "gate", "decoder", "vqa"}, 3),
        (["nodes:=embedder,gate"], {"embedder", "gate"}, 1),
    ],
)
def test_it_starts_the_executables_and_ends_on_sigint(
    arguments: list[str], started: set[str], models: int
) -> None:
    def seen(lines: list[str]) -> set[str]:
        return set(re.findall(r"\[(\w+)-\d+\]: process started", "".join(lines)))

    output, code = launched(
        [
            *(*arguments, "image_topic:=/camera/image_raw", "namespace:=robot"),
            "model:=/no/such/model",  # the nodes live on, unconfigured
        ],
        lambda lines: seen(lines) == started and refusals(lines) == models,
    )
    assert seen([output]) == started, output
    assert code == 0, output
    assert output.count("process has finished cleanly") == len(started), output


@needs_launch
def test_the_topic_and_the_namespace_reach_the_node() -> None:
    line = "[robot.embedder]: /camera/image_raw is received"
    arguments = ["nodes:=embedder", "image_topic:=/camera/image_raw", "namespace:=robot"]
    output, code = launched(arguments, lambda lines: any(line in told for told in lines))
    assert line in output and code == 0, output


@needs_launch
def test_one_camera_and_several_are_refused_together() -> None:
    asked = ["cameras:=front:=/front/image_raw", "image_topic:=/rear/image_raw"]
    output, code = launched(asked)
    assert "give image_topic or cameras" in output and code != 0, output


@needs_launch
def test_a_gate_that_is_only_to_build_ends(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("/**:\n  ros__parameters:\n    build_only: true\n")
    for asked in (f"params_file:={params}", "build_only:=true"):
        output, code = launched(["nodes:=gate", asked])
        assert code == 0 and "has nothing to build" in output, output
        assert output.count("process has finished cleanly") == 1, output


@needs_launch
def test_an_argument_goes_before_the_params_file(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    text = "/**:\n  ros__parameters:\n    autostart: false\n    model: /from/the/file\n"
    params.write_text(text)
    output, code = launched(
        ["nodes:=embedder", f"params_file:={params}", "autostart:=true"],
        lambda lines: refusals(lines) == 1,
    )
    assert "/from/the/file" in output and code == 0, output


@needs_launch
def test_an_argument_goes_before_sections_of_a_node(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    # What stands under /** comes where that first stands, as does what SetParameter sets.
    text = "/**:\n  ros__parameters:\n    autostart: true\n"
    text += "/**/embedder:\n  ros__parameters:\n    model: /from/the/file\n"
    params.write_text(text)
    output, code = launched(
        ["nodes:=embedder", f"params_file:={params}", "model:=/from/the/argument"],
        lambda lines: refusals(lines) == 1,
    )
    assert "/from/the/argument" in output and code == 0, output


@needs_launch
def test_arguments_that_are_not_given_leave_the_params_file_alone(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    text = "/**:\n  ros__parameters:\n    model: /from/the/file\n"
    params.write_text(text)
    output, code = launched([f"params_file:={params}"], lambda lines: refusals(lines) == 3)
    assert output.count("/from/the/file") >= 3, output
    assert code == 0, output
