"""The parts of the demo that need no ROS."""

import io
import itertools
import json
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from vljepa_ros.demo.display import open_display, render, score_bar
from vljepa_ros.demo.questions import Question, parse_question, questions_for
from vljepa_ros.demo.story import Answer, Sentence, Story, clock
from vljepa_ros.demo.timeline import badge_rows, draw_timeline
from vljepa_ros.demo.video import Video, find_video
from vljepa_ros.errors import InputError
from vljepa_ros.training.language import event_in, state_at

SECOND = 1_000_000_000


def told_story(sentences: int = 4, duration: float = 20.0) -> Story:
    """Return a story of one sentence every few seconds and three answers."""
    story = Story("a clip", duration, origin=5 * SECOND, frames_sent=200, elapsed=duration)
    story.threshold = 0.25
    story.model = "tiny@0123"
    rng = np.random.default_rng(0)
    for at in np.arange(0, duration, 0.5):
        story.thumbnails.append((float(at), rng.integers(0, 255, (90, 160, 3), np.uint8)))
    for at in np.arange(0.5, duration, 0.1):
        story.add_score(float(at), float(rng.uniform(0, 0.6)), float(at))
    for start in np.linspace(0.5, duration - 1, sentences):
        story.shifts.append(float(start))
        story.sentences.append(Sentence(float(start), float(start) + 0.4, "The mug moves.", 0.8))
    story.answers += [
        Answer(duration, "What is there?", "a mug", 0.7),
        Answer(duration, "Is the lamp on?", "yes", 0.9),
        Answer(duration, "Why?", "no images yet", None),
    ]
    return story


def screen(story: Story, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True)
    console.print(render(story, "playing", 12, now=20.0))
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def test_a_terminal_shows_the_story_as_it_grows() -> None:
    output = io.StringIO()
    console = Console(file=output, width=100, height=40, force_terminal=True)
    story = told_story()
    display = open_display(story, console)
    display.refresh("playing")
    assert "The mug moves." in output.getvalue() and "The lamp goes on." not in output.getvalue()
    story.sentences.append(Sentence(19.0, 19.5, "The lamp goes on.", 0.8))
    display.close()
    assert "The lamp goes on." in output.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00.0"), (9.96, "0:10.0"), (65.2, "1:05.2"), (3600, "60:00.0"), (-1, "0:00.0")],
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_story_counts_and_rates() -> None:
    story = told_story()
    assert story.seconds(6 * SECOND) == 1.0
    assert story.saving == pytest.approx(195 / 4)
    assert story.rate(now=20.0) == pytest.approx(10, abs=1)
    assert story.rate(now=60.0) == 0
    story.over = True
    assert story.rate(now=60.0) == pytest.approx(195 / 20)
    assert Story("new", None).saving is None


def test_known_videos_have_three_questions_at_the_end_one_with_candidates() -> None:
    for name in ("tabletop", "bikes", "vtest", "anything else"):
        last = [question for question in questions_for(name) if question.at is None]
        assert len(last) == 3
        assert sum(bool(question.candidates) for question in last) == 1


def test_questions_during_the_clip_come_while_their_answer_is_to_be_seen() -> None:
    facts = json.loads(Path(find_video("tabletop")[1]).with_suffix(".json").read_text())
    happened, holding = [q.at for q in questions_for("tabletop") if q.at is not None]
    window = 1.5  # s
    event = event_in(facts, frame_at(facts, happened - window), frame_at(facts, happened))
    assert event is not None and event["type"] == "lamp_off"
    for at in (holding - window, holding + 0.5):
        assert state_at(facts, frame_at(facts, at))["arm"] == "holding"


def frame_at(facts: dict[str, Any], seconds: float) -> int:
    return round(seconds / float(facts["frame_period"]))


def test_own_questions_replace_those_at_the_end() -> None:
    asked = questions_for("anything", ["Is it on? | yes | no ", "What is it?"])
    assert asked == [Question("Is it on?", ("yes", "no")), Question("What is it?")]


@pytest.mark.parametrize("text", ["", "  ", "| yes | no"])
def test_question_without_text_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="question"):
        parse_question(text)


