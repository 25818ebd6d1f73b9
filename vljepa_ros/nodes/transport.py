"""Lets this process receive large images, which Fast DDS as it comes does not."""

from __future__ import annotations

import os
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

# Fast DDS 2 (Humble to Jazzy) reads the second only; Fast DDS 3 reads both, with a complaint.
_PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
_FAST_DDS_2 = ("humble", "iron", "jazzy")
_OWN_CHOICES = (*_PROFILE_VARIABLES, "FASTDDS_BUILTIN_TRANSPORTS")


def receive_large_images() -> None:
    """Set config/fastdds.xml for this process, unless the user has chosen transports.

    Call it before rclpy.init. Other middlewares than Fast DDS ignore it.
    """
    if any(name in os.environ for name in _OWN_CHOICES):
        return
    try:
        share = get_package_share_directory("vljepa_ros")
    except PackageNotFoundError:  # run from a folder that is not installed
        return
    profile = Path(share) / "config" / "fastdds.xml"
    if profile.is_file():
        old = os.environ.get("ROS_DISTRO", "") in _FAST_DDS_2
        os.environ[_PROFILE_VARIABLES[old]] = str(profile)


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
    return choice is None or Path(choice).parts[-3:] == ("vljepa_ros", "config", "fastdds.xml")
