"""Lets this process receive large images, which Fast DDS as it comes does not."""

from __future__ import annotations

import os
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

# Fast DDS 2 (Humble to Jazzy) reads the old one only; Fast DDS 3 reads both, with a complaint.
_VARIABLE = "FASTDDS_DEFAULT_PROFILES_FILE"
_OLD_VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE"
_FAST_DDS_2 = ("humble", "iron", "jazzy")
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


def remedy() -> str:
    """What to do when a camera's images do not arrive."""
    chosen = [name for name in _OWN_CHOICES if not _is_ours(os.environ.get(name))]
    own = f"unset {' and '.join(chosen)}, " if chosen else ""
    return (
        f"check that the camera runs; if it does and its images are large, {own}raise the "
        "kernel's limit with `sudo sysctl -w net.core.rmem_max=4194304` or use "
        "image_transport compressed"
    )


def _is_ours(choice: str | None) -> bool:
    return choice is None or Path(choice).parts[-3:-1] == ("vljepa_ros", "config")
