"""Training on small drawn pictures: it learns, repeats, keeps its best and counts every picture."""

import math
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from pigeonhole.data.augmentation import IN_NETWORK, NONE, Augmentation
from pigeonhole.data.dataset import DataSet
from pigeonhole.networks import building
from pigeonhole.training import saving, steps
from pigeonhole.training.batches import EVALUATION_PIXELS
from pigeonhole.training.optimizers import make_optimizer
from pigeonhole.training.schedule import MOST_VALIDATIONS, learning_rate
from pigeonhole.training.tally import score
from pigeonhole.training.trainer import Trainer
from tests.support.small_trainings import RECIPE, SIDE, changed, stripes, trainer

EVALUATION_BATCH = EVALUATION_PIXELS // SIDE**2


def test_learns_what_can_be_learnt():
    run = trainer()
    validations = list(run.run())
    assert [validation.epoch for validation in validations] == [1, 2, 3, 4]
    assert run.best.valid.accuracy > 0.95
    assert validations[-1].train.loss < validations[0].train.loss


def test_same_seed_same_bits_other_seed_others():
    first, again, other = trainer(), trainer(), trainer(seed=2)
    for run in (first, again, other):
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


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_loss_is_the_cross_entropy_with_smoothed_labels(smoothing):
    model, data = building.build("tutorial", SIDE, 3, 2), stripes(12)
    logits = np.array(model(np.asarray(data.images, np.float32)), np.float64)
    log_shares = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = -(log_shares * (data.labels * (1 - smoothing) + smoothing / 2)).sum(1).mean()
    recipe = replace(changed(label_smoothing=smoothing), augmentation=NONE)
    run, losses = Trainer(model, data, data, recipe, seed=0), []
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


@pytest.mark.parametrize("schedule", ["constant", "one-cycle"])
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


