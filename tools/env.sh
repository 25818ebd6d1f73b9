# Source this file (bash or zsh) to enter the environment that `make build` made:
#
#     . tools/env.sh
#
# It activates the virtual environment, points ROS 2 at the wheels in it (unless the environment
# was made on top of a ROS 2 that is installed on this machine; source that one first, then), and
# adds this package from install/ once it is built. Sourcing it twice does no harm.

_vljepa_root="$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd)"
_vljepa_venv="${VLJEPA_VENV:-$_vljepa_root/.venv}"

. "$_vljepa_venv/bin/activate"

if [ -d "$_vljepa_venv/share/ament_index" ]; then
    export ROS_DISTRO="$(find "$_vljepa_venv"/lib/python3.*/site-packages -maxdepth 1 \
        -name 'ros_*_rclpy-*.dist-info' | sed 's/.*ros_\(.*\)_rclpy-.*/\1/')"
    export ROS_VERSION=2 ROS_PYTHON_VERSION=3
    export AMENT_PREFIX_PATH="$_vljepa_venv" CMAKE_PREFIX_PATH="$_vljepa_venv"
    # Only this workspace: packages of another ROS 2 distribution would not load.
    unset PYTHONPATH
    # The wheels would start Python a second time to set these two; a debugger, `python -c` and
    # pytest's workers do not survive that.
    export LD_LIBRARY_PATH="$(
        python -S -c 'import glob, os, sys
prefix = sys.argv[1]
mine = [f"{prefix}/lib", *sorted(glob.glob(f"{prefix}/lib/python3.*/site-packages/ros_*.libs"))]
old = [p for p in os.environ.get("LD_LIBRARY_PATH", "").split(":") if p and p not in mine]
print(":".join([*mine, *old]))' "$_vljepa_venv"
    )"
    export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
fi

if [ -f "${VLJEPA_INSTALL:-$_vljepa_root/install}/local_setup.bash" ]; then
    if [ -n "${ZSH_VERSION:-}" ]; then
        . "${VLJEPA_INSTALL:-$_vljepa_root/install}/local_setup.zsh"
    else
        . "${VLJEPA_INSTALL:-$_vljepa_root/install}/local_setup.bash"
    fi
fi
unset _vljepa_root _vljepa_venv
