"""All that nodes and demo take from rclpy is in Humble's, the oldest that is supported.

`rclpy_humble.json` was read from Humble's sources by tools/rclpy_api.py.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
API = json.loads(Path(__file__).with_name("rclpy_humble.json").read_text("utf-8"))
FILES = sorted(
    path for part in ("nodes", "demo") for path in (ROOT / "vljepa_ros" / part).glob("*.py")
)
# What they call their objects of rclpy.
RECEIVERS = {"self", "node", "_node", "executor", "rclpy", "_publisher", "_output"}


def faults(source: str) -> Iterator[str]:
    """What a file uses of rclpy that Humble does not have."""
    tree = ast.parse(source)
    imported: set[str] = set()
    probed = {
        call.args[1].value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "hasattr"
        and isinstance(call.args[1], ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rclpy":
            known = API["modules"].get(node.module, ())
            imported |= {name.name for name in node.names}
            for name in node.names:
                if name.name not in known:
                    yield f"{node.module} has no {name.name}"
        elif isinstance(node, ast.Attribute) and node.attr in API["later"]:
            if node.attr not in probed:
                yield f"{node.attr} came after Humble; ask hasattr first"
        elif isinstance(node, ast.Call):
            name = called(node.func, imported)
            known = API["calls"].get(name, ["**"])
            for keyword in node.keywords:
                if "**" not in known and keyword.arg not in {*known, None}:
                    yield f"{name}() takes no {keyword.arg}"


def called(function: ast.expr, imported: set[str]) -> str:
    """Name of what is called, where it is of rclpy; "" elsewhere."""
    if isinstance(function, ast.Name):
        return function.id if function.id in imported else ""
    if isinstance(function, ast.Attribute):
        of = function.value
        name = of.attr if isinstance(of, ast.Attribute) else getattr(of, "id", "")
        return function.attr if name in RECEIVERS else ""
    return ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_file_uses_only_what_humble_has(path: Path) -> None:
    assert not list(faults(path.read_text("utf-8")))


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("from rclpy.experimental import EventsExecutor", "has no EventsExecutor"),
        ("from rclpy.node import Node\nNode('n').count_clients('/s')", "count_clients came after"),
        ("self.create_timer(1.0, f, autostart=False)", "takes no autostart"),
        (
            "from rclpy.executors import MultiThreadedExecutor as M, SingleThreadedExecutor\n"
            "SingleThreadedExecutor(threads=1)",
            "takes no threads",
        ),
    ],
)
def test_what_came_later_is_found(source: str, fault: str) -> None:
    assert any(fault in found for found in faults(source))


def test_what_is_probed_first_may_be_used() -> None:
    name = "add_post_set_parameters_callback"
    assert not list(faults(f"if hasattr(node, '{name}'):\n    node.{name}(f)"))
