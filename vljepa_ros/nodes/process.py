"""Runs nodes as a process, which a signal ends."""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Callable, Iterable
from typing import NoReturn

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from vljepa_ros.errors import InputError
from vljepa_ros.nodes.lifecycle import ManagedNode
from vljepa_ros.nodes.signals import Signals
from vljepa_ros.nodes.transport import receive_large_images


def run(make: Callable[[], Iterable[ManagedNode]], args: list[str] | None) -> NoReturn:
    """Run nodes in this process until SIGINT or SIGTERM, then exit with code 0.

    Arguments that ROS refuses, and parameters without which nodes cannot be made (a text for a
    number), end it with code 1.
    """
    faulthandler.enable()  # tells at least where a library below Python crashed
    signals = Signals()
    receive_large_images()
    _init(args)
    nodes: list[ManagedNode] = []
    # It costs little more than half of what MultiThreadedExecutor does (benchmarks/executors.py),
    # so no callback may last: what does, goes to a thread of its own.
    executor = SingleThreadedExecutor()
    code = 0
    try:
        with signals.interrupting(executor.wake):
            for node in make():
                nodes.append(node)
                executor.add_node(node)
            for node in nodes:
                if not signals.asked():
                    node.start()
            if any(node.get_parameter("build_only").value for node in nodes):
                rclpy.try_shutdown()
            while rclpy.ok() and not signals.asked():
                executor.spin_once()
                for node in nodes:
                    node.destroy_disposed()
    except (ParameterException, InputError) as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    finally:
        # Before the executor goes, which a finished question would wake.
        at_work = [node for node in nodes if node.abandon()]
        # Humble would wait for a question's coroutine, which nobody resumes any more.
        executor.shutdown(timeout_sec=0)
        for node in nodes:
            node.destroy_node()
        rclpy.try_shutdown()
    if at_work:
        # torch and ONNX Runtime cannot be interrupted, and Python would join their threads.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _init(args: list[str] | None) -> None:
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # rclpy's RCLError, or its UnknownROSArgsError, a bare list
        reason = " ".join(str(error).split())  # a fault in a file has lines
        print(
            f"error: ROS cannot be started: {reason}; check what follows --ros-args",
            file=sys.stderr,
        )
        sys.exit(1)
