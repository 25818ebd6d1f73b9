"""A subscription that exists only while somebody hears what is made of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile

from vljepa_ros.nodes.lifecycle import ManagedNode

_CHECK_PERIOD = 0.25  # s
_RECENT = 5.0  # s after a message in which the next is not waited for


class LazySubscription:
    """Subscribes to a topic while its node is active and another topic has subscribers.

    So a chain of nodes rests as one.

    Args:
        node: whose subscription it is.
        kind: message type of the topic.
        topic: its name.
        receive: is called with each message.
        qos: of the subscription.
        output: publishes what is made of the messages.
        begin: is called before it subscribes: what was heard before a rest is old.
    """

    def __init__(
        self,
        node: ManagedNode,
        kind: type,
        topic: str,
        receive: Callable[[Any], None],
        qos: QoSProfile,
        output: Publisher,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        self._node = node
        self._begin = begin
        self._receive = receive
        self._arguments = (kind, topic, self._on_message, qos)
        self._topic = node.resolve_topic_name(topic)
        self._received_at = -math.inf  # steady time, s
        self._output = output
        self._subscription: Any = None
        self._is_open = True
        self.check()
        # rclpy tells of new subscribers only since Iron. Steady: simulated time may stand still.
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(_CHECK_PERIOD, self.check, clock=clock)

    @property
    def hears(self) -> bool:
        """Whether it is subscribed."""
        return self._subscription is not None

    @property
    def waits_for(self) -> Mapping[str, str]:
        """What is missing before it can work, for diagnostics; nothing while messages come."""
        if not self._node.active:
            return {}
        if not self.hears:
            return {"waits for": f"a subscriber of {self._output.topic_name}"}
        if time.monotonic() - self._received_at < _RECENT:
            return {}
        return {"waits for": f"a message on {self._topic}"}

    def _on_message(self, message: Any) -> None:
        self._received_at = time.monotonic()
        self._receive(message)

    def close(self) -> None:
        """End it."""
        self._node.dispose(self._node.destroy_timer, self._timer)
        self._is_open = False
        self.check()

    def check(self) -> None:
        """Subscribe or not, as it is wanted now; a timer does it a little later."""
        works = self._is_open and self._node.active
        wanted = works and self._output.get_subscription_count() > 0
        if wanted and self._subscription is None:
            self._begin()
            self._subscription = self._node.create_subscription(*self._arguments)
        elif not wanted and self._subscription is not None:
            self._node.dispose(self._node.destroy_subscription, self._subscription)
            self._subscription = None
