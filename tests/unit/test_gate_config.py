"""GateConfig refuses what a gate cannot work with."""

import pytest

from vljepa_ros.errors import InputError
from vljepa_ros.streaming import GateConfig


@pytest.mark.parametrize(
    "bad",
    [
        {"threshold": 0},
        {"threshold": 2.1},
        {"threshold": float("nan")},
        {"hysteresis": 1.1},
        {"smoothing": -0.1},
        {"smoothing": float("nan")},
        {"settle": -0.1},
        {"settle": float("inf")},
        {"min_interval": -1},
        {"max_silence": float("inf")},
    ],
)
def test_bad_settings_are_refused_by_name(bad: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(bad))):
        GateConfig(**bad)
