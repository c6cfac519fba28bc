"""When a training does what: learning rates."""

import argparse
from dataclasses import replace

import pytest

from pigeonhole.arguments import interval
from pigeonhole.networks.recipes import WHOLE_EPOCHS
from pigeonhole.runs.parts import Part
from pigeonhole.training.schedule import Pace, Schedule, learning_rate, most_steps, sparing
from tests.support.small_trainings import RECIPE, changed


def test_one_cycle_rises_then_falls_to_nothing():
    rates = [learning_rate(RECIPE, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.05 * RECIPE.learning_rate)
    assert rates[25] == pytest.approx(RECIPE.learning_rate) and max(rates) == rates[25]
    assert rates == sorted(rates[:26]) + sorted(rates[26:], reverse=True)
    assert rates[-1] < 0.01 * RECIPE.learning_rate
    assert {learning_rate(changed(schedule="constant"), step, 9) for step in range(9)} == {
        RECIPE.learning_rate
    }


def test_schedules_go_as_they_say():
    def rates(schedule: str, **settings) -> list[float]:
        recipe = changed(schedule=schedule, learning_rate=0.8, **settings)
        return [learning_rate(recipe, step, 100) for step in range(101)]

    cosine = rates("cosine")
    assert (cosine[0], cosine[50]) == (0.8, pytest.approx(0.4)) and cosine[100] == pytest.approx(0, abs=1e-12)
    assert cosine == sorted(cosine, reverse=True)
    stairs = rates("exponential", decay_steps=25)
    assert stairs[24] == 0.8 and stairs[25] == pytest.approx(0.08) and stairs[75] == pytest.approx(0.8e-3)
    thirds = rates("exponential")
    assert len(set(thirds[:100])) == 3 and thirds[99] == pytest.approx(0.8e-2)


def test_in_the_steps_that_lengthen_a_training_the_schedule_runs_anew():
    first = Schedule(RECIPE, 100, 10)
    longer = Schedule(RECIPE, 180, 10, (Part(100, 100, RECIPE),))
    assert [longer.rate(step) for step in range(100)] == [first.rate(step) for step in range(100)]
    assert longer.rate(100) == first.rate(0)
    assert max(longer.rate(step) for step in range(100, 180)) == longer.rate(120) == RECIPE.learning_rate
    assert longer.validates_after(100) and longer.validates_after(180) and not longer.validates_after(101)
    stairs = changed(schedule="exponential", decay_steps=50)
    assert Schedule(stairs, 180, 10, (Part(100, 100, stairs),)).rate(160) == pytest.approx(5e-3 * 1e-3)


def test_a_training_that_stopped_early_goes_on_where_it_stopped():
    longer = Schedule(RECIPE, 180, 10, (Part(60, 100, RECIPE),))
    assert longer.rate(59) == learning_rate(RECIPE, 59, 100) and longer.rate(60) == learning_rate(
        RECIPE, 0, 120
    )


@pytest.mark.parametrize(
    "settings, total, expected",
    [
        ({}, 30, range(3, 31, 3)),  # three epochs of ten steps
        ({}, 7, range(1, 8)),
        ({}, 200, range(10, 201, 10)),
        ({}, 800, range(20, 801, 20)),
        ({"validate_every": "12steps"}, 30, [12, 24, 30]),
        ({"validate_every": "0.5epochs"}, 30, range(5, 31, 5)),
        ({"validate_every": WHOLE_EPOCHS}, 30, [10, 20, 30]),
    ],
)
def test_validations_are_ten_at_least_unless_it_is_said_how_many(settings, total, expected):
    recipe = replace(RECIPE, **{"validate_every": None, **settings})
    schedule = Schedule(recipe, total, steps_per_epoch=10)
    assert [step for step in range(1, total + 1) if schedule.validates_after(step)] == list(expected)


@pytest.mark.parametrize("text, meant", [("50", "50steps"), ("1 step", "1steps"), ("0.5epochs", "0.5epochs")])
def test_an_interval_is_one_of_steps_or_of_epochs(text, meant):
    assert interval(text) == meant


@pytest.mark.parametrize("text", ["", "0", "1.5", "-3", "0epochs", "1.2.3epochs", "3 hours", "epochs"])
def test_no_interval_is_refused_by_name(text):
    with pytest.raises(argparse.ArgumentTypeError, match="neither a number of steps, such as 50, nor one of"):
        interval(text)


@pytest.mark.parametrize(
    ("pace", "validations"),
    [
        (Pace(100.0, 0.1, 0.001), 10),  # they take hardly any time
        (Pace(100.0, 0.1, 1.5), 6),
        (Pace(100.0, 0.1, 20.0), 3),  # they take more than half of it
        (Pace(10_000.0, 0.1, 1.0), 10),  # there is time for more steps than are wanted
    ],
)
def test_where_validations_take_long_they_are_few(pace, validations):
    recipe = sparing(changed(validate_every=None), 2000, pace)
    count = min(2000, most_steps(recipe, 25, pace))
    schedule = Schedule(recipe, count, 25)
    made = sum(map(schedule.validates_after, range(1, count + 1)))
    assert made == validations and count * pace.step + made * pace.validation <= pace.seconds
    assert count == 2000 or (count + 1) * pace.step + made * pace.validation > pace.seconds - pace.validation


def test_a_time_that_does_not_do_for_its_validations_is_one_step():
    pace = Pace(0.5, 0.1, 20.0)
    assert most_steps(sparing(changed(validate_every=None), 2000, pace), 25, pace) == 1
