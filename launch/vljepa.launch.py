"""Starts the pipeline on a camera topic.

ros2 launch vljepa_ros vljepa.launch.py image_topic:=/camera/image_raw
"""

import os

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.conditions import IfCondition, UnlessCondition
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

ARGUMENTS = {
    "image_topic": ("image", "camera topic (without /compressed)"),
    "image_transport": ("raw", "raw or compressed"),
    "namespace": ("", "namespace of the nodes"),
    "model": ("vljepa-tiny", "shipped model or folder of a checkpoint"),
    "composed": ("true", "all nodes in one process with one copy of the weights"),
    "use_sim_time": ("false", "take the time from /clock"),
    "log_level": ("info", "debug, info, warn or error"),
}


def generate_launch_description() -> LaunchDescription:
    """Describe the arguments, the Fast DDS profile and the nodes."""
    share = FindPackageShare("vljepa_ros")
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    arguments.append(
        DeclareLaunchArgument(
            "params_file",
            default_value=PathJoinSubstitution([share, "config", "vljepa.yaml"]),
            description="YAML file with the parameters",
        )
    )
    # Fast DDS as it comes loses large images; a profile of the user's own stays.
    profile = SetEnvironmentVariable(
        "FASTDDS_DEFAULT_PROFILES_FILE",
        EnvironmentVariable(
            "FASTDDS_DEFAULT_PROFILES_FILE",
            default_value=PathJoinSubstitution([share, "config", "fastdds.xml"]),
        ),
    )
    composed = LaunchConfiguration("composed")
    nodes = [_node("pipeline", IfCondition(composed))]
    nodes += [
        _node(name, UnlessCondition(composed)) for name in ("embedder", "gate", "decoder", "vqa")
    ]
    return LaunchDescription([*arguments, profile, *nodes])


def _node(executable: str, condition: IfCondition | UnlessCondition) -> Node:
    text = {"value_type": str}
    return Node(
        package="vljepa_ros",
        executable=executable,
        namespace=LaunchConfiguration("namespace"),
        condition=condition,
        parameters=[
            LaunchConfiguration("params_file"),
            {
                "model": ParameterValue(LaunchConfiguration("model"), **text),
                "image_transport": ParameterValue(LaunchConfiguration("image_transport"), **text),
                "use_sim_time": ParameterValue(
                    LaunchConfiguration("use_sim_time"), value_type=bool
                ),
            },
        ],
        remappings=[("image", LaunchConfiguration("image_topic"))],
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
        additional_env={"PYTHONUNBUFFERED": os.environ.get("PYTHONUNBUFFERED", "1")},
        output="screen",
    )
