"""The nodes import without torch: it is loaded with the first model, not before."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NODES = sorted(
    path.stem for path in (ROOT / "vljepa_ros" / "nodes").glob("*.py") if path.stem != "__init__"
)


def test_every_node_module_imports_without_torch() -> None:
    lines = [
        "import sys",
        "sys.modules['torch'] = None",
        *(f"import vljepa_ros.nodes.{n}" for n in NODES),
    ]
    result = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
