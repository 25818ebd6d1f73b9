"""The launch file, with the real launch and launch_ros where they are installed."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import pytest

pytest.importorskip("vljepa_ros.msg", reason="the package is not built")

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


@contextmanager
def limited(process: subprocess.Popen[str]) -> Iterator[None]:
    """End a process that takes too long, so that its output ends."""
    timer = Timer(LIMIT, process.kill)
    timer.start()
    yield
    timer.cancel()


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
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", RUNNER, str(LAUNCH_FILE)),
            *(*arguments, "image_topic:=/camera/image_raw", "namespace:=robot"),
            "model:=/no/such/model",  # the nodes live on, unconfigured
        ],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines, seen, refused = [], set(), 0
    with process, limited(process):
        for line in process.stdout:
            lines.append(line)
            if found := re.search(r"\[(\w+)-\d+\]: process started", line):
                seen.add(found.group(1))
            # Each node that has a model says that it cannot be configured.
            refused += "cannot be configured" in line
            if seen == started and refused == models:
                process.send_signal(signal.SIGINT)
                refused += 1  # once
    output = "".join(lines)
    assert seen == started, output
    assert process.returncode == 0, output
    assert output.count("process has finished cleanly") == len(started), output


@needs_launch
def test_arguments_that_are_not_given_leave_the_params_file_alone(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    text = "/**:\n  ros__parameters:\n    model: /from/the/file\n"
    params.write_text(text)
    process = subprocess.Popen(
        [*(sys.executable, "-c", RUNNER, str(LAUNCH_FILE)), f"params_file:={params}"],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines, stopped = [], False
    with process, limited(process):
        for line in process.stdout:
            lines.append(line)
            if not stopped and sum("cannot be configured" in line for line in lines) == 3:
                process.send_signal(signal.SIGINT)
                stopped = True
    output = "".join(lines)
    assert output.count("/from/the/file") >= 3, output
    assert process.returncode == 0, output