def test_learning_without_validation_gives_the_same_weights():
    validated, plain = trainer(), trainer()
    list(validated.run())
    plain.valid = None
    plain.learn()
    for one, other in zip(validated.model.get_weights(), plain.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert plain.best is None


def test_balanced_weights_make_classes_count_alike():
    weights = steps.balanced_weights(np.array([0] * 6 + [1] * 2), 2)
    assert weights[0] * 6 == pytest.approx(weights[1] * 2) == pytest.approx(4)


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


def test_in_the_loss_of_a_balanced_training_every_class_counts_the_same():
    data = stripes(20).select([*range(0, 20, 2), *range(1, 6, 2)])
    model = building.build("tutorial", SIDE, 3, 2)
    logits = np.array(model(np.asarray(data.images, np.float32)), np.float64)
    entropies = np.log(np.exp(logits).sum(1)) - logits[np.arange(13), data.label_indices]
    by_class = [entropies[data.label_indices == label].mean() for label in range(2)]
    recipe = replace(changed(batch_size=13, steps=1, balanced=True), augmentation=NONE)
    losses = []
    Trainer(model, data, None, recipe, seed=0).learn(lambda progress: losses.append(progress.loss))
    assert losses == [pytest.approx(np.mean(by_class), rel=1e-4)]
    assert entropies.mean() != pytest.approx(np.mean(by_class), rel=1e-2)


def test_label_smoothing_keeps_the_network_from_certainty():
    def mean_confidence(smoothing: float) -> float:
        run = trainer(changed(epochs=12, label_smoothing=smoothing))
        list(run.run())
        logits = np.array(run.model(np.asarray(run.valid.images, np.float32)), np.float64)
        return (1 / (1 + np.exp(-np.abs(logits[:, 0] - logits[:, 1])))).mean()

    assert mean_confidence(0.3) < 0.93 < mean_confidence(0.0)


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


def test_the_more_steps_are_mixed_the_less_sure_it_is_of_what_it_is_shown():
    alike = stripes(64)
    losses = []
    for share in (0.0, 0.5, 1.0):
        run = trainer(changed(epochs=12, mix=share), train=alike, valid=alike)
        losses.append(np.mean([validation.train.loss for validation in list(run.run())[4:]]))
    assert losses[0] < 0.01 and 0.05 < losses[1] < 0.8 * losses[2]


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


@pytest.mark.parametrize(
    "optimizer, first, second",
    [  # of a weight 1 with gradients 0.5 and 0.25, at rate 0.1, by the papers' formulae
        ("sgd", 1 - 0.05, 1 - 0.05 - 0.025),
        ("momentum", 1 - 0.05, 1 - 0.05 - (0.045 + 0.025)),
        ("adam", 1 - 0.1, 1 - 0.1 - 0.1 * (0.07 / 0.19) / (0.00031225 / 0.001999) ** 0.5),
        ("adamw", 1 - 0.1, 1 - 0.1 - 0.1 * (0.07 / 0.19) / (0.0031 / 0.0199) ** 0.5),
        ("muon", 1 - 0.1, 1 - 0.1 - 0.1 * (0.07 / 0.19) / (0.0031 / 0.0199) ** 0.5),  # but for convolutions
    ],
)
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_optimizers_take_the_steps_of_their_formulae(optimizer, first, second, decay):
    weight, bias = (keras.Variable([1.0], name=name) for name in ("kernel", "bias"))
    model = SimpleNamespace(trainable_variables=[weight, bias])
    made = make_optimizer(changed(optimizer=optimizer, learning_rate=0.1, weight_decay=decay), model)
    lost, expected = 0.0, [first, second]
    for gradient, value in zip((0.5, 0.25), expected, strict=True):
        lost += 0.1 * decay * float(weight[0])
        made.apply([tf.constant([gradient])] * 2, [weight, bias])
        assert float(weight[0]) == pytest.approx(value - lost, abs=2e-6)
        assert float(bias[0]) == pytest.approx(value, abs=2e-6), "decay spares biases"


def test_pictures_are_drawn_as_the_recipe_says_and_as_the_seed_says():
    def drawn(draw: str, seed: int = 1) -> list[np.ndarray]:
        run = trainer(changed(batch_size=30, draw=draw), seed)
        return [run.batches.rows(step) for step in range(40)]

    afresh, replaced = drawn("afresh"), drawn("with-replacement")
    assert all(len(set(rows)) == 30 for rows in afresh)
    assert any(len(set(rows)) < 30 for rows in replaced) and all(len(rows) == 30 for rows in replaced)
    assert any(set(a) & set(b) for a, b in pairwise(afresh)), "an epoch would not"
    for draw, rows in (("afresh", afresh), ("with-replacement", replaced)):
        assert set(np.concatenate(rows)) == set(range(90))
        np.testing.assert_array_equal(drawn(draw), rows)
        assert not np.array_equal(drawn(draw, seed=2), rows)


def test_in_the_same_order_every_epoch_repeats_the_first():
    shuffled, same = (trainer(changed(batch_size=30, draw=draw), 1) for draw in ("epochs", "same-order"))
    first, second = ([run.batches.rows(step) for step in range(6)] for run in (shuffled, same))
    np.testing.assert_array_equal(first[:3], second[:3])
    np.testing.assert_array_equal(second[:3], second[3:])
    assert not np.array_equal(first[:3], first[3:])
    assert set(np.concatenate(second[:3])) == set(range(90))


def test_few_pictures_drawn_afresh_are_all_of_them():
    run = trainer(changed(batch_size=500, draw="afresh"), train=stripes(12))
    assert sorted(run.batches.rows(0)) == list(range(12))


def shown_mirrored(run: Trainer) -> np.ndarray:
    """bool [epoch, row]: by `flip` alone, whether the picture of that row is shown mirrored in that epoch."""
    mirrored = np.empty((run.total_steps // run.steps_per_epoch, run.train.num_examples), bool)
    for step in range(run.total_steps):
        rows = run.batches.rows(step)
        pairs = zip(run.train.images[rows], run.batches.batch(step).images, strict=True)
        mirrored[step // run.steps_per_epoch, rows] = [not np.array_equal(*pair) for pair in pairs]
    return mirrored


def test_each_picture_is_mirrored_in_every_second_epoch():
    recipe = replace(RECIPE, augmentation=Augmentation(flip=True))
    first, *later = shown_mirrored(trainer(recipe))
    assert 25 <= first.sum() <= 65, "about half begin mirrored"
    for epoch, mirrored in enumerate(later, 1):
        np.testing.assert_array_equal(mirrored, first ^ bool(epoch % 2))
    other = shown_mirrored(trainer(recipe, seed=2))[0]
    assert not np.array_equal(first, other), "which half goes by the seed"


def test_steps_of_a_recipe_set_the_length():
    run = trainer(changed(steps=8))
    assert run.total_steps == 8 and [validation.step for validation in run.run()] == [6, 8]


def test_the_recipes_dropout_takes_the_place_of_the_networks():
    assert trainer(changed()).model.get_layer("dropout1").rate == 0.3
    assert trainer(changed(dropout=0.7)).model.get_layer("dropout1").rate == 0.7
    assert trainer(changed(dropout=0.0)).model.get_layer("dropout1").rate == 0.0


@pytest.mark.parametrize("augmentation", [IN_NETWORK, NONE])
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


def test_fitting_to_a_time_puts_the_weights_back_and_sets_the_length():
    short, long = trainer(), trainer()
    before = short.model.get_weights()
    short.fit_to(1.0)
    long.fit_to(30.0)
    assert all(np.array_equal(a, b) for a, b in zip(before, short.model.get_weights(), strict=True))
    assert 1 <= short.total_steps < long.total_steps


def test_long_trainings_validate_a_bounded_number_of_times():
    run = trainer(changed(epochs=4 * MOST_VALIDATIONS, batch_size=90), train=stripes(12), valid=stripes(4))
    validations = list(run.run())
    assert len(validations) == MOST_VALIDATIONS
    assert validations[-1].step == run.total_steps


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


def test_frozen_layers_answer_as_when_they_are_asked():
    run = trainer(HALF_FROZEN)
    images = run.valid.images.astype(np.float32)
    asked = run.model(images, training=False).numpy()
    steps.freeze(run.model, True)
    np.testing.assert_array_equal(run.model(images, training=True), asked)
    steps.freeze(run.model, False)
    assert not np.array_equal(run.model(images, training=True), asked)


def test_each_phase_runs_through_the_schedule_at_its_own_rate():
    run, rates = trainer(HALF_FROZEN), []
    list(run.run(lambda progress: rates.append(progress.learning_rate)))
    assert max(rates[:12]) == pytest.approx(1e-2) and max(rates[12:]) == pytest.approx(5e-3)
    assert rates[0] == 0.05 * 1e-2 and rates[12] == 0.05 * 5e-3


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
