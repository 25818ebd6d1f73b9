"""Large images from another process arrive, and silence is explained."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ament_index_python.packages import get_package_share_directory
from sensor_msgs.msg import CompressedImage
from vljepa_ros.srv import Ask

from vljepa_ros.nodes import transport

VARIABLE = "FASTDDS_DEFAULT_PROFILES_FILE"
OLD_VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE"
CAMERA = Path(__file__).parents[2] / "benchmarks" / "camera.py"
SENT = 300  # images, 10 s
# Fast DDS without our settings lets through no more than one or two of 90 best-effort images;
# with them and a kernel as it comes, about every fourth.
FEW, MANY = 30, 200


@pytest.fixture(scope="module")
def vqa(bench: Any, model: str) -> Any:
    """A bench with the node that does least with its images."""
    bench.start("vqa", model=model, silence_timeout=1.0)
    bench.wait_active("vqa")
    return bench


@contextmanager
def camera(bench: Any, reliability: str, images: int = SENT) -> Iterator[None]:
    """Run a camera of 1280x720 at 30 Hz that knows nothing of our settings; silent with 0."""
    settings = ("FASTDDS_", "FASTRTPS_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(settings)}
    arguments = [f"{bench.namespace}/image", "1280", "720", "30", reliability, str(images)]
    process = subprocess.Popen([sys.executable, str(CAMERA), *arguments], env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


# One node hears both in turn: it must notice that the camera has changed.
@pytest.mark.parametrize("reliability", ["best_effort", "reliable", "best_effort"])
def test_720p_at_30_hz_arrives(vqa: Any, reliability: str) -> None:
    before = vqa.counted("vqa", "frames received")
    enough = FEW if reliability == "best_effort" and transport.loss() else MANY
    with camera(vqa, reliability):
        vqa.until(
            lambda: vqa.counted("vqa", "frames received") >= before + enough,
            f"{enough} of {SENT} images from a {reliability} camera",
            limit=30,
        )
        assert f"{vqa.namespace}/image is received {reliability}" in vqa.processes[0].log()
    vqa.until(lambda: vqa.node.count_publishers("image") == 0, "the camera to be gone")


def test_without_a_camera_the_diagnostics_say_so(vqa: Any) -> None:
    vqa.until(
        lambda: "no publisher on" in vqa.diagnostics("vqa").get("message", ""), "the warning"
    )
    assert vqa.diagnostics("vqa")["level"] == "1"
    vqa.until(lambda: "start the camera, or remap" in vqa.processes[0].log(), "the remedy")


def test_an_answer_about_an_old_image_says_so(vqa: Any) -> None:
    answer = vqa.until(
        lambda: (
            (got := vqa.call("ask", Ask, question="What?", candidates=["a", "b"])).message and got
        ),
        "the silence to be noticed",
    )
    assert answer.success and "no new image has come for" in answer.message


def test_a_silent_camera_is_reported_with_causes_and_remedies(vqa: Any) -> None:
    with camera(vqa, "best_effort", images=0):
        vqa.until(
            lambda: "no image has come for" in vqa.diagnostics("vqa")["message"], "the warning"
        )
        assert transport.remedy(compressed=False) in vqa.diagnostics("vqa")["message"]


@pytest.mark.parametrize(
    ("compressed", "limit", "advice"),
    [
        (False, 212992, "large, raise the kernel's limit with `sudo sysctl -w net.core.rmem_max="),
        (False, 4194304, "check that the camera runs; if it does and its images are large, use"),
        (True, 212992, "if it does and its images are large, raise the kernel's limit with"),
        (True, 4194304, "check that the camera runs"),
    ],
)
def test_only_what_may_help_is_advised(
    compressed: bool, limit: int, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (VARIABLE, OLD_VARIABLE, "FASTDDS_BUILTIN_TRANSPORTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(transport, "_LIMIT", tmp_path / "rmem_max")
    transport._LIMIT.write_text(f"{limit}\n")
    told = transport.remedy(compressed)
    assert advice in told and ("use image_transport compressed" in told) != compressed
    assert ("rmem_max" in told) == (limit < 4194304) and "unset" not in told


def test_a_topic_of_the_wrong_type_is_named(vqa: Any) -> None:
    wrong = vqa.node.create_publisher(CompressedImage, "image", 1)
    vqa.until(
        lambda: "carries ['sensor_msgs/msg/CompressedImage']" in vqa.diagnostics("vqa")["message"],
        "the warning",
    )
    vqa.node.destroy_publisher(wrong)


def test_a_kernel_that_loses_images_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "rmem_max"
    monkeypatch.setattr(transport, "_LIMIT", limit)
    assert not transport.loss()
    limit.write_text("212992\n")
    fast = transport.get_rmw_implementation_identifier().startswith("rmw_fastrtps")
    assert ("rmem_max is 212992" in transport.loss()) == fast
    limit.write_text("4194304\n")
    assert not transport.loss()


@pytest.mark.parametrize("chosen", [VARIABLE, OLD_VARIABLE, "FASTDDS_BUILTIN_TRANSPORTS"])
def test_a_choice_of_the_user_stays(chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    choices = (VARIABLE, OLD_VARIABLE, "FASTDDS_BUILTIN_TRANSPORTS")
    for name in choices:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(chosen, "mine")
    transport.receive_large_images()
    assert {name for name in choices if name in os.environ} == {chosen}
    assert os.environ[chosen] == "mine" and f"unset {chosen}" in transport.remedy(True)


@pytest.mark.parametrize(
    ("distro", "localhost", "name", "file"),
    [
        ("humble", "0", OLD_VARIABLE, "fastdds.xml"),
        ("humble", "1", OLD_VARIABLE, "fastdds_localhost.xml"),
        ("jazzy", "1", OLD_VARIABLE, "fastdds.xml"),
        ("kilted", "0", VARIABLE, "fastdds.xml"),
    ],
)
def test_each_fast_dds_gets_its_variable_and_profile(
    monkeypatch: pytest.MonkeyPatch, distro: str, localhost: str, name: str, file: str
) -> None:
    for variable in list(os.environ):
        if variable.startswith(("FASTDDS_", "FASTRTPS_")):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("ROS_DISTRO", distro)
    monkeypatch.setenv("ROS_LOCALHOST_ONLY", localhost)
    monkeypatch.setenv(name, "")  # so that it is taken back at the end
    monkeypatch.delenv(name)
    transport.receive_large_images()
    profile = Path(os.environ[name])
    assert profile.name == file and profile.is_file()
    assert "unset" not in transport.remedy(True)


def test_large_images_arrive_with_the_profile_for_this_machine_alone(
    vqa: Any, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in Humble, if the Fast DDS that is here can do with it."""
    old = os.environ.get("ROS_DISTRO") in ("humble", "iron", "jazzy")
    share = Path(get_package_share_directory("vljepa_ros"))
    with monkeypatch.context() as patch:
        name = OLD_VARIABLE if old else VARIABLE
        patch.setenv(name, str(share / "config" / "fastdds_localhost.xml"))
        process = vqa.start("embedder", model=model)
    vqa.wait_active("embedder")
    with camera(vqa, "best_effort"):
        vqa.until(
            lambda: vqa.counted("embedder", "frames received") >= FEW,
            f"{FEW} of {SENT} images",
            limit=30,
        )
    assert process.stop() == 0, process.log()
    vqa.processes.remove(process)


def test_forced_reliability_is_explained(bench: Any, model: str) -> None:
    """A node of another kind, which the parameters force into silence."""
    bench.start("embedder", model=model, silence_timeout=1.0, image_reliability="reliable")
    bench.wait_active("embedder")
    with camera(bench, "best_effort"):
        bench.until(
            lambda: "set that to auto" in bench.diagnostics("embedder").get("message", ""),
            "the warning",
        )
    assert bench.counted("embedder", "frames received") == 0
