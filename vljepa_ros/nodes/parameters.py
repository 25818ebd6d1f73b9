"""Declares parameters with type, range and description, and changes them at run time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from vljepa_ros.errors import InputError


def declare(
    node: Node,
    name: str,
    default: bool | str | int | float,
    description: str,
    *,
    span: tuple[float, float] | tuple[int, int] | None = None,
    read_only: bool = False,
) -> None:
    """Declare a scalar parameter; `span` is the range of a number, both ends included."""
    descriptor = ParameterDescriptor(name=name, description=description, read_only=read_only)
    if span is not None and isinstance(default, float):
        low, high = float(span[0]), float(span[1])
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    elif span is not None:
        descriptor.integer_range = [IntegerRange(from_value=int(span[0]), to_value=int(span[1]))]
    node.declare_parameter(name, default, descriptor)


def declare_texts(
    node: Node, name: str, default: list[str], description: str, *, read_only: bool = False
) -> None:
    """Declare a list of texts.

    An empty list in a YAML file has no type, so that rclpy would refuse it for a list of texts;
    `texts` checks the type instead.
    """
    descriptor = ParameterDescriptor(
        name=name, description=description, dynamic_typing=True, read_only=read_only
    )
    # rclpy takes [] for a list of bytes; [""] is a list of texts, and empty texts do not count.
    node.declare_parameter(name, default or [""], descriptor)


def choice(node: Node, name: str, allowed: tuple[str, ...]) -> str:
    """Value of a parameter that must be one of some texts.

    Raises:
        InputError: it is none of them; the message lists them.
    """
    value = node.get_parameter(name).value
    if value not in allowed:
        raise InputError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
    return str(value)


def texts(parameter: Parameter) -> tuple[str, ...]:
    """Value of a parameter of `declare_texts`, without empty texts and repetitions.

    Raises:
        InputError: it is not a list of texts.
    """
    value = parameter.value
    if value is None:
        return ()
    listed = not isinstance(value, str | bytes) and hasattr(value, "__iter__")
    if not listed or not all(isinstance(item, str) for item in value):
        raise InputError(
            f"{parameter.name} must be a list of texts, for example ['Is the lamp on?']"
        )
    return tuple(dict.fromkeys(item.strip() for item in value if item.strip()))


def on_change(
    node: Node, names: Sequence[str], build: Callable[[dict[str, Parameter]], Callable[[], None]]
) -> None:
    """Validate changes at run time, then apply them.

    Args:
        node: whose parameters change.
        names: the parameters concerned.
        build: gets all of these as they would be, by name; raises InputError with the reason to
            refuse them, or returns what applies them.
    """
    ready: list[Callable[[], None]] = []
    late = hasattr(node, "add_post_set_parameters_callback")  # not in Humble

    def validate(changes: list[Parameter]) -> SetParametersResult:
        ready.clear()
        concerned = {change.name: change for change in changes if change.name in names}
        if not concerned:
            return SetParametersResult(successful=True)
        for change in concerned.values():
            if change.type_ == Parameter.Type.NOT_SET:  # possible where the type is dynamic
                reason = f"{change.name} cannot be deleted; set it to [''] for none"
                return SetParametersResult(successful=False, reason=reason)
        wanted = {p.name: p for p in node.get_parameters(list(names))} | concerned
        try:
            apply = build(wanted)
        except InputError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if late:
            ready.append(apply)
        else:
            apply()
        return SetParametersResult(successful=True)

    def commit(_: list[Parameter]) -> None:
        while ready:
            ready.pop()()

    node.add_on_set_parameters_callback(validate)
    if late:
        node.add_post_set_parameters_callback(commit)
