"""The demo's ear: hears all that the pipeline says, records it, and asks it questions."""

import time
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.serialization import deserialize_message
from rclpy.task import Future

from vljepa_ros.demo.questions import Question
from vljepa_ros.demo.recorder import Recorder
from vljepa_ros.demo.story import Answer, Sentence, Story
from vljepa_ros.msg import (
    Description,
    LabelScores,
    ModelInfo,
    SemanticEmbedding,
    SemanticShift,
)
from vljepa_ros.nodes.conversions import to_nanoseconds
from vljepa_ros.nodes.qos import LATCHED, RESULTS
from vljepa_ros.srv import Ask
from vljepa_ros.streaming import ChangeGate, GateConfig

OUTPUTS = {
    "model_info": ModelInfo,
    "embedding": SemanticEmbedding,
    "shift": SemanticShift,
    "description": Description,
    "labels": LabelScores,
}
_NODES = ("embedder", "gate", "decoder", "vqa")
_PATIENCE = 5.0  # s until a service is asked again
_GATE_SETTINGS = tuple(field.name for field in fields(GateConfig))


class PipelineClient:
    """Listens to the pipeline's topics and calls its services.

    Subscribes (all reliable, as raw CDR, which goes to the recording untouched):
        model_info (latched), embedding, shift, description, labels.
    Calls:
        ask; gate/get_parameters, to draw the score that the gate itself computes; <node>/get_state
        of each node, to learn early that one could not be configured.

    With several queries the story follows that of the first embedding; all are recorded.
    """

    def __init__(self, node: Node, story: Story, recorder: Recorder) -> None:
        self._node = node
        self._story = story
        self._recorder = recorder
        self._gate: ChangeGate | None = None
        self._query: str | None = None
        self._open: set[Question] = set()
        self.last_heard = time.monotonic()
        handlers: dict[str, Callable[[Any], None]] = {
            "model_info": self._on_model_info,
            "embedding": self._on_embedding,
            "shift": self._on_shift,
            "description": self._on_description,
            "labels": lambda message: None,
        }
        for topic, kind in OUTPUTS.items():
            qos = LATCHED if topic == "model_info" else RESULTS
            callback = self._hearing(topic, kind, handlers[topic])
            node.create_subscription(kind, topic, callback, qos, raw=True)
        self._ask: Any = node.create_client(Ask, "ask")
        self._parameters: Any = node.create_client(GetParameters, "gate/get_parameters")
        self._state_clients: dict[str, Any] = {
            name: node.create_client(GetState, f"{name}/get_state") for name in _NODES
        }
        self._calls: dict[str, tuple[float, Future[Any]]] = {}  # by service, with the time (s)

    def ready(self) -> bool:
        """Say whether all parts of the pipeline are up; call it until they are."""
        request = GetParameters.Request(names=list(_GATE_SETTINGS))
        if self._gate is None and (reply := self._answer(self._parameters, request)):
            values = map(parameter_value_to_python, reply.values)
            settings: dict[str, Any] = dict(zip(_GATE_SETTINGS, values, strict=True))
            self._gate = ChangeGate(GateConfig(**settings))
            self._story.threshold = self._gate.config.threshold
        return (
            self._gate is not None
            and self._inactive() == []
            and bool(self._story.model)
            and self._ask.service_is_ready()
            and self._node.count_subscribers("image") > 0
        )

    def fault(self) -> str:
        """Say which node did not become active; empty while all is well."""
        names = self._inactive() or []
        return f"Not active, for a reason that its log gives: {', '.join(names)}." if names else ""

    def _inactive(self) -> list[str] | None:
        """Return the nodes that could not be started; None until all have answered.

        The pipeline answers only when it has tried to start them all.
        """
        states = {
            name: self._answer(client, GetState.Request())
            for name, client in self._state_clients.items()
        }
        if None in states.values():
            return None
        return [
            name
            for name, state in states.items()
            if state.current_state.id != State.PRIMARY_STATE_ACTIVE
        ]

    def _answer(self, client: Any, request: Any) -> Any:
        """Return a service's answer, or None until it has come.

        It is asked again after a while: an answer is lost while the server has not found this
        client yet.
        """
        asked, future = self._calls.get(client.srv_name, (float("-inf"), None))
        if future is not None and future.done():
            return future.result()
        if client.service_is_ready() and time.monotonic() > asked + _PATIENCE:
            self._calls[client.srv_name] = time.monotonic(), client.call_async(request)
        return None

    def ask(self, question: Question) -> None:
        """Send a question; the answer goes into the story when it comes."""
        request = Ask.Request(question=question.text, candidates=list(question.candidates))
        future: Future[Any] = self._ask.call_async(request)
        future.add_done_callback(lambda done: self._on_answer(question, done.result()))
        self._open.add(question)

    def is_open(self, question: Question) -> bool:
        """Say whether this question was asked and not yet answered."""
        return question in self._open

    def _hearing(
        self, topic: str, kind: type, handle: Callable[[Any], None]
    ) -> Callable[[bytes], None]:
        """Return the callback of a topic: record, read, note."""
        name = self._node.resolve_topic_name(topic)

        def callback(data: bytes) -> None:
            self._recorder.write(name, time.time_ns(), data)
            self.last_heard = time.monotonic()
            handle(deserialize_message(data, kind))

        return callback

    def _on_model_info(self, message: ModelInfo) -> None:
        self._story.model = f"{message.model_id} · {message.backend} on {message.device}"

    def _on_embedding(self, message: SemanticEmbedding) -> None:
        self._query = message.query if self._query is None else self._query
        if self._gate is None or message.query != self._query:
            return
        stamp = to_nanoseconds(message.header.stamp)
        self._gate.update(stamp, message.data)
        self._story.add_score(self._story.seconds(stamp), self._gate.score, time.monotonic())

    def _on_shift(self, message: SemanticShift) -> None:
        if message.embedding.query == self._query and message.trigger == SemanticShift.SHIFT:
            self._story.shifts.append(self._story.seconds(to_nanoseconds(message.segment_start)))

    def _on_description(self, message: Description) -> None:
        if message.query == self._query:
            self._story.sentences.append(
                Sentence(
                    self._story.seconds(to_nanoseconds(message.segment_start)),
                    self._story.seconds(to_nanoseconds(message.header.stamp)),
                    message.text,
                    message.confidence,
                )
            )

    def _on_answer(self, question: Question, answer: Ask.Response) -> None:
        self._open.discard(question)
        at = self._story.seconds(to_nanoseconds(answer.header.stamp))
        if answer.success:
            self._story.answers.append(Answer(at, question.text, answer.answer, answer.confidence))
        else:
            self._story.answers.append(
                Answer(self._story.elapsed, question.text, answer.message, None)
            )
