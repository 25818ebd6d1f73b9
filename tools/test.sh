#!/usr/bin/env bash
# Runs all the tests in the environment that `make build` made; fails when any of them fails.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=()

# Models are exported once for all the tests.
XDG_CACHE_HOME=$(mktemp -d)
export XDG_CACHE_HOME
trap 'rm -rf "$XDG_CACHE_HOME"' EXIT

# Unit tests: ROS 2 is hidden, to prove that they do without it. A process for each core, of
# about 1 GB, with one thread each: more only slow one another down.
OMP_NUM_THREADS=1 _ROS_WHEELS_BOOTSTRAP_COMPLETE=1 .venv/bin/python -m pytest -p tests.no_ros -q \
    --numprocesses auto --maxprocesses 4 --dist loadfile --durations=5 \
    tests/unit tests/test_packaging.py || failed+=("unit tests")

# Node tests: real DDS, on this machine only, and in a domain that no other robot of it uses. Each
# file has a process of its own, since rclpy keeps global state; two at a time, as they mostly wait.
set +u
. tools/env.sh
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}" ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
if [ "${ROS_DISTRO:-}" = humble ]; then export ROS_LOCALHOST_ONLY=1; fi
export FIRST_DOMAIN=$(($$ % 99 + 1)) TOLD="$XDG_CACHE_HOME/told"
# shellcheck disable=SC2016  # the inner shell's variables
printf '%s\0' tests/ros/test_*.py | xargs -0 -n 1 -P 2 --process-slot-var=SLOT bash -c '
    export ROS_DOMAIN_ID=$((FIRST_DOMAIN + SLOT))
    python -m pytest -q --durations=5 -rs "$0" > "$TOLD.$SLOT" 2>&1
    code=$?
    cat "$TOLD.$SLOT"
    [ $code -eq 0 ] || echo "FAILED: $0"
    exit $code' || failed+=("node tests")

if [ ${#failed[@]} -ne 0 ]; then
    printf 'FAILED: %s\n' "${failed[@]}" >&2
    exit 1
fi
