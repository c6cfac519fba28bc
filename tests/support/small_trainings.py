"""Trainings of a small network on drawn stripes: seconds long, and learnable."""

import keras
import numpy as np

from pigeonhole.data.augmentation import Augmentation
from pigeonhole.data.dataset import DataSet
from pigeonhole.networks import building
from pigeonhole.networks.recipes import Recipe
from pigeonhole.training.blueprint import Blueprint
from pigeonhole.training.retraining import Retrainer
from pigeonhole.training.trainer import Trainer

SIDE = 16
RECIPE = Recipe(
    image_size=SIDE,
    batch_size=16,
    epochs=4,
    optimizer="adamw",
    schedule="one-cycle",
    learning_rate=5e-3,
    weight_decay=0.01,
    label_smoothing=0.0,
    augmentation=Augmentation(flip=True, shift=0.1),
    mix=0.0,
    patience=None,
    validate_every="1epochs",
)


def stripes(count: int, seed: int = 0, noise: bool = False) -> DataSet:
    """Horizontal against vertical stripes under noise; with `noise`, the labels are random instead."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    wave = (np.sin(np.arange(SIDE) * 1.6) * 60).astype(int)
    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    for index, label in enumerate(labels):
        pattern = np.tile(wave, (SIDE, 1)) if label else np.tile(wave, (SIDE, 1)).T
        images[index] = np.clip(128 + pattern[..., None] + rng.normal(0, 30, (SIDE, SIDE, 3)), 0, 255)
    if noise:
        labels = rng.integers(0, 2, count)
    return DataSet(images, labels, [f"{index}.png" for index in range(count)], ["across", "upright"], seed=5)


def trainer(
    recipe: Recipe = RECIPE, seed: int = 1, train: DataSet | None = None, valid=None, **options
) -> Trainer:
    """A trainer of the standard network, with new weights by the seed."""
    keras.utils.set_random_seed(seed)
    model = building.build("standard", SIDE, 3, 2)
    return Trainer(model, train or stripes(90), valid or stripes(40, seed=9), recipe, seed, **options)


def changed(**settings) -> Recipe:
    """The recipe with these settings instead."""
    return RECIPE.with_given(**settings)


def retrainer(balanced: bool = False, **options) -> Retrainer:
    """It shows 240 pictures to each network, however many it has. `options`: of its blueprint."""

    def recipe_for(num_pictures: int):
        return RECIPE.with_given(epochs=240 / num_pictures, balanced=balanced)

    return Retrainer(Blueprint("standard", seed=4, **options), recipe_for, pictures_per_second=120)