def test_screen_shows_what_happened() -> None:
    text = screen(told_story())
    for part in ("a clip", "195 embedded", "The mug moves.", "Is the lamp on?", "no answer"):
        assert part in text
    assert "4 told, every-frame decoding: 195 (48.8 times as many)" in text


def test_screen_of_a_camera_that_has_said_nothing_yet() -> None:
    assert "0 embedded" in screen(Story("video0", None))


def test_screen_keeps_to_the_lines_given() -> None:
    assert screen(told_story(sentences=60)).count("The mug moves.") <= 12


def test_score_bar_crosses_the_mark_at_the_threshold() -> None:
    story = Story("clip", 1.0, threshold=0.3)
    for score in (0.0, 0.1, 0.29, 0.31, 0.6, 2.0):
        story.scores = [(0.0, score)]
        left, right = score_bar(story).plain.split("┃")
        assert ("█" in right) == (score > 0.3 + 0.6 / 80)
        assert len(left) == 20


def test_without_a_terminal_each_sentence_and_answer_is_one_line() -> None:
    output = io.StringIO()
    story = told_story()
    display = open_display(story, Console(file=output, width=40))
    display.refresh("playing")
    display.refresh("playing")
    display.close()
    lines = output.getvalue().splitlines()
    assert sum("The mug moves." in line for line in lines) == 4
    assert sum("Is the lamp on?  yes  (0.90)" in line for line in lines) == 1
    assert not any("[0 frames" in line for line in lines)
    assert sum("Why?  no answer: no images yet" in line for line in lines) == 1


@given(st.lists(st.floats(0, 100), max_size=40), st.floats(0.01, 10))
def test_badges_do_not_cover_one_another(times: list[float], width: float) -> None:
    rows = badge_rows(times, width)
    for row in set(rows):
        mine = sorted(at for at, its in zip(times, rows, strict=True) if its == row)
        assert all(later >= earlier + width for earlier, later in itertools.pairwise(mine))


@pytest.mark.parametrize("sentences", [0, 4, 30])
def test_timeline_is_drawn_and_grows_with_its_text(sentences: int, tmp_path: Path) -> None:
    draw_timeline(told_story(sentences), tmp_path / "timeline.png")
    picture = cv2.imread(str(tmp_path / "timeline.png"))
    assert picture is not None
    height, width = picture.shape[:2]
    assert width == 1760
    assert height > 600 + 20 * sentences / 2


def test_timeline_of_nothing(tmp_path: Path) -> None:
    draw_timeline(Story("nothing", None), tmp_path / "timeline.png")
    assert (tmp_path / "timeline.png").stat().st_size > 1000


def write_clip(path: Path, frames: int, rate: float) -> None:
    """Write a clip in which each image is brighter than the last."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, (64, 48))
    for index in range(frames):
        writer.write(np.full((48, 64, 3), 10 * index, np.uint8))
    writer.release()


def test_video_is_played_in_its_own_time(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", frames=4, rate=4)
    name, path = find_video(str(tmp_path / "clip.mp4"))
    video = Video(path)
    assert (name, video.live, video.rate) == ("clip", False, 4)
    assert video.duration == pytest.approx(1.0)
    start = time.monotonic()
    pictures = list(video.frames())
    assert time.monotonic() - start >= 0.75 - 0.01
    assert 2 <= len(pictures) <= 4
    assert pictures[0].shape == (48, 64, 3)
    assert pictures[-1].mean() == pytest.approx(30, abs=8)
    video.close()


def test_who_is_too_slow_for_a_video_loses_images(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", frames=25, rate=20)
    video = Video(str(tmp_path / "clip.mp4"))
    shades = []
    for picture in video.frames():
        shades.append(round(picture.mean() / 10))
        time.sleep(0.3)  # six images
    assert shades[0] == 0 and len(shades) <= 6
    video.close()


def test_missing_video_is_an_error_that_names_the_choices() -> None:
    with pytest.raises(InputError, match="tabletop, bikes, vtest"):
        find_video("nowhere.mp4")


def test_file_that_is_no_video_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(InputError, match="is it a video"):
        Video(str(tmp_path / "text.mp4"))
