"""All nodes in one process, with one copy of the weights."""

from __future__ import annotations

from functools import partial

from vljepa_ros.nodes.decoder import Decoder
from vljepa_ros.nodes.embedder import Embedder
from vljepa_ros.nodes.gate import Gate
from vljepa_ros.nodes.lifecycle import run
from vljepa_ros.nodes.vqa import Vqa


def main(args: list[str] | None = None) -> None:
    """Run the nodes; the embedder announces the model for all of them."""
    run([Embedder, Gate, partial(Decoder, announces=False), partial(Vqa, announces=False)], args)
