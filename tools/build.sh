#!/usr/bin/env bash
# Builds the ROS package into install/. Sources are linked into build/src first: CMake refuses
# exported include folders that lie below the source folder, and .venv does.
set -euo pipefail
cd "$(dirname "$0")/.."
staged=build/src/vljepa_ros
rm -rf build install log
mkdir -p "$staged"
for part in CMakeLists.txt package.xml msg srv scripts launch config vljepa_ros tests; do
    ln -s "$PWD/$part" "$staged/$part"
done
colcon --log-base build/log build --base-paths build/src --build-base build/colcon \
    --symlink-install --cmake-args -DBUILD_TESTING=OFF
