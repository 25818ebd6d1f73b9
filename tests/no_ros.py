"""A pytest plugin that hides ROS 2, as on a machine without it: `pytest -p tests.no_ros`."""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

from tests.ros_packages import ROS_PACKAGES

GENERATED = ("vljepa_ros.msg", "vljepa_ros.srv")


class Hidden:
    """An import finder that fails for some packages."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)

    def find_spec(
        self, fullname: str, path: object = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if any(fullname == name or fullname.startswith(f"{name}.") for name in self._names):
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


sys.meta_path.insert(0, Hidden((*ROS_PACKAGES, *GENERATED)))
