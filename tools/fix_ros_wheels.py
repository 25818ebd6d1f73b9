"""Make the CMake files of the ROS 2 wheels point at this interpreter.

The wheels were built in a container whose Python lived under ``/opt/python``. Their CMake export
files still name its include folders (Python's and NumPy's), and CMake stops at a folder that does
not exist. This rewrites both to the folders of the interpreter that runs the script. Running it
again changes nothing.
"""

import re
import sys
import sysconfig
from pathlib import Path

import numpy as np

PYTHON_INCLUDE = re.compile(r"/opt/python/[^/;\"]+/include/python3\.\d+")
NUMPY_INCLUDE = re.compile(
    r"/opt/python/[^/;\"]+/lib/python3\.\d+/site-packages/numpy/(?:_core|core)/include"
)


def fix(prefix: Path) -> int:
    """Rewrite the stale folders in every CMake file under ``prefix/share``.

    Args:
        prefix: the virtual environment that holds the wheels.

    Returns:
        How many files were changed.
    """
    changed = 0
    for path in prefix.glob("share/*/cmake/*.cmake"):
        old = path.read_text(encoding="utf-8")
        new = NUMPY_INCLUDE.sub(np.get_include(), old)
        new = PYTHON_INCLUDE.sub(sysconfig.get_path("include"), new)
        if new != old:
            path.write_text(new, encoding="utf-8")
            changed += 1
    return changed


if __name__ == "__main__":
    print(f"rewrote the include folders in {fix(Path(sys.prefix))} CMake files")
