#!/usr/bin/env bash
# Runs each file of tests/ros in a process of its own, since rclpy keeps global state, over real
# DDS that stays on this machine.
set -uo pipefail
cd "$(dirname "$0")/.."
export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST ROS_LOCALHOST_ONLY=1
export ROS_DOMAIN_ID="${ROS_DOMAIN_ID:-$((RANDOM % 90 + 10))}"
failed=0
for file in tests/ros/test_*.py; do
    python -m pytest "$file" || failed=1
done
exit "$failed"
