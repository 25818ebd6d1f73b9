"""Results that are kept, so that a run that was ended goes on where it was."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vljepa_ros.runtime import EngineInfo
from vljepa_ros.runtime.engine import find_model
from vljepa_ros.runtime.exported import exported_folder

_MODEL = "vljepa-tiny"
_OF_ALL_MODELS = ("prediction",)  # claims that train their own
_THROUGH_NODES = ("replay",)

Entry = dict[str, Any]


@dataclass(frozen=True)
class Store:
    """Results of one model in one setting; those of others lie elsewhere and are never read.

    Claims share their own folders among models, since streams need not be drawn anew; what they
    keep there of a model, they keep apart.

    Args:
        root: folder of all evidence.
        model_id: what ran, as `ran_as` names it.
        defaults: digest of the nodes' defaults, which decide what gate and decoder tell, of
            `made_by`, and of `code`.
        code: `kept.code`.
        nodes: `kept.nodes_code`, which decides what the claims through the nodes measure.
        quick: whether they are of the subset.
    """

    root: Path
    model_id: str
    defaults: str
    code: str
    nodes: str
    quick: bool

    @property
    def folder(self) -> Path:
        """Of this setting."""
        return self.root / ("quick" if self.quick else "full")

    def path(self, name: str) -> Path:
        """Where a claim's result lies."""
        own = (self.code,) if name in _OF_ALL_MODELS else (self.model_id, self.defaults)
        own += (self.nodes,) if name in _THROUGH_NODES else ()
        return (self.folder / "results").joinpath(*own, f"{name}.json")

    def work(self, name: str) -> Path:
        """A claim's own folder, which is made."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def spend(self, name: str, seconds: float) -> float:
        """Add to the time that a claim has taken in all its runs; the sum in s."""
        path = self.path(name).with_suffix(".seconds")
        total = seconds + (float(path.read_text("utf-8")) if path.is_file() else 0.0)
        write_whole(path, f"{total}\n")
        return total

    def load(self, name: str) -> Entry | None:
        """What `save` wrote; None where there is nothing."""
        if not self.path(name).is_file():
            return None
        entry: Entry = json.loads(self.path(name).read_text("utf-8"))
        return entry

    def save(self, name: str, entry: Entry) -> None:
        """Keep a result; a file that has its name is whole."""
        write_whole(self.path(name), json.dumps(entry))


def ran_as(info: EngineInfo) -> str:
    """Weights, library and precision: what was made by others is not a result of these."""
    return f"{info.model_id}-{info.backend}-{info.precision}"


def made_by(info: EngineInfo) -> str:
    """`ran_as`, and a digest of the code and all else that makes an export of the model."""
    _, digest, _ = exported_folder(find_model(_MODEL), info.precision).name.rsplit("-", 2)
    return f"{ran_as(info)}-{digest}"


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it has its name only when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
