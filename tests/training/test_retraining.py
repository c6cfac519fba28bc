"""Further networks on parts of the data: they repeat, answer as the network does, and forecast their time."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from pigeonhole.networks import building
from pigeonhole.networks.averaging import Averaging
from pigeonhole.training.initial_weights import InitialWeights
from pigeonhole.training.retraining import outputs
from tests.support.small_trainings import RECIPE, SIDE, retrainer, stripes


def test_learns_and_repeats_whatever_was_trained_before():
    data = stripes(60)
    first = outputs(retrainer().train(data), data.images)
    retrainer().train(stripes(30, seed=2))
    again = outputs(retrainer().train(data), data.images)
    assert (first.logits.argmax(1) == data.label_indices).mean() > 0.8
    np.testing.assert_array_equal(first.logits, again.logits)


@pytest.mark.slow
def test_class_weights_count_in_retraining_too():
    data = stripes(60).select([*range(0, 60, 2), *range(1, 20, 2)])
    plain = outputs(retrainer().train(data), data.images)
    balanced = outputs(retrainer(balanced=True).train(data), data.images)
    assert not np.array_equal(plain.logits, balanced.logits)


def test_a_part_without_one_class_is_trained_on_the_others():
    data = stripes(40)
    part = data.select(np.flatnonzero(data.label_indices == 1), ["upright"])
    assert retrainer().train(part).output.shape == (None, 1)


def test_outputs_are_the_network_s_own_in_float32():
    data = stripes(33)
    model = retrainer(precision="bfloat16").train(data)
    assert model.compute_dtype == "float32"
    said = outputs(model, data.images)
    pixels = np.asarray(data.images, np.float32)
    np.testing.assert_allclose(said.logits, model(pixels), rtol=1e-4, atol=1e-5)
    kernel, bias = model.layers[-1].get_weights()
    np.testing.assert_allclose(said.features @ kernel + bias, said.logits, rtol=1e-4, atol=1e-4)
    assert isinstance(model, keras.Model)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_retrained_network_looks_at_mirror_images_as_the_training_did(precision):
    data = stripes(33)
    model = retrainer(precision=precision, averaging=Averaging(flip=True)).train(data)
    said, of_mirrored = (outputs(model, images).logits for images in (data.images, data.images[:, :, ::-1]))
    np.testing.assert_allclose(said, of_mirrored, rtol=1e-4, atol=1e-3)
    plain = retrainer(precision=precision).train(data)
    said, of_mirrored = (outputs(plain, images).logits for images in (data.images, data.images[:, :, ::-1]))
    assert np.abs(said - of_mirrored).max() > 1e-1, "else the pictures could not tell"


def test_forecast_of_time():
    alike = replace(retrainer(), start_seconds=1.5)
    assert alike.seconds(60) == pytest.approx(1.5 + 60 * (240 / 60) / 120)


def test_a_retraining_begins_where_the_training_began():
    keras.utils.set_random_seed(9)
    trained = building.build("standard", SIDE, 3, 2)
    values = {variable.path: variable.numpy() for variable in trained.weights}
    begin = InitialWeights("a run", values, ("upright", "flat"), "of stripes")
    barely = RECIPE.with_given(epochs=1, learning_rate=1e-12)
    with_start = replace(retrainer(initial_weights=begin), recipe_for=lambda num_pictures: barely)
    model = with_start.train(stripes(16))  # across and upright
    np.testing.assert_allclose(model.get_layer("conv2").kernel, values["conv2/kernel"], atol=1e-6)
    np.testing.assert_allclose(model.get_layer("fc2").kernel[:, 1], values["fc2/kernel"][:, 0], atol=1e-6)
