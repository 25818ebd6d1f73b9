"""All nodes in one process, with one copy of the weights."""

from __future__ import annotations

from collections.abc import Iterator

from vljepa_ros.nodes.camera import camera_topics
from vljepa_ros.nodes.decoder import Decoder
from vljepa_ros.nodes.embedder import Embedder
from vljepa_ros.nodes.gate import Gate
from vljepa_ros.nodes.lifecycle import ManagedNode, run
from vljepa_ros.nodes.vqa import Vqa
from vljepa_ros.runtime import PARTS


def _make() -> Iterator[ManagedNode]:
    """One embedder, which announces the model for all; of the others one for each camera.

    Those of a camera live in the namespace of its name.
    """
    embedder = Embedder(parts=PARTS)
    yield embedder
    for name, topic in camera_topics(embedder).items():
        arguments: list[str] = []
        if name:
            namespace = f"{embedder.get_namespace().rstrip('/')}/{name}"
            image = embedder.resolve_topic_name(topic)
            arguments = ["--ros-args", "-r", f"__ns:={namespace}", "-r", f"image:={image}"]
        yield Gate(arguments)
        yield Decoder(announces=False, arguments=arguments, parts=PARTS)
        yield Vqa(announces=False, arguments=arguments)


def main(args: list[str] | None = None) -> None:
    """Run the nodes."""
    run(_make, args)
