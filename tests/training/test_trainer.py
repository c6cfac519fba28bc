"""Training on small drawn pictures: it learns, repeats, keeps its best and counts every picture."""

import math
from dataclasses import replace

import keras
import numpy as np
import pytest

from pigeonhole.data.augmentation import IN_NETWORK, NONE
from pigeonhole.data.dataset import DataSet
from pigeonhole.networks import building
from pigeonhole.runs.records import Score
from pigeonhole.training import saving
from pigeonhole.training.batches import EVALUATION_PIXELS
from pigeonhole.training.failures import Diverged
from pigeonhole.training.schedule import MOST_VALIDATIONS
from pigeonhole.training.tally import score
from pigeonhole.training.trainer import Trainer
from tests.support.small_trainings import RECIPE, SIDE, changed, stripes, trainer

EVALUATION_BATCH = EVALUATION_PIXELS // SIDE**2


@pytest.fixture(scope="module")
def whole() -> tuple[Trainer, list]:
    """A training by the recipe that has come to its end, and its validations; not to be changed."""
    run = trainer()
    return run, list(run.run())


def test_learns_what_can_be_learnt(whole):
    run, validations = whole
    assert [validation.epoch for validation in validations] == [1, 2, 3, 4]
    assert run.best.valid.accuracy > 0.95
    assert validations[-1].train.loss < validations[0].train.loss


def test_same_seed_same_bits_other_seed_others(whole):
    (first, _), again, other = whole, trainer(), trainer(seed=2)
    for run in (again, other):
        list(run.run())
    same = [np.array_equal(a, b) for a, b in zip(first.best_weights, again.best_weights, strict=True)]
    assert all(same)
    assert not all(np.array_equal(a, b) for a, b in zip(first.best_weights, other.best_weights, strict=True))


def test_every_training_picture_once_an_epoch_and_every_validation_picture():
    valid = stripes(EVALUATION_BATCH + 37, seed=9)
    run, seen = trainer(changed(epochs=2), valid=valid), []
    validations = list(run.run(lambda progress: seen.append(progress.pictures)))
    assert seen == [16, 16, 16, 16, 16, 10] * 2
    assert [validation.train.total for validation in validations] == [90, 90]
    assert [validation.valid.total for validation in validations] == [EVALUATION_BATCH + 37] * 2


def test_each_epoch_has_its_own_order():
    class Watched:
        def __init__(self, images):
            self.images, self.asked = images, []

        def __getitem__(self, rows):
            self.asked.extend(rows)
            return self.images[rows]

    train = stripes(40)
    train.images = Watched(train.images)
    list(trainer(changed(epochs=2), train=train).run())
    first, second = train.images.asked[:40], train.images.asked[40:]
    assert sorted(first) == sorted(second) == list(range(40)) and first != second


@pytest.mark.parametrize(("smoothing", "mix"), [(0.0, 0.0), (0.2, 0.0), (0.2, 1.0)])
def test_loss_is_the_cross_entropy_with_smoothed_labels_mixed_as_the_pictures_are(smoothing, mix):
    model, data = building.build("tutorial", SIDE, 3, 2), stripes(12)
    recipe = replace(changed(label_smoothing=smoothing, mix=mix), augmentation=NONE)
    run, losses = Trainer(model, data, data, recipe, seed=0), []
    shown = run.batches.batch(0)
    assert (shown.share < 1) == (mix > 0)
    logits = np.array(model(np.asarray(shown.images, np.float32)), np.float64)
    log_shares = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    own = np.eye(2)[shown.labels]
    labels = shown.share * own + (1 - shown.share) * own[::-1]
    expected = -(log_shares * (labels * (1 - smoothing) + smoothing / 2)).sum(1).mean()
    run.total_steps = 1
    list(run.run(lambda progress: losses.append(progress.loss)))
    assert losses == [pytest.approx(expected, rel=1e-4)]


def test_evaluation_counts_what_the_network_says():
    run = trainer()
    data = stripes(33)
    logits = np.array(run.model(np.asarray(data.images, np.float32)))
    told = score(run.logits(data), data.label_indices)
    np.testing.assert_allclose(run.logits(data), logits, rtol=1e-4, atol=1e-5)
    assert told.right == (logits.argmax(1) == data.label_indices).sum()
    log_sums = np.log(np.exp(logits).sum(1))
    assert told.loss == pytest.approx((log_sums - logits[np.arange(33), data.label_indices]).mean(), rel=1e-4)


