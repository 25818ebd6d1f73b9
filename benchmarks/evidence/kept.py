"""Single measurements that are kept, so that a claim that was ended goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evidence.store import write_whole


class Kept:
    """A folder of measurements.

    Args:
        folder: made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` gave when `name` was first asked for; JSON-able."""
        path = self.folder / f"{name}.json"
        if not path.is_file():
            write_whole(path, json.dumps(make()))
        return json.loads(path.read_text("utf-8"))


def digest(*settings: Any) -> str:
    """Eight characters that differ when numbers, texts or dataclasses of settings do."""
    return hashlib.blake2b(repr(settings).encode(), digest_size=4).hexdigest()
