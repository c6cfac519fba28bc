"""When a training does what: learning rates."""

import pytest

from pigeonhole.training.schedule import learning_rate
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