@pytest.mark.parametrize("schedule", [pytest.param("constant", marks=pytest.mark.slow), "one-cycle"])
def test_kept_are_the_best_weights_or_later_ones_as_good_but_for_chance(schedule):
    settings = changed(epochs=8, learning_rate=0.05, schedule=schedule)
    run = trainer(settings, train=stripes(60, noise=True), valid=stripes(41, 3, noise=True))
    validations = list(run.run())
    most = max(validation.valid.right for validation in validations)
    least = most if schedule == "constant" else most - 2 * math.sqrt(most * (1 - most / 41))
    assert run.best == [validation for validation in validations if validation.valid.right >= least][-1]
    assert validations[saving.expected_accuracy(validations, settings).kept] == run.best
    run.model.set_weights(run.best_weights)
    logits = run.logits(run.valid)
    np.testing.assert_array_equal(logits, run.best_logits)
    assert score(logits, run.valid.label_indices) == run.best.valid


def test_learning_without_validation_gives_the_same_weights(whole):
    (validated, _), plain = whole, trainer()
    plain.valid = None
    plain.learn()
    for one, other in zip(validated.model.get_weights(), plain.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert plain.best is None


def test_patience_ends_a_training_that_gains_nothing():
    noise = changed(epochs=60, schedule="constant", learning_rate=0.02, patience=3)
    run = trainer(noise, train=stripes(48, noise=True), valid=stripes(40, 3, noise=True))
    validations = list(run.run())
    assert len(validations) < 30
    right = [validation.valid.right for validation in validations]
    assert max(right[-3:]) <= max(right[:-3]) and right[-4] > max(right[:-4], default=-1)


def test_a_stop_between_steps_keeps_what_was_learnt():
    class Enough(Exception):
        pass

    def stop(progress) -> None:
        if progress.step == 9:
            raise Enough

    run = trainer()
    with pytest.raises(Enough):
        list(run.run(stop))
    assert run.best.step == 6
    assert run.validate().step == 9


@pytest.mark.slow
def test_label_smoothing_keeps_the_network_from_certainty():
    def mean_confidence(smoothing: float) -> float:
        run = trainer(changed(epochs=12, label_smoothing=smoothing))
        list(run.run())
        logits = np.array(run.model(np.asarray(run.valid.images, np.float32)), np.float64)
        return (1 / (1 + np.exp(-np.abs(logits[:, 0] - logits[:, 1])))).mean()

    assert mean_confidence(0.3) < 0.93 < mean_confidence(0.0)


@pytest.mark.slow
def test_pictures_and_labels_are_mixed_alike():
    """Trained on mixtures of two pictures, it is sure of the ends and not of what lies between."""
    ends = np.zeros((2, SIDE, SIDE, 3), np.float32)
    half = SIDE // 2
    ends[:, :half, :half] = 200  # what both have, beside the corners that tell them apart
    ends[0, :half, half:] = ends[1, half:, :half] = 200
    labels = np.arange(64) % 2
    plain = DataSet(ends[labels].astype(np.uint8), labels, [str(index) for index in range(64)], ["a", "b"])
    recipe = replace(changed(epochs=60, learning_rate=0.01, mix=1.0), augmentation=NONE)
    run = trainer(recipe, train=plain, valid=plain)
    list(run.run())
    shown = np.stack([ends[0], 0.65 * ends[0] + 0.35 * ends[1], ends[1]])
    logits = np.array(run.model(shown), np.float64)
    first = 1 / (1 + np.exp(logits[:, 1] - logits[:, 0]))
    assert first[0] > 0.85 and 0.5 < first[1] < 0.8 and first[2] < 0.15


@pytest.mark.slow
def test_the_more_steps_are_mixed_the_less_sure_it_is_of_what_it_is_shown():
    alike = stripes(64)
    losses = []
    for share in (0.0, 0.5, 1.0):
        run = trainer(changed(epochs=12, mix=share), train=alike, valid=alike)
        losses.append(np.mean([validation.train.loss for validation in list(run.run())[4:]]))
    assert losses[0] < 0.01 and 0.05 < losses[1] < 0.8 * losses[2]


def test_steps_of_a_recipe_set_the_length():
    run = trainer(changed(steps=8))
    assert run.total_steps == 8 and [validation.step for validation in run.run()] == [6, 8]


def test_the_recipes_dropout_takes_the_place_of_the_networks():
    assert trainer(changed()).model.get_layer("dropout1").rate == 0.3
    assert trainer(changed(dropout=0.7)).model.get_layer("dropout1").rate == 0.7
    assert trainer(changed(dropout=0.0)).model.get_layer("dropout1").rate == 0.0


@pytest.mark.parametrize("augmentation", [IN_NETWORK, pytest.param(NONE, marks=pytest.mark.slow)])
def test_the_network_distorts_only_where_the_recipe_lets_it(augmentation):
    recipe = replace(changed(optimizer="sgd", learning_rate=1e-3, steps=3), augmentation=augmentation)
    outcomes = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(0)
        model = building.build("classic_lrn", SIDE, 3, 2)
        data = stripes(16)
        run = Trainer(model, data, data, replace(recipe, draw="epochs"), seed)
        list(run.run())
        outcomes.append(run.valid_logits)
    first, again, other = outcomes
    np.testing.assert_array_equal(first, again)
    distorts = augmentation is IN_NETWORK
    assert np.allclose(first, other, atol=1e-5) != distorts, "the seed decides nothing but the distortions"


@pytest.mark.slow
def test_fitting_to_a_time_puts_the_weights_back_and_sets_the_length():
    short, long = trainer(), trainer()
    before = short.model.get_weights()
    short.fit_to(1.0)
    long.fit_to(30.0)
    assert all(np.array_equal(a, b) for a, b in zip(before, short.model.get_weights(), strict=True))
    assert 1 <= short.total_steps < long.total_steps


def test_long_trainings_validate_a_bounded_number_of_times():
    recipe = replace(RECIPE, epochs=4 * MOST_VALIDATIONS, batch_size=90, validate_every=None)
    run = trainer(recipe, train=stripes(12), valid=stripes(4))
    validated = [step for step in range(1, run.total_steps + 1) if run._schedule.validates_after(step)]
    assert len(validated) == MOST_VALIDATIONS and validated[-1] == run.total_steps


@pytest.mark.parametrize(
    ("asked", "per_validation", "expected"),
    [({}, 0.1, 10), ({}, 1.0, 3), ({"patience": 5}, 1.0, 10), ({"validate_every": "10steps"}, 1.0, 10)],
)
def test_a_time_is_fitted_with_its_validations_which_are_few_where_they_take_long(
    monkeypatch, asked, per_validation, expected
):
    run = trainer(replace(RECIPE, **{"validate_every": None, "patience": None, **asked}))
    monkeypatch.setattr(run, "_step_seconds", lambda enough: 0.1)
    monkeypatch.setattr(run, "_validation_seconds", lambda: per_validation)
    run.fit_to(20.0)
    steps = run.total_steps
    validations = sum(map(run._schedule.validates_after, range(1, steps + 1)))
    assert validations >= 10 if expected == 10 else validations == expected
    assert 17 < 0.1 * steps + per_validation * validations <= 20


def test_by_loss_the_network_with_the_lowest_is_kept_whatever_its_answers(monkeypatch):
    told = iter([Score(9, 10, 0.5), Score(5, 10, 0.2), Score(10, 10, 0.3)])
    monkeypatch.setattr("pigeonhole.training.trainer.score", lambda logits, labels: next(told))
    run = trainer(replace(RECIPE, validate_every="2steps"))
    run.keeps_by_loss, run.total_steps = True, 6
    assert [validation.is_kept for validation in run.run()] == [True, True, False]
    assert run.best.valid.loss == 0.2


def test_within_a_time_it_takes_no_more_than_the_usual_steps_and_validates_rarely(monkeypatch):
    run = trainer(replace(RECIPE, epochs=40))
    usual = run.total_steps
    monkeypatch.setattr(run, "_step_seconds", lambda enough: 0.1)
    monkeypatch.setattr(run, "_validation_seconds", lambda: 1.0)
    for seconds, is_enough in ((1000.0, True), (0.08 * usual, False)):
        run.fit_within(seconds)
        validations = sum(map(run._schedule.validates_after, range(1, run.total_steps + 1)))
        assert (run.total_steps == usual) is is_enough and validations == 3
        assert 0.1 * run.total_steps + validations <= seconds


def test_steps_that_end_within_an_epoch_are_validated_too():
    run = trainer()
    run.total_steps = 8
    assert [validation.step for validation in run.run()] == [6, 8]
    assert math.isclose(run.best.epoch * run.steps_per_epoch, run.best.step)


# --- the head first, then all ---

HALF_FROZEN = replace(RECIPE, freeze=0.5, head_learning_rate=1e-2)


def values(run: Trainer) -> dict[str, np.ndarray]:
    return {variable.path: variable.numpy() for variable in run.model.variables}


def changed_since(before: dict[str, np.ndarray], run: Trainer) -> set[str]:
    return {path for path, value in values(run).items() if not np.array_equal(value, before[path])}


def test_while_it_is_frozen_only_the_head_changes_and_then_everything():
    run = trainer(HALF_FROZEN)
    before, changes = values(run), []
    list(run.run(lambda progress: changes.append(changed_since(before, run))))
    assert run.frozen_steps == 12 and len(changes) == 24
    assert changes[0] == changes[11] == {"fc2/kernel", "fc2/bias"}
    assert changes[-1] == before.keys(), "statistics of the batch norm too"


def test_each_phase_runs_through_the_schedule_at_its_own_rate():
    run, rates = trainer(HALF_FROZEN), []
    list(run.run(lambda progress: rates.append(progress.learning_rate)))
    assert max(rates[:12]) == pytest.approx(1e-2) and max(rates[12:]) == pytest.approx(5e-3)
    assert rates[0] == 0.05 * 1e-2 and rates[12] == 0.05 * 5e-3


@pytest.mark.slow
@pytest.mark.parametrize("stop", [5, 12, 17])
def test_stopped_in_either_phase_or_between_it_goes_on_to_the_same_bits(stop):
    whole = trainer(HALF_FROZEN)
    list(whole.run())
    first, states = trainer(HALF_FROZEN), []

    def keep(progress):
        if progress.step == stop:
            states.append(first.state())

    list(first.run(keep))
    second = trainer(HALF_FROZEN, seed=1)
    second.restore(states[0])
    list(second.run())
    for path, value in values(whole).items():
        np.testing.assert_array_equal(value, values(second)[path], err_msg=path)


def test_a_training_of_one_step_is_not_frozen():
    run = trainer(HALF_FROZEN)
    run.total_steps = 1
    assert run.frozen_steps == 0
    list(run.run())


def test_a_network_with_keras_own_batch_normalisation_learns_its_statistics_too():
    import keras

    keras.utils.set_random_seed(1)
    pixels = keras.Input((SIDE, SIDE, 3), dtype="float32", name="x")
    hidden = keras.layers.Conv2D(8, 3, strides=2, name="conv")(keras.layers.Rescaling(1 / 255)(pixels))
    hidden = keras.layers.BatchNormalization(name="bn")(hidden)
    hidden = keras.layers.GlobalAveragePooling2D(name="pool")(keras.layers.ReLU(name="relu")(hidden))
    model = keras.Model(pixels, keras.layers.Dense(2, name="fc")(hidden))
    run = Trainer(model, stripes(90), stripes(40, seed=9), HALF_FROZEN, 1)
    before, changes = values(run), []
    list(run.run(lambda progress: changes.append(changed_since(before, run))))
    assert changes[11] == {"fc/kernel", "fc/bias"}
    assert {"bn/moving_mean", "bn/moving_variance", "bn/gamma"} < changes[-1]


# --- a loss that is not a number ---


def poison(run: Trainer) -> None:
    run.model.weights[-1].assign(np.full(run.model.weights[-1].shape, np.nan))


def test_stops_at_the_first_loss_that_is_no_number_and_keeps_the_best():
    run, seen = trainer(), []
    with pytest.raises(Diverged, match=r"after step 8; .* --learning-rate 0\.0005"):
        for _ in run.run(lambda progress: (seen.append(progress.loss), progress.step == 8 and poison(run))):
            pass
    assert len(seen) == 8 and np.isfinite(seen).all()
    assert run.best.step == 6
    assert all(np.isfinite(values).all() for values in run.best_weights)


def test_a_network_whose_answers_are_no_numbers_is_never_the_best():
    run = trainer()
    with pytest.raises(Diverged, match="after step 6"):
        for _ in run.run(lambda progress: progress.step == 6 and poison(run)):
            pass
    assert run.best is None and run.validations == []


def test_a_weight_that_is_no_number_but_changes_no_answer_is_not_kept_either():
    run = trainer()
    hidden = run.model.weights[0]
    with pytest.raises(Diverged):
        for _ in run.run(lambda progress: hidden.assign(np.full(hidden.shape, np.nan))):
            pass
    assert run.best is None


def test_a_training_without_validation_stops_as_well():
    run = trainer()
    with pytest.raises(Diverged):
        run.learn(lambda progress: progress.step == 2 and poison(run))
