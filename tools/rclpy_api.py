"""Writes tests/unit/rclpy_humble.json: what rclpy offers in Humble, and what came later.

    git clone https://github.com/ros2/rclpy
    git -C rclpy archive humble rclpy/rclpy | tar -x -C humble
    git -C rclpy archive kilted rclpy/rclpy | tar -x -C newest
    python tools/rclpy_api.py humble/rclpy newest/rclpy > tests/unit/rclpy_humble.json

Needs no ROS: it reads the sources.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """Names of a function's parameters; "**" where it takes any."""
    given = function.args
    names = {a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)} - {"self", "cls"}
    return names | ({"**"} if given.kwarg else set())


def read(folder: Path) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Public names of each module, and the parameters of each function, method and class."""
    modules: dict[str, set[str]] = {}
    calls: dict[str, set[str]] = {}
    for path in sorted((folder / "rclpy").rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        names = modules.setdefault(".".join(p for p in parts if p != "__init__"), set())
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef):
                add_class(node, calls)
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                calls.setdefault(node.name, set()).update(parameters(node))
            names |= defined(node)
    return modules, calls


def add_class(node: ast.ClassDef, calls: dict[str, set[str]]) -> None:
    """Add a class as what its constructor takes, and its public methods."""
    calls.setdefault(node.name, set())
    for method in node.body:
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
            made = method.name in ("__init__", "__new__")
            name = node.name if made else method.name
            if not name.startswith("_"):
                calls.setdefault(name, set()).update(parameters(method))


def defined(node: ast.stmt) -> set[str]:
    """Public names that a statement of a module defines or imports."""
    found: set[str] = set()
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        found = {node.name}
    elif isinstance(node, ast.ImportFrom | ast.Import):
        found = {(name.asname or name.name).split(".")[0] for name in node.names}
    elif isinstance(node, ast.Assign):
        found = {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {name for name in found if not name.startswith("_")}


def main() -> None:
    """Print the JSON."""
    (modules, calls), (_, newest) = (read(Path(folder)) for folder in sys.argv[1:3])
    later = set(newest) - set(calls)
    sections = {
        "modules": {name: sorted(names) for name, names in modules.items()},
        "calls": {name: sorted(names) for name, names in sorted(calls.items())},
        "later": {name: [] for name in sorted(later)},
    }
    # One line a name, so that a difference can be read.
    texts = (
        json.dumps(title) + ": {\n" + ",\n".join(f"{line(n)}: {line(v)}" for n, v in rows.items())
        for title, rows in sections.items()
    )
    print("{" + "\n},\n".join(texts) + "\n}}")


def line(value: object) -> str:
    """JSON on one line."""
    return json.dumps(value)


if __name__ == "__main__":
    main()
