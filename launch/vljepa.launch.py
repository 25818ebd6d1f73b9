"""Starts the pipeline on a camera topic.

ros2 launch vljepa_ros vljepa.launch.py image_topic:=/camera/image_raw
"""

from tempfile import NamedTemporaryFile

import yaml
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

NODES = ("embedder", "gate", "decoder", "vqa")
# An argument that is not given leaves the parameter as params_file has it.
ARGUMENTS = {
    "image_topic": ("", "camera topic (without /compressed); default: image"),
    "cameras": ("", "name:=topic of several cameras, with commas between; default: image_topic"),
    "image_transport": ("", "raw or compressed; default: as in params_file"),
    "namespace": ("", "namespace of the nodes"),
    "model": (
        "",
        "shipped name, folder, or hub name of a CLIP or SigLIP; default: as in params_file",
    ),
    "device": ("", "cpu, cuda:0 or tensorrt:0; default: as in params_file"),
    "autostart": ("", "false leaves the nodes unconfigured; default: as in params_file"),
    "build_only": (
        "",
        "true builds exports and TensorRT engines, then exits; default: as in params_file",
    ),
    "composed": ("true", "all nodes in one process with one copy of the weights"),
    "nodes": (
        "",
        "some of embedder,gate,decoder,vqa, each a process; default: all, see composed",
    ),
    "use_sim_time": ("", "true takes the time from /clock; default: as in params_file"),
    "log_level": ("info", "debug, info, warn or error"),
}


def generate_launch_description() -> LaunchDescription:
    """Describe the arguments and the nodes."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    arguments.append(
        DeclareLaunchArgument(
            "params_file",
            default_value=PathJoinSubstitution(
                [FindPackageShare("vljepa_ros"), "config", "vljepa.yaml"]
            ),
            description="YAML file with the parameters",
        )
    )
    return LaunchDescription([*arguments, OpaqueFunction(function=_nodes)])


def _nodes(context: LaunchContext) -> list[Node]:
    given = {
        name: LaunchConfiguration(name).perform(context) for name in (*ARGUMENTS, "params_file")
    }
    chosen = [name.strip() for name in given["nodes"].split(",") if name.strip()]
    if unknown := set(chosen) - set(NODES):
        raise ValueError(f"nodes must be some of {', '.join(NODES)}, not {', '.join(unknown)}")
    together = _truth("composed", given["composed"]) and not chosen
    executables = ["pipeline"] if together else chosen or list(NODES)
    overrides: dict[str, str | bool | list[str]] = {
        name: given[name] for name in ("model", "image_transport", "device") if given[name]
    }
    if given["cameras"]:
        if not together:
            raise ValueError("several cameras need composed:=true and all nodes, in one process")
        if given["image_topic"]:
            raise ValueError("give image_topic or cameras, which lists all topics, but not both")
        overrides["cameras"] = [camera.strip() for camera in given["cameras"].split(",")]
    for name in ("autostart", "build_only", "use_sim_time"):
        if given[name]:
            overrides[name] = _truth(name, given[name])
    files = [given["params_file"], *([_parameters(overrides)] if overrides else [])]
    return [
        Node(
            package="vljepa_ros",
            executable=executable,
            namespace=given["namespace"],
            parameters=files,
            remappings=[("image", given["image_topic"] or "image")],
            arguments=["--ros-args", "--log-level", given["log_level"]],
            output="screen",
        )
        for executable in executables
    ]


def _parameters(values: dict[str, str | bool | list[str]]) -> str:
    """Path of a new file that gives all nodes these parameters.

    Not under `/**`, as launch_ros writes a dictionary: rcl puts all sections of one name where the
    first of them is, and a section of params_file for one node would come after that and win.
    """
    with NamedTemporaryFile("w", prefix="vljepa_", suffix=".yaml", delete=False) as file:
        yaml.safe_dump({"/**/*": {"ros__parameters": values}}, file)
    return file.name


def _truth(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise ValueError(f"{name} must be true or false, not {value!r}")
    return value.lower() == "true"
