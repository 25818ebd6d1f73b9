"""What is remembered of meanings, and for how long."""

import numpy as np
import pytest

from vljepa_ros.errors import InputError
from vljepa_ros.streaming import Memory


def at(degrees):
    """(2,) unit vector."""
    angle = np.radians(degrees)
    return np.array([np.cos(angle), np.sin(angle)])


def test_the_nearest_meaning_within_the_distance_is_recalled():
    memory = Memory(within=1 - np.cos(np.radians(20)))
    assert memory.recall(at(0)) is None
    memory.keep(at(0), "nothing happens")
    memory.keep(at(30), "the lamp goes on")
    assert memory.recall(at(14)) == "nothing happens"
    assert memory.recall(at(16)) == "the lamp goes on"
    assert memory.recall(at(49)) == "the lamp goes on"
    assert memory.recall(at(51)) is None
    assert memory.recall(at(180)) is None


def test_within_nothing_only_the_same_is_recalled():
    memory = Memory(within=0.0)
    memory.keep(np.array([1.0, 0.0]), "a")
    assert memory.recall(np.array([1.0, 0.0])) == "a"
    assert memory.recall(at(1)) is None


def test_what_was_not_recalled_for_longest_gives_way():
    memory = Memory(within=0.01, size=2)
    memory.keep(at(0), "a")
    memory.keep(at(90), "b")
    assert memory.recall(at(0)) == "a"
    memory.keep(at(180), "c")
    assert memory.recall(at(90)) is None
    assert (memory.recall(at(0)), memory.recall(at(180))) == ("a", "c")


@pytest.mark.parametrize(
    "arguments", [{"within": -0.1}, {"within": 2.1}, {"within": float("nan")}]
)
def test_distances_outside_the_range_are_refused(arguments):
    with pytest.raises(InputError, match="within"):
        Memory(**arguments)


def test_a_memory_for_nothing_is_refused():
    with pytest.raises(InputError, match="size"):
        Memory(0.1, size=0)
