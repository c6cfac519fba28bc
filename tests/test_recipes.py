"""Defaults follow from the data, and what the user gives wins."""

import pytest

from pigeonhole import recipes
from pigeonhole.augment import NONE


def test_tutorial_recipe_is_the_classic_one():
    recipe = recipes.recipe("tutorial", recipes.image_size("tutorial", 400), 4000, all_grey=False)
    assert (recipe.image_size, recipe.batch_size, recipe.optimizer, recipe.learning_rate) == (
        128,
        32,
        "adam",
        1e-4,
    )
    assert recipe.schedule == "constant" and recipe.augmentation == NONE
    assert recipe.weight_decay == recipe.label_smoothing == 0


def test_standard_looks_at_thumbnails_at_32_and_at_photos_larger():
    assert recipes.image_size("standard", 32) == 32
    assert recipes.image_size("standard", 8) == 32
    assert recipes.image_size("standard", 300) > 32


def test_fewer_pictures_more_epochs_smaller_batches():
    sizes = (10, 100, 1_000, 10_000, 40_000, 1_000_000)
    made = [recipes.recipe("standard", 32, size, all_grey=False) for size in sizes]
    epochs = [recipe.epochs for recipe in made]
    batches = [recipe.batch_size for recipe in made]
    assert epochs == sorted(epochs, reverse=True) and epochs[0] <= 400 and epochs[-1] >= 5
    assert batches == sorted(batches) and batches[0] >= 8 and batches[-1] <= 250


@pytest.mark.parametrize("size", [32, 128])
def test_grey_scans_are_not_mirrored_and_photos_are(size):
    assert not recipes.recipe("standard", size, 1000, all_grey=True).augmentation.flip
    assert recipes.recipe("standard", size, 1000, all_grey=False).augmentation.flip


def test_what_is_given_wins_and_what_is_not_stays():
    usual = recipes.recipe("standard", 32, 1000, all_grey=False)
    given = usual.with_given(epochs=3, batch_size=None, learning_rate=0.1, augment=False)
    assert (given.epochs, given.learning_rate, given.batch_size) == (3, 0.1, usual.batch_size)
    assert given.augmentation == NONE
    assert usual.with_given(augment=True) == usual
    tutorial = recipes.recipe("tutorial", 128, 1000, all_grey=False)
    assert tutorial.with_given(augment=True).augmentation != NONE
