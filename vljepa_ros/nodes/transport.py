"""Lets this process receive large images, which Fast DDS as it comes does not."""

from __future__ import annotations

import os
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from rclpy import get_rmw_implementation_identifier

# Fast DDS 2 (Humble to Jazzy) reads the old one only; Fast DDS 3 reads both, with a complaint.
_VARIABLE = "FASTDDS_DEFAULT_PROFILES_FILE"
_OLD_VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE"
_FAST_DDS_2 = ("humble", "iron", "jazzy")
_LIMIT = Path("/proc/sys/net/core/rmem_max")  # bytes of a socket's buffer
_ENOUGH = 4 << 20  # bytes, what config/fastdds.xml asks for
_RAISE = f"sudo sysctl -w net.core.rmem_max={_ENOUGH}"
_OWN_CHOICES = (_VARIABLE, _OLD_VARIABLE, "FASTDDS_BUILTIN_TRANSPORTS")


def receive_large_images() -> None:
    """Set a profile of config/ for this process, unless the user has chosen transports.

    Call it before rclpy.init. Other middlewares than Fast DDS ignore it.
    """
    if any(name in os.environ for name in _OWN_CHOICES):
        return
    try:
        share = get_package_share_directory("vljepa_ros")
    except PackageNotFoundError:  # run from a folder that is not installed
        return
    distribution = os.environ.get("ROS_DISTRO", "")
    # Humble keeps to this machine by a transport of its own, beside which that of the profile
    # would reach others. Later ones keep to it by discovery, whatever the transports.
    alone = distribution == "humble" and os.environ.get("ROS_LOCALHOST_ONLY", "").startswith("1")
    profile = Path(share) / "config" / ("fastdds_localhost.xml" if alone else "fastdds.xml")
    if profile.is_file():
        variable = _OLD_VARIABLE if distribution in _FAST_DDS_2 else _VARIABLE
        os.environ[variable] = str(profile)


def loss() -> str:
    """Why this machine loses large best-effort images, and what to do; empty if it does not."""
    limit = _low_limit()
    if limit is None or not get_rmw_implementation_identifier().startswith("rmw_fastrtps"):
        return ""
    return (
        f"the kernel's limit net.core.rmem_max is {limit}, so that most large images are lost; "
        f"raise it with `{_RAISE}`, use image_transport compressed, or have the camera publish "
        "reliably"
    )


def remedy(compressed: bool) -> str:
    """What to do when no image of a camera has come, compressed or raw."""
    chosen = [name for name in _OWN_CHOICES if not _is_ours(os.environ.get(name))]
    steps = [f"unset {' and '.join(chosen)}"] if chosen else []
    if _low_limit() is not None:
        steps.append(f"raise the kernel's limit with `{_RAISE}`")
    if not compressed:
        steps.append("use image_transport compressed")
    large = f"; if it does and its images are large, {' or '.join(steps)}" if steps else ""
    return f"check that the camera runs{large}"


def _low_limit() -> int | None:
    """The kernel's limit of a socket's buffer in bytes; None if it is enough or not known."""
    try:
        limit = int(_LIMIT.read_text(encoding="ascii"))
    except (OSError, ValueError):  # no Linux
        return None
    return limit if limit < _ENOUGH else None


def _is_ours(choice: str | None) -> bool:
    return choice is None or Path(choice).parts[-3:-1] == ("vljepa_ros", "config")
