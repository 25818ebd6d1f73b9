"""All nodes in one process, with one copy of the weights."""

from __future__ import annotations

from collections.abc import Iterator

from vljepa_ros.nodes.camera import camera_topics
from vljepa_ros.nodes.decoder import Decoder
from vljepa_ros.nodes.embedder import Embedder
from vljepa_ros.nodes.gate import Gate
from vljepa_ros.nodes.lifecycle import ManagedNode
from vljepa_ros.nodes.process import run
from vljepa_ros.nodes.vqa import Vqa
from vljepa_ros.runtime import PARTS


def _make() -> Iterator[ManagedNode]:
    """One embedder, which announces the model for all; of the others one for each camera.

    Those of a camera live in the namespace of its name. All keep their names: one that the process
    is given (`__node`) would be that of every node.
    """
    embedder = Embedder(parts=PARTS, arguments=_remap(__node="embedder"))
    yield embedder
    for name, topic in camera_topics(embedder).items():
        rules: dict[str, str] = {}
        if name:
            namespace = f"{embedder.get_namespace().rstrip('/')}/{name}"
            rules = {"__ns": namespace, "image": embedder.resolve_topic_name(topic)}
        yield Gate(arguments=_remap(__node="gate", **rules))
        decoder = _remap(__node="decoder", **rules)
        yield Decoder(announces=False, parts=PARTS, arguments=decoder)
        yield Vqa(announces=False, arguments=_remap(__node="vqa", **rules))


def _remap(**rules: str) -> list[str]:
    """ROS arguments of a node with these remapping rules."""
    arguments = ["--ros-args"]
    for before, after in rules.items():
        arguments += ["-r", f"{before}:={after}"]
    return arguments


def main(args: list[str] | None = None) -> None:
    """Run the nodes."""
    run(_make, args)
