"""`python -m vljepa_ros.demo`: starts the pipeline, plays a video to it, shows what it says."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rich.console import Console

from vljepa_ros.demo.client import OUTPUTS, PipelineClient
from vljepa_ros.demo.display import Display, open_display
from vljepa_ros.demo.player import ImagePlayer
from vljepa_ros.demo.process import DemoError, PipelineProcess
from vljepa_ros.demo.questions import Question, questions_for
from vljepa_ros.demo.recorder import Recorder
from vljepa_ros.demo.story import Answer, Story
from vljepa_ros.demo.timeline import draw_timeline
from vljepa_ros.demo.video import Video, find_video
from vljepa_ros.errors import VljepaError
from vljepa_ros.nodes.transport import receive_large_images

NAMESPACE = "/vljepa_demo"

# Bounds in seconds. The first start on a cold disk loads torch and the weights.
_STARTUP = 180.0
_ANSWER = 60.0
_QUIET = 1.5  # without a message: the pipeline has said all it has to say
_QUIET_LIMIT = 20.0
_LIVE = 60.0  # how long a camera is watched


def main(arguments: list[str] | None = None) -> int:
    """Run the demo and return the exit code: 0, 1 when it failed, 130 after Ctrl-C."""
    options = _parse(arguments)
    console = Console()
    # A demo concerns this machine only, unless the user has said otherwise. Humble knows the older
    # variable only, which later ones would complain of.
    if os.environ.get("ROS_DISTRO") == "humble":
        os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    else:
        os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    # The pipeline has a session of its own: a terminal that is closed ends it only through here.
    for ending in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(ending) is not signal.SIG_IGN:  # as under nohup
            signal.signal(ending, signal.default_int_handler)
    try:
        return Demo(options, console).run()
    except VljepaError as error:
        console.print(f"The demo failed. {error}", style="red", markup=False, soft_wrap=True)
        return 1


class Demo:
    """One run of the demo.

    Raises:
        VljepaError: for a video that cannot be played or a folder that cannot be used.
    """

    def __init__(self, options: argparse.Namespace, console: Console) -> None:
        name, path = find_video(options.video)
        self._video = Video(path)
        self._seconds = options.seconds or (_LIVE if self._video.live else None)
        duration = self._video.duration or self._seconds
        if self._seconds is not None and duration is not None:
            duration = min(duration, self._seconds)
        self._story = Story(name, duration)
        self._questions = questions_for(name, options.ask)
        self._model: str | None = options.model
        self._out = _new_folder(options.out, name)
        self._console = console

    def run(self) -> int:
        """Start everything, play, ask, and leave the results in the folder."""
        with ExitStack() as stack:
            receive_large_images()
            rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
            stack.callback(rclpy.shutdown)
            node = Node("demo", namespace=NAMESPACE)
            stack.callback(node.destroy_node)
            extra = ["-p", f"model:={self._model}"] if self._model else []
            pipeline = PipelineProcess(NAMESPACE, self._out / "pipeline.log", extra)
            stack.callback(pipeline.stop)
            topics = {
                node.resolve_topic_name(topic): kind.__name__ for topic, kind in OUTPUTS.items()
            }
            latched = frozenset({node.resolve_topic_name("model_info")})
            recorder = Recorder(self._out / "rosbag", topics, latched)
            stack.callback(recorder.close)
            client = PipelineClient(node, self._story, recorder)
            executor = SingleThreadedExecutor()
            executor.add_node(node)
            display = open_display(self._story, self._console)
            stack.callback(display.close)
            player = ImagePlayer(node, self._video, self._story, self._seconds)
            interrupted = False
            try:
                _Director(executor, pipeline, display, client, self._story).direct(
                    player, self._questions
                )
            except KeyboardInterrupt:
                interrupted = True
            finally:
                player.stop()
        if not self._story.scores and not interrupted:
            raise DemoError(f"Images were sent, but no embedding came back.\n{pipeline.tail()}")
        draw_timeline(self._story, self._out / "timeline.png")
        self._console.print(_summary(self._story, self._out), soft_wrap=True, markup=False)
        return 130 if interrupted else 0


class _Director:
    """Leads through the demo's acts: start, play, listen to the end, ask."""

    def __init__(
        self,
        executor: SingleThreadedExecutor,
        pipeline: PipelineProcess,
        display: Display,
        client: PipelineClient,
        story: Story,
    ) -> None:
        self._executor = executor
        self._pipeline = pipeline
        self._display = display
        self._client = client
        self._story = story

    def direct(self, player: ImagePlayer, questions: list[Question]) -> None:
        """Do all of it; raises DemoError when the pipeline fails."""
        self._start()
        player.start()
        for question in (q for q in questions if q.at is not None):
            self._play(player, question.at)
            self._client.ask(question)
        self._play(player, None)
        self._wait(self._is_quiet, _QUIET_LIMIT, "listening to the end")
        self._story.over = True
        for question in (q for q in questions if q.at is None):
            self._ask(question)
        self._display.refresh("finished")

    def _ask(self, question: Question) -> None:
        """Ask, and wait for the answer."""
        self._client.ask(question)
        if not self._wait(lambda: not self._client.is_open(question), _ANSWER, "asking"):
            late = f"no answer within {_ANSWER:.0f} s"
            self._story.answers.append(Answer(self._story.elapsed, question.text, late, None))

    def _start(self) -> None:
        """Wait until the pipeline is ready."""
        client = self._client
        up = self._wait(
            lambda: client.ready() or bool(client.fault()), _STARTUP, "starting the pipeline"
        )
        if fault := client.fault():
            raise DemoError(f"{fault}\n{self._pipeline.tail()}")
        if not up:
            raise DemoError(
                f"The pipeline was not ready after {_STARTUP:.0f} s.\n{self._pipeline.tail()}"
            )

    def _play(self, player: ImagePlayer, until: float | None) -> None:
        """Let the player go on until this time of the stream, or its end."""
        self._wait(
            lambda: not player.is_alive() or (until is not None and self._story.elapsed >= until),
            None,
            "playing",
        )

    def _is_quiet(self) -> bool:
        return time.monotonic() - self._client.last_heard > _QUIET

    def _wait(self, done: Callable[[], bool], limit: float | None, status: str) -> bool:
        """Hear and show what comes until `done`; False when that takes longer than `limit`."""
        start = time.monotonic()
        while not done():
            if limit is not None and time.monotonic() - start > limit:
                return False
            self._executor.spin_once(timeout_sec=0.05)
            self._pipeline.check()
            self._display.refresh(status)
        return True


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m vljepa_ros.demo", description=__doc__)
    parser.add_argument(
        "--video",
        default="tabletop",
        metavar="FILE|DEVICE|NAME",
        help="a video file, a camera such as /dev/video0, or tabletop (default), bikes, vtest",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="new folder for the results")
    parser.add_argument(
        "--ask",
        action="append",
        default=[],
        metavar="QUESTION",
        help='ask this at the end, more than once if wished; "Is it on? | yes | no" chooses',
    )
    parser.add_argument(
        "--seconds",
        type=float,
        help=f"stop after this time of the stream (a camera: {_LIVE:.0f} s unless given)",
    )
    parser.add_argument("--model", help="name or folder of the weights, if not the default")
    return parser.parse_args(arguments)


def _new_folder(wanted: Path | None, name: str) -> Path:
    """Make and return the folder of this run."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = wanted or Path("recordings") / f"{name}-{stamp}"
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DemoError(f"{folder} is not empty: name a new folder with --out.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _summary(story: Story, out: Path) -> str:
    saving = "" if story.saving is None else f" ({story.saving:.1f} times as many)"
    return (
        f"\n{story.embeddings} embeddings of {story.frames_sent} images. "
        f"Sentences told: {len(story.sentences)}; "
        f"every-frame decoding would have made {story.embeddings}{saving}.\n"
        f"  picture    {out / 'timeline.png'}\n"
        f"  recording  {out / 'rosbag'}  (rosbag2, MCAP: all outputs, no images)\n"
        f"  log        {out / 'pipeline.log'}"
    )


if __name__ == "__main__":
    sys.exit(main())
