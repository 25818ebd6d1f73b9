"""Leaves the node tests out, and says so, where there is no ROS 2 or the package is not built."""

import os
from collections.abc import Iterator
from importlib.util import find_spec

import pytest


def _is_here(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a package that it lies in
        return False


_READY = _is_here("rclpy") and _is_here("vljepa_ros.msg")
collect_ignore = [] if _READY else ["ros"]


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Models are exported into a cache of the tests' own, unless somebody has set one."""
    with pytest.MonkeyPatch.context() as patch:
        if "XDG_CACHE_HOME" not in os.environ:
            patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def pytest_report_header() -> str:
    return "node tests: " + ("collected" if _READY else "left out, no ROS 2 or no `make build`")
