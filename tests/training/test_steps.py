"""The loss of a step, and what is frozen in it."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from pigeonhole.data.augment import NONE
from pigeonhole.networks import building
from pigeonhole.training import steps
from pigeonhole.training.trainer import Trainer
from tests.support.small_trainings import RECIPE, SIDE, changed, stripes, trainer


def test_balanced_weights_make_classes_count_alike():
    weights = steps.balanced_weights(np.array([0] * 6 + [1] * 2), 2)
    assert weights[0] * 6 == pytest.approx(weights[1] * 2) == pytest.approx(4)


def test_in_the_loss_of_a_balanced_training_every_class_counts_the_same():
    data = stripes(20).select([*range(0, 20, 2), *range(1, 6, 2)])
    keras.utils.set_random_seed(1)
    model = building.build("tutorial", SIDE, 3, 2)
    logits = np.array(model(np.asarray(data.images, np.float32)), np.float64)
    entropies = np.log(np.exp(logits).sum(1)) - logits[np.arange(13), data.label_indices]
    by_class = [entropies[data.label_indices == label].mean() for label in range(2)]
    recipe = replace(changed(batch_size=13, steps=1, balanced=True), augmentation=NONE)
    losses = []
    Trainer(model, data, None, recipe, seed=0).learn(lambda progress: losses.append(progress.loss))
    assert losses == [pytest.approx(np.mean(by_class), rel=1e-4)]
    assert entropies.mean() != pytest.approx(np.mean(by_class), rel=1e-2)


def test_frozen_layers_answer_as_when_they_are_asked():
    run = trainer(replace(RECIPE, freeze=0.5))
    images = run.valid.images.astype(np.float32)
    asked = run.model(images, training=False).numpy()
    steps.freeze(run.model, True)
    np.testing.assert_array_equal(run.model(images, training=True), asked)
    steps.freeze(run.model, False)
    assert not np.array_equal(run.model(images, training=True), asked)


def test_the_lower_layers_stay_as_they_are_and_all_else_learns():
    run = trainer(changed(steps=4, freeze=0.5, frozen_until="bn1"))
    before = {weight.path: weight.numpy() for weight in run.model.weights}
    run.learn()
    same = {weight.path for weight in run.model.weights if np.array_equal(weight, before[weight.path])}
    assert same == {path for path in before if path.partition("/")[0] in ("conv1", "bn1")} != set()


def test_with_frozen_statistics_all_else_of_batch_normalisation_learns():
    run = trainer(changed(steps=3, dropout=0.0, frozen_statistics=True))
    images = run.valid.images.astype(np.float32)
    np.testing.assert_array_equal(run.model(images, training=True), run.model(images, training=False))
    before = {weight.path: weight.numpy() for weight in run.model.weights}
    run.learn()
    same = {weight.path for weight in run.model.weights if np.array_equal(weight, before[weight.path])}
    assert same == {path for path in before if "/moving_" in path} != set()
