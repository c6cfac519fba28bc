"""The config of a training that is made in Python takes what the flags take, and nothing else."""

import argparse
import math
from dataclasses import replace

import pytest

from pigeonhole.arguments import Bounds
from pigeonhole.errors import UsageError
from pigeonhole.runs.config import FLAGS, TrainingConfig

BOUNDED = {field.name: field.metadata["parsing"].get("type") for field in FLAGS}
BOUNDED = {name: bounds for name, bounds in BOUNDED.items() if isinstance(bounds, Bounds)}
TRIED = (-1, 0, 0.5, 1, 1.5, 3, 5000, 70_000, 10**10, 2.5e9, -0.0, math.nan, math.inf, -math.inf)


def is_taken(name: str, value: object) -> bool:
    try:
        TrainingConfig(**{name: value})
        return True
    except UsageError as error:
        assert str(error) == f"{name}: {value!r} is not {BOUNDED[name].wanted}"
        return False


def is_parsed(name: str, text: str) -> bool:
    try:
        BOUNDED[name](text)
        return True
    except argparse.ArgumentTypeError as error:
        assert str(error) == f"{text!r} is not {BOUNDED[name].wanted}"
        return False


@pytest.mark.parametrize("name", BOUNDED)
def test_python_takes_the_numbers_that_the_command_line_takes(name):
    assert {value for value in TRIED if is_taken(name, value)} == {
        value for value in TRIED if is_parsed(name, str(value))
    }
    assert not any(is_taken(name, value) for value in ("1", True, [1], 1j))


def test_the_bounds_of_the_flags():
    assert {"learning_rate", "epochs", "steps", "minutes", "seed", "threads", "fraction"} <= BOUNDED.keys()
    with pytest.raises(UsageError, match=r"^learning_rate: -1 is not a number above 0 and up to 1,000,000,0"):
        TrainingConfig(learning_rate=-1)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"network": "resnet"}, "one of auto, standard, "),
        ({"network": []}, "one of auto, standard, "),
        ({"precision": None}, "one of auto, float32, bfloat16"),
        ({"channels": 2}, "one of 1, 3"),
        ({"augment": "no"}, "True or False"),
        ({"no_cache": 1}, "True or False"),
        ({"validation_size": None}, "a number between 0 and 1"),
    ],
)
def test_other_values_that_a_flag_would_refuse(values, wanted):
    (name,) = values
    with pytest.raises(UsageError, match=f"^{name}: .* is not {wanted}"):
        TrainingConfig(**values)


def test_a_changed_config_is_checked_too():
    config = TrainingConfig(epochs=3, learning_rate=1, augment=False)
    with pytest.raises(UsageError, match=r"^epochs: nan"):
        replace(config, epochs=math.nan)
