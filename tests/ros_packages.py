"""What comes with ROS 2 and not from PyPI."""

ROS_PACKAGES = frozenset(
    {
        "ament_index_python",
        "builtin_interfaces",
        "cv_bridge",
        "diagnostic_msgs",
        "launch",
        "launch_ros",
        "lifecycle_msgs",
        "rcl_interfaces",
        "rclpy",
        "rosgraph_msgs",
        "sensor_msgs",
        "std_msgs",
        "std_srvs",
    }
)
