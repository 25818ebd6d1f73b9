"""What was told of a stream, offline or by the nodes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Told:
    """Sentences about a stream.

    Attributes:
        stamps: of the newest frame behind each, ns since the stream began.
        texts: of each.
        changes: stamps at which the gate told a change, and not a stream's opening or a silence.
    """

    stamps: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    changes: list[int] = field(default_factory=list)
