"""Single measurements that are kept, so that a claim that was ended goes on."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import vljepa_ros
from evidence.store import write_whole

_EVIDENCE, _PACKAGE = Path(__file__).resolve().parent, Path(vljepa_ros.__file__).parent
_ROOT = _EVIDENCE.parents[1]
_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_PARTS = ("model", "runtime", "streaming", "training", "tokenizer.py")  # of the package
# Of the repository, what runs only where the nodes do.
_NODES = ("vljepa_ros/nodes", "scripts", "msg", "srv", "config/*.xml", "benchmarks/robot.py")
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
    """A digest of the code that decides what is measured, see `code_of`.

    Args:
        parts: folders and files of the package; none for all that matter, and the evidence's own
            code.
    """
    files = [file for part in parts or _PARTS for file in _files(_PACKAGE, part)]
    if not parts:
        files += [p for p in _EVIDENCE.glob("*.py") if not _PRESENTS.fullmatch(p.stem)]
    return code_of(files)


@cache
def nodes_code() -> str:
    """A digest of what the nodes add to `code`: themselves, their messages and their start."""
    return code_of(file for part in _NODES for file in _files(_ROOT, part))


def code_of(files: Iterable[Path]) -> str:
    """A digest of Python's statements, without comments, and of all that is in other files.

    What the code reads beside it counts too: the triplets and photographs that are asked about.
    """
    texts = [(path, path.read_text("utf-8")) for path in sorted(files)]
    return digest([statements(text) if _is_python(path, text) else text for path, text in texts])


def _files(root: Path, part: str) -> list[Path]:
    """Files of a folder with all below it, or those whose path has a pattern."""
    found = [*root.glob(part), *root.glob(f"{part}/**/*")]
    return [path for path in found if path.is_file() and "__pycache__" not in path.parts]


def _is_python(path: Path, text: str) -> bool:
    return path.suffix == ".py" or text.startswith("#!/usr/bin/env python")


def statements(source: str) -> str:
    """A module without comments and docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, _WITH_DOCSTRING) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
