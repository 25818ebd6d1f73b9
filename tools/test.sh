#!/usr/bin/env bash
# Runs all the tests in the environment that `make build` made; fails when any of them fails.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=()

# Models are exported once for all the tests.
XDG_CACHE_HOME=$(mktemp -d)
export XDG_CACHE_HOME
trap 'rm -rf "$XDG_CACHE_HOME"' EXIT

# Unit tests: ROS 2 is hidden, to prove that they do without it. No more threads than cores that
# a small machine has: more only slow one another down.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}"
_ROS_WHEELS_BOOTSTRAP_COMPLETE=1 .venv/bin/python -m pytest -p tests.no_ros -q --durations=5 \
    tests/unit tests/test_packaging.py || failed+=("unit tests")

# Node tests: real DDS, on this machine only, and in a domain that no other robot of it uses. Each
# file has a process of its own, since rclpy keeps global state.
set +u
. tools/env.sh
export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST ROS_DOMAIN_ID=$(($$ % 100 + 1))
if [ "${ROS_DISTRO:-}" = humble ]; then export ROS_LOCALHOST_ONLY=1; fi
for file in tests/ros/test_*.py; do
    python -m pytest -q --durations=5 -rs "$file" || failed+=("$file")
done

if [ ${#failed[@]} -ne 0 ]; then
    printf 'FAILED: %s\n' "${failed[@]}" >&2
    exit 1
fi
