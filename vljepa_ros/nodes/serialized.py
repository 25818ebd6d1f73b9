"""Reads serialized images without copying their pixels.

rclpy copies the bytes of an image three times to make a Python message of it, and most images of
a camera are dropped unseen.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from vljepa_ros.errors import InputError

_HEADER = "builtin_interfaces/Time stamp\nstring frame_id"
_DEFINITIONS = {
    "std_msgs/msg/Header": _HEADER,
    "sensor_msgs/msg/CompressedImage": "std_msgs/Header header\nstring format\nuint8[] data",
    "sensor_msgs/msg/Image": (
        "std_msgs/Header header\nuint32 height\nuint32 width\nstring encoding\n"
        "uint8 is_bigendian\nuint32 step\nuint8[] data"
    ),
}


@cache
def _types() -> Any:
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    # The stores of whole distributions take half a second to import.
    store = get_typestore(Stores.EMPTY)
    for name, definition in _DEFINITIONS.items():
        store.register(get_types_from_msg(definition, name))
    return store


def prepare() -> None:
    """Import what `read_image` needs.

    Raises:
        ImportError: it is not installed.
    """
    _types()


def read_image(data: bytes, type_name: str) -> Any:
    """Read a CDR message.

    Args:
        data: what a subscription with `raw=True` gives.
        type_name: sensor_msgs/msg/Image or sensor_msgs/msg/CompressedImage.

    Returns:
        An object with the fields of the message; its `data` is a (bytes,) uint8 view.

    Raises:
        InputError: it cannot be read, for example where a text in it is no UTF-8.
    """
    from rosbags.serde import SerdeError

    # Of bytes, rosbags would cut off the first four by a copy of all others.
    try:
        return _types().deserialize_cdr(memoryview(data), type_name)
    except SerdeError as error:
        raise InputError(
            f"the message cannot be read ({error}); its frame_id and encoding or format must be "
            "plain ASCII, which the camera's driver sets"
        ) from error
