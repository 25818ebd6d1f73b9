"""A rosbag2 recording in MCAP, written without rosbag2."""

from collections.abc import Mapping
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

_FOREVER = QosTime(9223372036, 854775807)  # how ROS 2 spells "no limit"


class Recorder:
    """Writes serialised messages of this package to a new rosbag2 folder.

    `ros2 bag play FOLDER` plays it; any MCAP reader opens it, the definitions of the custom
    types are inside.

    Args:
        folder: is created; must not exist.
        topics: topic names (absolute) and the name of their message in vljepa_ros/msg.
        latched: those of the topics whose last message a late subscriber must get.

    Raises:
        rosbags.rosbag2.WriterError: when the folder exists.
    """

    def __init__(
        self, folder: Path, topics: Mapping[str, str], latched: frozenset[str] = frozenset()
    ) -> None:
        # Version 8 of metadata.yaml is the newest that older ROS 2 releases read as well.
        self._writer = Writer(folder, version=8, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()
        types = _typestore()
        self._connections = {
            topic: self._writer.add_connection(
                topic,
                f"vljepa_ros/msg/{message}",
                typestore=types,
                offered_qos_profiles=[_reliable(topic in latched)],
            )
            for topic, message in topics.items()
        }
        self.count = 0

    def write(self, topic: str, received: int, data: bytes) -> None:
        """Append a message in CDR, received at this time (ns since 1970)."""
        self._writer.write(self._connections[topic], received, data)
        self.count += 1

    def close(self) -> None:
        """Write the index and metadata.yaml; without a message, no recording is left."""
        if self.count:
            self._writer.close()
        else:
            self._writer.abort()


def _typestore() -> Typestore:
    """Return the standard types and those of this package, from the installed .msg files."""
    store = get_typestore(Stores.ROS2_JAZZY)
    folder = Path(get_package_share_directory("vljepa_ros")) / "msg"
    types = {}
    for path in sorted(folder.glob("*.msg")):
        types.update(get_types_from_msg(path.read_text(), f"vljepa_ros/msg/{path.stem}"))
    store.register(types)
    return store


def _reliable(latched: bool) -> Qos:
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=1 if latched else 10,
        reliability=QosReliability.RELIABLE,
        durability=durability,
        deadline=_FOREVER,
        lifespan=_FOREVER,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_FOREVER,
        avoid_ros_namespace_conventions=False,
    )
