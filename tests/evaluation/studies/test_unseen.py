"""Classes left out: every class in turn, its pictures counted, the interval that covers another class."""

from types import SimpleNamespace

import numpy as np
import pytest

from pigeonhole.data.dataset import DataSet
from pigeonhole.errors import PigeonholeError
from pigeonhole.evaluation.studies import unseen
from pigeonhole.evaluation.studies.unseen import (
    MOST_CLASSES,
    Unseen,
    leave_one_out,
    leave_one_out_of_features,
    left_out,
    prediction_interval,
)
from pigeonhole.features import strangers
from pigeonhole.model import calibration, rejection
from pigeonhole.training.blueprint import Blueprint
from pigeonhole.training.retraining import Retrainer, outputs
from tests.support.small_trainings import RECIPE, SIDE

CLASSES = ["across", "chequered", "plain", "upright"]


def patterns(count: int, seed: int = 0, classes: list[str] = CLASSES) -> DataSet:
    """Stripes either way, both at once, or nothing, under noise."""
    rng = np.random.default_rng(seed)
    wave = np.tile(np.sin(np.arange(SIDE) * 1.6) * 60, (SIDE, 1))
    drawn = {"across": wave.T, "chequered": wave * wave.T / 60, "plain": 0 * wave, "upright": wave}
    labels = np.arange(count) % len(classes)
    noise = rng.normal(0, 30, (count, SIDE, SIDE, 3))
    pictures = np.stack([drawn[classes[label]] for label in labels])[..., None]
    images = np.clip(128 + pictures + noise, 0, 255).astype(np.uint8)
    return DataSet(images, labels, [f"{seed}/{index}.png" for index in range(count)], classes, seed=5)


def sets(train: int = 80, valid: int = 60, classes: list[str] = CLASSES) -> SimpleNamespace:
    """What `read_train_sets` gives, as far as it matters here."""
    parts = patterns(train, 1, classes), patterns(valid, 2, classes)
    everything = DataSet(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.label_indices for part in parts]),
        np.concatenate([part.names for part in parts]),
        classes,
    )
    return SimpleNamespace(train=parts[0], valid=parts[1], everything=everything, classes=classes)


def retrainer() -> Retrainer:
    return Retrainer(Blueprint("standard", seed=4), lambda count: RECIPE, pictures_per_second=60)


# --- the interval ---


def test_interval_of_a_worked_example():
    # Angles 0.3267, 0.4665, 0.6856: mean 0.4929, deviation 0.1809. t for 2 degrees of freedom is 4.303; times
    # sqrt(4/3) times the deviation 0.899. So from below 0 to 1.392, whose squared sine is 0.968.
    low, high = prediction_interval(np.array([10, 20, 40]), np.array([100, 100, 100]))
    assert low == 0.0
    assert high == pytest.approx((0.9684 * 100.75 - 0.375) / 100, abs=0.001)


def test_chance_alone_is_never_forgotten():
    # Sampling error of a share of 0.2 among 50: 0.057; times t(9) = 2.26 and sqrt(1.1).
    low, high = prediction_interval(np.full(10, 10), np.full(10, 50))
    assert (high - low) / 2 == pytest.approx(2.26 * 1.049 * 0.057, rel=0.05)
    assert low < 0.2 < high


@pytest.mark.parametrize(("caught", "inside"), [(0, 0.0), (30, 1.0)])
def test_interval_stays_within_bounds(caught, inside):
    low, high = prediction_interval(np.full(4, caught), np.full(4, 30))
    assert 0 <= low <= inside <= high <= 1
    assert 0.1 < high - low < 0.25


@pytest.mark.parametrize("classes", [3, 9])
@pytest.mark.parametrize(
    ("mean", "deviation", "pictures"), [(0.05, 0.03, 40), (0.3, 0.15, 40), (0.3, 0.15, 1000)]
)
def test_interval_covers_another_class(classes, mean, deviation, pictures):
    rng = np.random.default_rng(classes)
    certainty = mean * (1 - mean) / deviation**2 - 1
    rates = rng.beta(mean * certainty, (1 - mean) * certainty, (400, classes + 1))
    caught = rng.binomial(pictures, rates)
    covered = []
    for *seen, new in caught:
        low, high = prediction_interval(np.array(seen), np.full(classes, pictures))
        covered.append(low - 1e-9 <= new / pictures <= high + 1e-9)
    assert np.mean(covered) > 0.92


# --- which classes ---


def test_all_of_a_few_classes_are_left_out_and_some_of_many():
    assert left_out(CLASSES, seed=1) == CLASSES
    many = [f"{number:02}" for number in range(30)]
    drawn = left_out(many, seed=1)
    assert len(set(drawn)) == MOST_CLASSES
    assert drawn == sorted(drawn) == left_out(many, seed=1) != left_out(many, seed=2)


