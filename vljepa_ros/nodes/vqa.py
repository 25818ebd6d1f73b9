"""VQA node: answers questions about the newest images, and embeds texts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from rclpy.callback_groups import ReentrantCallbackGroup

from vljepa_ros.errors import InputError
from vljepa_ros.nodes.background import Background
from vljepa_ros.nodes.camera import ImageSubscription, declare_camera
from vljepa_ros.nodes.conversions import to_floats, to_header, to_nanoseconds, to_time
from vljepa_ros.nodes.images import to_rgb
from vljepa_ros.nodes.model_node import ModelNode, declare_min_confidence
from vljepa_ros.nodes.process import run
from vljepa_ros.nodes.tokens import shared_tokens
from vljepa_ros.runtime import Engine
from vljepa_ros.runtime.engine import TEXT_CACHE, check_text
from vljepa_ros.srv import Ask, EmbedText
from vljepa_ros.streaming import FrameWindow

# Images are large: a window of 4 needs no more than a few a period to be sampled well.
_KEPT_PER_PERIOD = 3
_THREADS = 4  # that a text may be embedded while questions are answered
_UNFINISHED = 32  # requests, above which others are refused

_Response = TypeVar("_Response", Ask.Response, EmbedText.Response)


class Vqa(ModelNode):
    """Keeps the newest images; when asked, it encodes those that this process has not yet encoded.

    Subscribes: `image` (sensor_msgs/Image, or CompressedImage on `image/compressed`).
    Publishes: `~/model_info`, as `ModelNode`, if it announces.
    Services: `ask` (Ask), `embed_text` (EmbedText), as long as the node lives: one that is not
    active says so, where a service that vanished would leave who asked without an answer.
    Parameters: min_confidence (changeable while it runs), and those of `declare_camera` and
    `ModelNode`.
    """

    def __init__(self, *, announces: bool = True, arguments: Sequence[str] = ()) -> None:
        super().__init__("vqa", "~/model_info" if announces else None, arguments=arguments)
        declare_camera(self)
        declare_min_confidence(self)
        self._camera: ImageSubscription | None = None
        self._window: FrameWindow[Any] | None = None  # of images, while the node is active
        self._window_lock = threading.Lock()
        self._background = Background(self, _THREADS, _UNFINISHED)
        group = ReentrantCallbackGroup()  # a question need not wait for the one before it
        self.create_service(Ask, "ask", self._ask, callback_group=group)
        self.create_service(EmbedText, "embed_text", self._embed_text, callback_group=group)

    def configure(self) -> None:
        self._camera = ImageSubscription(self, self._receive)
        super().configure()

    def activate(self) -> None:
        assert self.engine is not None and self._camera is not None
        info = self.engine.info
        # Time may have run backwards while nobody looked.
        shared_tokens(self.engine).forget(self._camera.topic)
        with self._window_lock:
            self._window = FrameWindow(
                info.window_frames, info.window_period, info.window_period / _KEPT_PER_PERIOD
            )
        self._camera.open()

    def deactivate(self) -> None:
        if self._camera is not None:
            self._camera.close()
        with self._window_lock:
            self._window = None

    def abandon(self) -> bool:
        return self._background.close()

    def _receive(self, message: Any) -> None:
        self.statistics.count("frames received")
        with self._window_lock:
            if self._window is None:
                return
            backwards = self._window.add(to_nanoseconds(message.header.stamp), message)
        if backwards and self._camera is not None and self.engine is not None:
            self.statistics.count("windows cleared")
            shared_tokens(self.engine).forget(self._camera.topic)

    def details(self) -> Mapping[str, str]:
        return {**super().details(), "requests unfinished": str(self._background.unfinished)}

    async def _ask(self, request: Ask.Request, response: Ask.Response) -> Ask.Response:
        return await self._unless_busy("question", self._ask_in_thread, request, response)

    async def _embed_text(
        self, request: EmbedText.Request, response: EmbedText.Response
    ) -> EmbedText.Response:
        return await self._unless_busy("text", self._embed_in_thread, request, response)

    async def _unless_busy(
        self, kind: str, work: Callable[..., _Response], request: Any, response: _Response
    ) -> _Response:
        try:
            return await self._background.run(work, request, response)
        except InputError as error:
            return self._refuse(kind, error, response)

    def _ask_in_thread(self, request: Ask.Request, response: Ask.Response) -> Ask.Response:
        started = time.perf_counter()
        try:
            self._answer(request, response)
        except Exception as error:
            return self._refuse("question", error, Ask.Response())
        response.success = True
        self.statistics.count("questions answered")
        self.statistics.time("answering", time.perf_counter() - started)
        return response

    def _answer(self, request: Ask.Request, response: Ask.Response) -> None:
        engine = self._ready()
        question = check_text(request.question, "question")
        if len(request.candidates) > TEXT_CACHE:
            raise InputError(
                f"there are {len(request.candidates)} candidates; give at most {TEXT_CACHE}"
            )
        candidates = [check_text(text, "candidate") for text in request.candidates]
        window, tokens = self._encode(engine)
        (embedding,) = engine.predict([tokens[stamp] for stamp, _ in window], [question])
        if candidates:
            ranking = engine.rank(embedding, candidates)
            response.answer = candidates[ranking.best]
            response.confidence = float(ranking.scores[ranking.best])
            response.scores = to_floats(ranking.scores)
        else:
            least = self.get_parameter("min_confidence").value
            (decoded,) = engine.decode(embedding[None], least)
            response.answer, response.confidence = decoded.text, decoded.confidence
        response.header = to_header(window[-1][1].header)
        response.window_start = to_time(window[0][0])
        response.model_id = engine.info.model_id
        if self._camera is not None and (silence := self._camera.silence):
            response.message = (
                f"no new image has come for {silence:.0f} s; this is about the last one"
            )

    def _encode(self, engine: Engine) -> tuple[list[tuple[int, Any]], dict[int, Any]]:
        """The newest image's window, oldest first, and the tokens of its frames, by stamp in ns.

        Frames that this process has encoded already are taken before others.
        """
        assert self._camera is not None
        topic, store = self._camera.topic, shared_tokens(engine)
        tokens = store.get(topic)
        with self._window_lock:
            window = self._window.sample(preferred=tokens) if self._window is not None else []
        if not window:
            raise InputError(f"no image has come on {topic} yet; start the camera and ask again")
        window, pictures = self._readable(window, tokens, engine.info.input_width)
        if pictures:
            rows = engine.encode_frames(list(pictures.values()))
            made = dict(zip(pictures, rows, strict=True))
            tokens |= made
            with self._window_lock:
                now = self._window.sample() if self._window is not None else []
                if now and now[-1][0] >= window[-1][0]:  # else time ran backwards meanwhile
                    for stamp, row in made.items():
                        store.add(topic, stamp, row)
        self.statistics.count("frames encoded", len(pictures))
        return window, tokens

    def _readable(
        self, window: list[tuple[int, Any]], tokens: Mapping[int, Any], size: int
    ) -> tuple[list[tuple[int, Any]], dict[int, Any]]:
        """A window whose frames have tokens or can be read, and the pictures of the latter.

        For one that cannot, the next newer one stands.

        Raises:
            InputError: the newest cannot.
        """
        found: list[tuple[int, Any]] = []
        pictures: dict[int, Any] = {}
        for stamp, message in reversed(window):
            try:
                if stamp not in tokens:
                    pictures[stamp] = to_rgb(message, size)
            except InputError as error:
                if not found:
                    raise
                self.bad_input("image", error)
                found.append(found[-1])
            else:
                found.append((stamp, message))
        return found[::-1], pictures

    def _embed_in_thread(
        self, request: EmbedText.Request, response: EmbedText.Response
    ) -> EmbedText.Response:
        try:
            engine = self._ready()
            response.data = to_floats(engine.encode_text([check_text(request.text, "text")])[0])
        except Exception as error:
            return self._refuse("text", error, EmbedText.Response())
        response.model_id, response.success = engine.info.model_id, True
        self.statistics.count("texts embedded")
        return response

    def _refuse(self, kind: str, error: Exception, response: _Response) -> _Response:
        """Answer that there is no answer: an exception would end the process."""
        if isinstance(error, InputError):
            self.bad_input(kind, error)
            response.message = str(error)
        else:
            self.failure(kind, error)
            response.message = f"unexpected error, see the log of the node: {error!r}"
        return response

    def _ready(self) -> Engine:
        engine = self.engine  # once: the node may be cleaned up meanwhile
        if engine is None or not self.active:
            raise InputError("the node is not active; activate it with ros2 lifecycle set")
        return engine


def main(args: list[str] | None = None) -> None:
    """Run the node."""
    run(lambda: [Vqa()], args)
