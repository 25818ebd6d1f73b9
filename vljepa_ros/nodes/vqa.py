"""VQA node: answers questions about the newest images, and embeds texts."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup

from vljepa_ros.errors import InputError
from vljepa_ros.nodes.camera import Camera, declare_camera
from vljepa_ros.nodes.conversions import to_floats, to_nanoseconds, to_time
from vljepa_ros.nodes.engines import shared_engine
from vljepa_ros.nodes.images import to_rgb
from vljepa_ros.nodes.lifecycle import ManagedNode, run
from vljepa_ros.nodes.parameters import declare
from vljepa_ros.runtime import Engine
from vljepa_ros.runtime.engine import check_text
from vljepa_ros.srv import Ask, EmbedText
from vljepa_ros.streaming import FrameWindow

# Images are large: a window of 4 needs no more than a few a period to be sampled well.
_KEPT_PER_PERIOD = 3


class Vqa(ManagedNode):
    """Keeps the newest images and encodes them only when asked.

    Subscribes: `image` (sensor_msgs/Image, or CompressedImage on `image/compressed`).
    Services: `ask` (Ask), `embed_text` (EmbedText).
    Parameters: below, and those of `declare_camera` and `ManagedNode`.
    """

    def __init__(self) -> None:
        super().__init__("vqa")
        declare(self, "model", "vljepa-tiny", "shipped name or folder", read_only=True)
        declare(self, "device", "cpu", "torch device, for example cuda:0", read_only=True)
        declare_camera(self)
        self._engine: Engine | None = None
        self._camera: Camera | None = None
        self._window_lock = threading.Lock()

    def configure(self) -> None:
        self._engine = shared_engine(
            self.get_parameter("model").value, self.get_parameter("device").value
        )
        info = self._engine.info
        self._window: FrameWindow[Any] = FrameWindow(
            info.window_frames, info.window_period, info.window_period / _KEPT_PER_PERIOD
        )
        # Of their own, so that a question never waits for an image.
        group = ReentrantCallbackGroup()
        self._ask_service = self.create_service(Ask, "ask", self._ask, callback_group=group)
        self._embed_service = self.create_service(
            EmbedText, "embed_text", self._embed_text, callback_group=group
        )

    def activate(self) -> None:
        with self._window_lock:
            self._window.clear()
        self._camera = Camera(self, self._receive)

    def deactivate(self) -> None:
        if self._camera is not None:
            self._camera.close()
        self._camera = None

    def cleanup(self) -> None:
        if self._engine is not None:
            self.destroy_service(self._ask_service)
            self.destroy_service(self._embed_service)
        self._engine = None

    def details(self) -> Mapping[str, str]:
        return {"model": self._engine.info.model_id if self._engine else "not loaded"}

    def _receive(self, message: Any) -> None:
        self.statistics.count("frames received")
        with self._window_lock:
            self._window.add(to_nanoseconds(message.header.stamp), message)

    def _ask(self, request: Ask.Request, response: Ask.Response) -> Ask.Response:
        started = time.perf_counter()
        try:
            self._answer(request, response)
        except InputError as error:
            self.bad_input("question", error)
            response.success, response.message = False, str(error)
        else:
            response.success = True
            self.statistics.count("questions answered")
            self.statistics.time("answering", time.perf_counter() - started)
        return response

    def _answer(self, request: Ask.Request, response: Ask.Response) -> None:
        engine = self._ready()
        question = check_text(request.question, "question")
        candidates = [check_text(text, "candidate") for text in request.candidates]
        with self._window_lock:
            window = self._window.sample()
        if not window:
            topic = self.resolve_topic_name("image")
            raise InputError(f"no image has come on {topic} yet; start the camera and ask again")
        tokens = engine.encode_frames([to_rgb(message) for _, message in window])
        (embedding,) = engine.predict(list(tokens), [question])
        if candidates:
            ranking = engine.rank(embedding, candidates)
            response.answer = candidates[ranking.best]
            response.confidence = float(ranking.scores[ranking.best])
            response.scores = to_floats(ranking.scores)
        else:
            (decoded,) = engine.decode(embedding[None])
            response.answer, response.confidence = decoded.text, decoded.confidence
        response.header = window[-1][1].header
        response.window_start = to_time(window[0][0])
        response.model_id = engine.info.model_id

    def _embed_text(
        self, request: EmbedText.Request, response: EmbedText.Response
    ) -> EmbedText.Response:
        try:
            engine = self._ready()
            response.data = to_floats(engine.encode_text([check_text(request.text, "text")])[0])
            response.model_id, response.success = engine.info.model_id, True
        except InputError as error:
            self.bad_input("text", error)
            response.success, response.message = False, str(error)
        return response

    def _ready(self) -> Engine:
        if self._engine is None or not self.active:
            raise InputError("the node is not active; activate it with ros2 lifecycle set")
        return self._engine


def main(args: list[str] | None = None) -> None:
    """Run the node."""
    run([Vqa], args)