def test_two_classes_are_too_few():
    with pytest.raises(PigeonholeError, match="at least 3 classes, not 2"):
        leave_one_out(retrainer(), sets(classes=["across", "upright"]))


def test_too_few_validation_pictures_are_said_before_any_training():
    heard = []
    with pytest.raises(PigeonholeError, match=r"18 validation pictures.*needs 19"):
        leave_one_out(retrainer(), sets(valid=24), on_class=heard.append)
    assert heard == []


def test_forecast_of_time():
    expected = 4 * retrainer().seconds(60)
    assert unseen.seconds(retrainer(), sets().train) == pytest.approx(expected)


# --- the whole ---


@pytest.fixture(scope="module")
def measured() -> tuple[Unseen, list[str], int]:
    heard, steps = [], []
    return leave_one_out(retrainer(), sets(), on_class=heard.append, on_step=steps.append), heard, len(steps)


@pytest.mark.slow
def test_every_class_is_left_out_once(measured):
    result, heard, steps = measured
    assert heard == CLASSES == list(result.classes)
    assert steps == 4 * 4 * 4  # trainings, epochs, batches of 16 among 60 pictures
    assert all(total == 35 for _, total in result.classes.values())  # of training and validation


@pytest.mark.slow
def test_unknown_patterns_are_told_from_known_ones(measured):
    result, _, _ = measured
    assert result.rule == rejection.COMBINED
    assert result.auroc[rejection.COMBINED] > 0.75
    assert result.mean > 0.4


@pytest.mark.slow
def test_figures_belong_together(measured):
    result, _, _ = measured
    caught, totals = np.array(list(result.classes.values())).T
    assert result.mean == pytest.approx(np.mean(caught / totals))
    assert (result.low, result.high) == prediction_interval(caught, totals)
    assert result.auroc.keys() == set(rejection.RULES)
    assert result.auroc[result.rule] == max(result.auroc.values())


@pytest.mark.slow
def test_a_class_s_count_is_that_of_a_network_without_it(measured):
    result, _, _ = measured
    data = sets()
    name, others = "plain", ["across", "chequered", "upright"]
    known, held_out = (
        part.select(np.flatnonzero(part.classes != name), others) for part in (data.train, data.valid)
    )
    model = retrainer().train(known)
    valid = outputs(model, held_out.images)
    temperature = calibration.fit_temperature(valid.logits, held_out.label_indices)
    rule = rejection.fit(
        outputs(model, known.images).features, known.label_indices, valid, temperature, rule=result.rule
    )
    images = data.everything.images[data.everything.classes == name]
    certainties = rejection.certainty(rule, *outputs(model, images))
    assert result.classes[name] == (int(np.sum(certainties < rule.threshold)), len(images))


def test_lines_say_all_figures():
    auroc = {rejection.COMBINED: 0.7213, rejection.SOFTMAX: 0.7049}
    result = Unseen(rejection.COMBINED, 0.05, {"cat": (12, 100), "ship": (48, 100)}, 0.3, 0.04, 0.81, auroc)
    text = "\n".join(result.lines())
    assert "about 30 in 100" in text
    assert "95 % prediction interval 4 to 81" in text
    assert "5 in 100 of the classes it knows" in text
    assert "12 (cat) to 48 (ship) in 100" in text
    assert "0.721 by energy and relative distance, 0.705 by maximum softmax" in text


def test_classes_are_left_out_of_features_too():
    random = np.random.default_rng(0)
    labels = np.arange(400) % 4
    centres = random.normal(0, 2, (4, 50))
    centres[3] = centres[0]  # nobody could tell these two apart
    features = (centres[labels] + random.normal(0, 1, (400, 50))).astype(np.float32)
    found = leave_one_out_of_features(features, labels, np.arange(400) // 4 % 5, slice(10, 50), CLASSES)
    assert found.rule == strangers.RULE and found.false_rejection == strangers.SHARE
    shares = {name: caught / total for name, (caught, total) in found.classes.items()}
    assert list(shares) == CLASSES and {total for _, total in found.classes.values()} == {100}
    assert max(shares["across"], shares["upright"]) < 0.1 < min(shares["chequered"], shares["plain"])
    assert 0.6 < found.auroc[strangers.RULE] < 0.8  # about 1 for two classes, less than a half for two
    assert found.lines()


def test_two_classes_are_too_few_for_features_too():
    with pytest.raises(PigeonholeError, match="at least 3 classes, not 2"):
        leave_one_out_of_features(
            np.zeros((9, 4)), np.arange(9) % 2, np.arange(9) % 3, slice(0, 4), CLASSES[:2]
        )
