"""Single measurements that are kept, so that a claim that was ended goes on."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import vljepa_ros
from evidence.store import write_whole

_EVIDENCE, _PACKAGE = Path(__file__).parent, Path(vljepa_ros.__file__).parent
_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_PARTS = ("model", "runtime", "streaming", "training")  # of the package
# Of the evidence, what only presents results.
_PRESENTS = re.compile(r"__main__|document|paper|.*_(picture|report|tables)")


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


@cache
def code(*parts: str) -> str:
    """A digest of the code that decides what is measured: of its statements, not its comments.

    What the code reads beside it counts too: the triplets and photographs that are asked about.

    Args:
        parts: folders of the package; none for all that matter, and the evidence's own code.
    """
    folders = [_PACKAGE / part for part in parts or _PARTS]
    files = [path for folder in folders for path in folder.rglob("*.py")]
    lists = [path for folder in folders for path in folder.rglob("*.json")]
    if not parts:
        files += [p for p in _EVIDENCE.glob("*.py") if not _PRESENTS.fullmatch(p.stem)]
    measured = [statements(path.read_text("utf-8")) for path in sorted(files)]
    return digest(measured, [path.read_text("utf-8") for path in sorted(lists)])


def statements(source: str) -> str:
    """A module without comments and docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, _WITH_DOCSTRING) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
