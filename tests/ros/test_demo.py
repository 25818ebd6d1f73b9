"""The whole demo as a user starts it, and its recording in a reader that is not ours."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory

LIMIT = 300.0  # s for one run of the demo
RATE = 15


def write_clip(path: Path) -> None:
    """Write four seconds: a red square that slides, then a dark room."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), RATE, (320, 240))
    for index in range(4 * RATE):
        picture = np.full((240, 320, 3), 200 if index < 2 * RATE else 20, np.uint8)
        if index < 2 * RATE:
            picture[90:150, 4 * index : 4 * index + 60] = (30, 30, 220)
        writer.write(picture)
    writer.release()


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vljepa_ros.demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT,
        check=False,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run the demo once; returns its folder and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    write_clip(folder / "clip.mp4")
    out = folder / "out"
    result = run_demo(
        *("--video", str(folder / "clip.mp4"), "--out", str(out)),
        *("--ask", "What is there?", "--ask", "Is it dark? | yes | no"),
    )
    log = out / "pipeline.log"
    assert result.returncode == 0, result.stdout + (log.read_text() if log.exists() else "")
    return out, result.stdout


def test_it_says_what_it_sees_and_answers(run: tuple[Path, str]) -> None:
    _, printed = run
    assert "? What is there?" in printed
    assert "? Is it dark?" in printed
    assert "no answer" not in printed
    assert "every-frame decoding would have made" in printed


def test_picture_is_left(run: tuple[Path, str]) -> None:
    picture = cv2.imread(str(run[0] / "timeline.png"))
    assert picture is not None and picture.shape[1] > 1000


def test_recording_opens_in_an_independent_reader(run: tuple[Path, str]) -> None:
    heard: dict[str, list[object]] = {}
    with (run[0] / "rosbag" / "rosbag.mcap").open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[DecoderFactory()])
        last = 0
        for _, channel, record, message in reader.iter_decoded_messages():
            heard.setdefault(channel.topic, []).append(message)
            assert record.log_time >= last
            last = record.log_time
            header = getattr(message, "header", None)
            if header is not None:
                assert header.frame_id == "demo_camera_optical_frame"
                sent = header.stamp.sec * 1_000_000_000 + header.stamp.nanosec
                assert 0 < record.log_time - sent < LIMIT * 1e9
    (info,) = heard["/vljepa_demo/model_info"]
    embeddings = heard["/vljepa_demo/embedding"]
    shifts = heard["/vljepa_demo/shift"]
    descriptions = heard["/vljepa_demo/description"]
    assert len(embeddings) >= 4
    for embedding in embeddings:
        assert embedding.model_id == info.model_id
        assert np.linalg.norm(embedding.data) == pytest.approx(1, abs=1e-4)
        assert len(embedding.data) == info.embedding_dim
    assert len(shifts) == len(descriptions) >= 1
    assert shifts[0].trigger == 0
    assert [d.segment_id for d in descriptions] == [s.segment_id for s in shifts]
    assert all(description.text for description in descriptions)


def test_metadata_is_that_of_a_rosbag2(run: tuple[Path, str]) -> None:
    folder = run[0] / "rosbag"
    bag = yaml.safe_load((folder / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert bag["storage_identifier"] == "mcap"
    assert [(folder / name).exists() for name in bag["relative_file_paths"]] == [True]
    topics = {t["topic_metadata"]["name"]: t for t in bag["topics_with_message_count"]}
    assert set(topics) == {
        f"/vljepa_demo/{name}"
        for name in ("model_info", "embedding", "shift", "description", "labels")
    }
    latched = topics["/vljepa_demo/model_info"]
    assert latched["topic_metadata"]["type"] == "vljepa_ros/msg/ModelInfo"
    (qos,) = yaml.safe_load(latched["topic_metadata"]["offered_qos_profiles"])
    assert qos["durability"] == 1 and qos["reliability"] == 1  # rmw: transient local, reliable
    assert sum(topic["message_count"] for topic in topics.values()) == bag["message_count"]
    with (folder / "rosbag.mcap").open("rb") as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None and summary.statistics is not None
    assert summary.statistics.message_count == bag["message_count"]
    assert summary.statistics.message_start_time == bag["starting_time"]["nanoseconds_since_epoch"]


def test_a_terminal_that_is_closed_ends_the_pipeline_too(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "vljepa_ros.demo", "--out", str(tmp_path / "out")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # not as under nohup
    )
    log = tmp_path / "out" / "pipeline.log"
    try:
        began = time.monotonic()
        while not (log.exists() and log.stat().st_size):
            assert demo.poll() is None and time.monotonic() - began < LIMIT
            time.sleep(0.2)
        pids = Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split()
    finally:
        demo.send_signal(signal.SIGHUP)
        code = demo.wait(LIMIT)
    assert code == 130
    assert pids and not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_folder_that_holds_something_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    result = run_demo("--out", str(tmp_path))
    assert result.returncode == 1 and "is not empty" in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_pipeline_that_cannot_start_is_an_error_with_its_log(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4")
    result = run_demo(
        *("--video", str(tmp_path / "clip.mp4"), "--out", str(tmp_path / "out")),
        *("--model", str(tmp_path / "no weights here")),
    )
    assert result.returncode == 1
    assert "Not active" in result.stdout
    assert "no weights here" in result.stdout


def test_video_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    result = run_demo("--video", str(tmp_path / "none.mp4"), "--out", str(tmp_path / "out"))
    assert result.returncode == 1
    assert "no video at" in result.stdout
    assert not (tmp_path / "out").exists()
