"""Whitening: what the filters do to patches, when they are set, and that training leaves them be."""

from dataclasses import replace

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from pigeonhole.model.export import exporting
from pigeonhole.networks import building
from pigeonhole.networks.averaging import Averaging
from pigeonhole.networks.whitening import Whiten, filters_for
from pigeonhole.training import initial_weights, weights_source
from pigeonhole.training.trainer import WHITENED, Trainer
from tests.support import saved_runs
from tests.support.small_trainings import RECIPE, SIDE, stripes

NOISE = 5e-4  # what is added to each variance


def smooth(count: int = 40, side: int = 12, channels: int = 3) -> np.ndarray:
    """float32 [N, S, S, C] with mean 0: neighbouring pixels and channels are much alike, as in photos."""
    random = np.random.default_rng(0)
    grey, colour = (random.normal(size=(count, side, side, last)) for last in (1, channels))
    pictures = [cv2.GaussianBlur(one, (0, 0), 1).reshape(one.shape) for one in grey + 0.3 * colour]
    return np.stack(pictures).astype(np.float32)


def whitened(kernel: np.ndarray, images: np.ndarray) -> np.ndarray:
    layer = Whiten()
    layer.build(images.shape)
    layer.set_filters(kernel)
    return layer(images).numpy()


def network(name: str = "deep", **options) -> keras.Model:
    keras.utils.set_random_seed(0)
    return building.build(name, SIDE, 3, 2, **options)


def trained(model: keras.Model) -> keras.Model:
    list(Trainer(model, stripes(90), stripes(40, seed=9), replace(RECIPE, epochs=1), 1).run())
    return model


def kernel_of(model: keras.Model) -> np.ndarray:
    return model.get_layer("conv1").kernel.numpy()


@pytest.mark.parametrize("channels", [1, 3])
def test_patches_come_out_white_and_once_more_negated(channels):
    images = smooth(channels=channels)
    outputs = whitened(filters_for([images[:13], images[13:]]), images)
    count = 4 * channels
    assert outputs.shape == (40, 11, 11, 2 * count)
    np.testing.assert_array_equal(outputs[..., count:], -outputs[..., :count])
    values = outputs[..., :count].reshape(-1, count)
    powers = values.T @ values / len(values)
    np.testing.assert_allclose(powers, np.diag(np.diag(powers)), atol=1e-3)
    patches = np.lib.stride_tricks.sliding_window_view(images, (2, 2), (1, 2)).reshape(-1, channels, 4)
    patches = patches.transpose(0, 2, 1).reshape(-1, count)
    variances = np.linalg.eigvalsh(patches.T @ patches / len(patches))[::-1]
    assert variances[0] > 20 * variances[-1], "so they were far from white"
    np.testing.assert_allclose(np.diag(powers), variances / (variances + NOISE), rtol=1e-3)


def test_filters_do_not_depend_on_how_the_pictures_are_split_up():
    images = smooth()
    np.testing.assert_allclose(filters_for([images]), filters_for(np.split(images, 8)), rtol=1e-2, atol=1e-3)


def test_plain_pictures_give_filters_too():
    kernel = filters_for([np.zeros((4, 6, 6, 3), np.float32)])
    np.testing.assert_allclose(np.linalg.norm(kernel.reshape(12, 24), axis=0), NOISE**-0.5, rtol=1e-5)


def test_computes_in_the_precision_of_the_network():
    layer = Whiten(dtype="mixed_bfloat16")
    assert layer(smooth()).dtype == tf.bfloat16
    assert {str(weight.dtype) for weight in layer.weights} == {"float32"}


@pytest.mark.parametrize(
    "averaging", [Averaging(), pytest.param(Averaging(flip=True, shift=True), marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", ["deep", pytest.param("wide", marks=pytest.mark.slow)])
def test_a_trainer_sets_the_filters_and_learns_only_the_bias(name, averaging):
    model = network(name, averaging=averaging)
    assert not kernel_of(model).any()
    trainer = Trainer(model, stripes(90), stripes(40, seed=9), replace(RECIPE, epochs=1, freeze=0.5), 1)
    before = kernel_of(model)
    seen = model.get_layer("standardise")(np.concatenate(list(trainer.batches.first_pictures(WHITENED))))
    powers = whitened(before, seen.numpy()).reshape(-1, 24)[:, :12].var(axis=0)
    np.testing.assert_allclose(powers, 1, atol=0.1)
    list(trainer.run())
    np.testing.assert_array_equal(kernel_of(model), before)
    assert model.get_layer("conv1").bias.numpy().any()


def test_filters_fit_the_pictures_as_they_are_shown():
    """Grey pictures in colour have nothing in eight of twelve directions until they are tinted."""
    data = stripes(90)
    data.images[:] = data.images[..., :1]
    empty = []
    for colour in (0, 0.2):
        model, varied = network(), replace(RECIPE.augmentation, colour=colour)
        Trainer(model, data, data, replace(RECIPE, augmentation=varied), 1)
        sizes = np.linalg.norm(kernel_of(model).reshape(12, 24)[:, :12], axis=0)
        empty.append(int((sizes > 0.9 * NOISE**-0.5).sum()))
    assert empty == [8, 0]


@pytest.mark.slow
def test_a_warm_start_keeps_the_filters_of_the_run(tmp_path):
    saved = saved_runs.network(seed=3, name="deep")
    run = saved_runs.save(tmp_path / "run", saved)
    model = network()
    initial_weights.read(weights_source.find(str(run), "deep"), "deep").put_into(model, ["across", "upright"])
    trained(model)
    np.testing.assert_array_equal(kernel_of(model), kernel_of(saved))


@pytest.mark.slow
def test_a_resumed_training_keeps_them_too():
    first = Trainer(network(), stripes(90), stripes(40, seed=9), RECIPE, 1)
    next(first.run())
    again = Trainer(network(), stripes(120, seed=5), stripes(40, seed=9), RECIPE, 1)
    again.restore(first.state())
    np.testing.assert_array_equal(kernel_of(again.model), kernel_of(first.model))


def test_photos_have_a_first_convolution_that_is_learnt():
    assert type(building.build("deep", 96, 3, 2).get_layer("conv1")) is keras.layers.Conv2D


@pytest.mark.slow
def test_the_filters_are_in_the_saved_graph_and_its_onnx_file(tmp_path):
    model = trained(building.build("deep", SIDE, 3, 3, averaging=Averaging(flip=True)))
    run = saved_runs.save(tmp_path / "run", model)
    exporting.export(run)
    start = initial_weights.read(weights_source.find(str(run), "deep"), "deep")
    np.testing.assert_array_equal(start.values["conv1/kernel"], kernel_of(model))
