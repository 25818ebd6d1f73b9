"""Fills dataclasses strictly from plain mappings, and checks their numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from vljepa_ros.errors import CheckpointError

T = TypeVar("T")


def build(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """Fill a dataclass strictly, so that a misspelt key never turns into a default.

    Args:
        kind: the dataclass.
        values: by field; where a field is a dataclass itself, a mapping again.
        where: name of the whole in errors.

    Raises:
        CheckpointError: a key that no field has, or a value that does not fit.
    """
    if not isinstance(values, Mapping):
        raise CheckpointError(f"{where} must be a mapping, not {type(values).__name__}")
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - known):
        raise CheckpointError(f"{where} has unknown keys {unknown}; known are {sorted(known)}")
    hints = get_type_hints(kind)
    built: dict[str, Any] = {}
    for key, value in values.items():
        expected = hints[key]
        if isinstance(expected, UnionType) and NoneType in get_args(expected):
            expected = get_args(expected)[0]
        if isinstance(expected, UnionType):
            expected = _chosen(expected, value, f"{where}.{key}")
        if is_dataclass(expected):
            built[key] = build(expected, value, f"{where}.{key}")  # type: ignore[arg-type]
        elif expected is float and isinstance(value, int) and not isinstance(value, bool):
            built[key] = float(value)
        elif type(value) is expected:
            built[key] = value
        elif get_origin(expected) is tuple and _all_are(get_args(expected)[0], value):
            built[key] = tuple(value)
        else:
            hint = "; YAML takes 6e-4 for a text, write 6.0e-4"
            raise CheckpointError(
                f"{where}.{key} must be {expected.__name__}, not {type(value).__name__}"
                + (hint if (expected, type(value)) == (float, str) else "")
            )
    return kind(**built)


def _all_are(kind: type, values: Any) -> bool:
    return isinstance(values, list | tuple) and all(type(value) is kind for value in values)


def _chosen(kinds: UnionType, values: Any, where: str) -> type:
    """The class that `values["kind"]` names; the first one where there is no such key."""
    named = {kind().kind: kind for kind in get_args(kinds)}
    wanted = values.get("kind", next(iter(named))) if isinstance(values, Mapping) else None
    if not isinstance(wanted, str) or wanted not in named:
        raise CheckpointError(f"{where}.kind must be one of {sorted(named)}, not {wanted!r}")
    return named[wanted]


def at_least(part: str, least: int, **values: float) -> None:
    """Look whether numbers of a part of a configuration are large enough, and finite.

    Raises:
        CheckpointError: one is not.
    """
    for name, value in values.items():
        if not least <= value < math.inf:
            raise CheckpointError(f"{part}.{name} is {value}; give at least {least}")


def check_heads(part: str, heads: int, kv_heads: int) -> None:
    """Look whether several query heads share one of keys and values, each of these as many.

    Raises:
        CheckpointError: they do not.
    """
    if kv_heads < 1 or heads % kv_heads:
        raise CheckpointError(f"{part}.heads is {heads}, which kv_heads {kv_heads} do not divide")


def check_width(part: str, width: int, heads: int) -> None:
    """Look whether a width divides into heads of pairs of numbers, which rotary positions turn.

    Raises:
        CheckpointError: it does not.
    """
    if heads < 1 or width < 1 or width % (2 * heads):
        raise CheckpointError(
            f"{part}.width is {width}, which does not divide into {heads} heads of even width"
        )
