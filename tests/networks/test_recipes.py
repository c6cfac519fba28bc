"""Defaults follow from the data, and what the user gives wins."""

from dataclasses import replace

import pytest

from pigeonhole.data.augmentation import IN_NETWORK, NONE
from pigeonhole.networks import recipes
from pigeonhole.networks.recipes import THUMBNAIL
from pigeonhole.networks.registry import NETWORKS


def test_tutorial_recipe_is_the_classic_one():
    recipe = NETWORKS["tutorial"].recipe(NETWORKS["tutorial"].usual_size(400), 4000, all_grey=False)
    assert (recipe.image_size, recipe.batch_size, recipe.optimizer, recipe.learning_rate) == (
        128,
        32,
        "adam",
        1e-4,
    )
    assert recipe.schedule == "constant" and recipe.augmentation == NONE
    assert recipe.weight_decay == recipe.label_smoothing == 0


def test_standard_looks_at_thumbnails_at_32_and_at_photos_larger():
    assert NETWORKS["standard"].usual_size(32) == 32
    assert NETWORKS["standard"].usual_size(8) == 32
    assert NETWORKS["standard"].usual_size(300) > 32


def test_fewer_pictures_more_epochs_smaller_batches():
    sizes = (10, 100, 1_000, 10_000, 40_000, 1_000_000)
    made = [NETWORKS["standard"].recipe(32, size, all_grey=False) for size in sizes]
    epochs = [recipe.epochs for recipe in made]
    batches = [recipe.batch_size for recipe in made]
    assert epochs == sorted(epochs, reverse=True) and epochs[0] <= 400 and epochs[-1] >= 5
    assert batches == sorted(batches) and batches[0] >= 8 and batches[-1] <= 125


@pytest.mark.parametrize("size", [32, 128])
def test_grey_scans_are_not_mirrored_and_photos_are(size):
    assert not NETWORKS["standard"].recipe(size, 1000, all_grey=True).augmentation.flip
    assert NETWORKS["standard"].recipe(size, 1000, all_grey=False).augmentation.flip


def test_what_is_given_wins_and_what_is_not_stays():
    usual = NETWORKS["standard"].recipe(32, 1000, all_grey=False)
    given = usual.with_given(epochs=3, batch_size=None, learning_rate=0.1, augment=False)
    assert (given.epochs, given.learning_rate, given.batch_size) == (3, 0.1, usual.batch_size)
    assert given.augmentation == NONE
    assert usual.with_given(augment=True) == usual
    tutorial = NETWORKS["tutorial"].recipe(128, 1000, all_grey=False)
    assert tutorial.with_given(augment=True).augmentation != NONE


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_adam_in_place_of_muon_learns_at_half_the_rate(optimizer):
    usual = NETWORKS["standard"].recipe(32, 1000, all_grey=False)
    assert usual.with_given(optimizer=optimizer).learning_rate == usual.learning_rate / 2
    assert usual.with_given(optimizer=optimizer, learning_rate=0.1).learning_rate == 0.1
    assert usual.with_given(optimizer="muon") == usual
    classic = NETWORKS["classic_tiny"].recipe(32, 1000, all_grey=False)
    assert classic.with_given(optimizer=optimizer).learning_rate == classic.learning_rate


@pytest.mark.parametrize(
    "network, size, num_pictures",
    [
        ("standard", 32, 100),
        ("standard", 32, 40_000),
        ("standard", 96, 800),
        ("deep", 32, 40_000),
        ("wide", 32, 40_000),
    ],
)
def test_a_training_of_few_epochs_is_held_back_less(network, size, num_pictures):
    usual, brief = (
        NETWORKS[network].recipe(size, num_pictures, all_grey=False, brief=brief) for brief in (False, True)
    )
    assert NETWORKS[network].is_brief(size, num_pictures, 5)
    assert not NETWORKS[network].is_brief(size, num_pictures, usual.epochs)
    assert 8 <= brief.batch_size <= usual.batch_size and not brief.mix
    assert brief.augmentation.flip and (usual.mix or brief.augmentation != usual.augmentation)
    assert brief.augmentation.shift <= usual.augmentation.shift
    assert (brief.epochs, brief.learning_rate) == (usual.epochs, usual.learning_rate)


@pytest.mark.parametrize(
    "network, size, share", [("standard", 32, 0), ("deep", 32, 0), ("wide", 32, 0), ("wide", 128, 0.5)]
)
def test_photos_are_mixed_and_thumbnails_are_not(network, size, share):
    usual = NETWORKS[network].recipe(size, 1000, all_grey=False)
    assert usual.mix == share and usual.with_given(augment=False).mix == 0
    assert NETWORKS[network].recipe(size, 1000, all_grey=False, brief=True).mix == 0


def test_photos_are_looked_at_larger_and_decay_as_thumbnails_do_for_a_wide_network_alone():
    assert NETWORKS["standard"].usual_size(48) == 32 and NETWORKS["deep"].usual_size(49) == 128
    standard, photos, wide, wide_photos = (
        NETWORKS[network].recipe(size, 1000, all_grey=False)
        for network, size in (("standard", 32), ("standard", 128), ("wide", 32), ("wide", 128))
    )
    assert standard.weight_decay < photos.weight_decay == wide.weight_decay == wide_photos.weight_decay
    assert not wide.augmentation.colour and wide_photos.augmentation.colour
    assert wide.label_smoothing > wide_photos.label_smoothing


def test_the_fewer_the_photos_the_more_epochs_without_a_jump():
    epochs = [
        NETWORKS["standard"].recipe(128, count, all_grey=False).epochs for count in (100, 799, 800, 4000)
    ]
    assert epochs == [230, 100, 100, 72]


def test_grey_scans_are_varied_in_brief_trainings_too():
    usual, brief = (NETWORKS["standard"].recipe(32, 60_000, True, brief=brief) for brief in (False, True))
    assert brief.augmentation == usual.augmentation


@pytest.mark.parametrize("network, size", [("standard", 32), ("standard", 96), ("deep", 32), ("wide", 32)])
def test_trained_weights_learn_on_at_a_lower_rate(network, size):
    usual, trained = (
        NETWORKS[network].recipe(size, 500, False, trained=trained) for trained in (False, True)
    )
    assert trained == replace(usual, learning_rate=pytest.approx(0.3 * usual.learning_rate))


def test_only_trained_weights_have_a_phase_for_the_head():
    usual, trained = (
        NETWORKS["mobilenet_v3_small"].recipe(224, 500, False, trained=trained) for trained in (False, True)
    )
    assert usual.freeze == 0 < trained.freeze and replace(trained, freeze=0.0) == usual


@pytest.mark.parametrize("network", ["tutorial", "classic_dropout", "mobilenet_v3_small"])
def test_the_other_recipes_are_the_same_at_every_length(network):
    usual, brief = (NETWORKS[network].recipe(96, 800, False, brief=brief) for brief in (False, True))
    assert brief == usual and not NETWORKS[network].is_brief(96, 800, epochs=0.1)


PUBLISHED = {  # optimizer, learning rate, batch, how drawn, and the length by 45,000 pictures in steps
    "classic_dropout": ("adam", 1e-3, 256, "same-order", 50 * 176),
    "classic_augmented": ("adam", 1e-4, 64, "afresh", 100_000),
    "classic_mnist": ("momentum", 0.005, 100, "with-replacement", 500),
    "classic_lrn": ("sgd", 0.1, 128, "epochs", 20_000),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_classic_recipes_are_the_published_ones(name):
    recipe = NETWORKS[name].recipe(NETWORKS[name].usual_size(300), 45_000, all_grey=False)
    optimizer, rate, batch, draw, steps = PUBLISHED[name]
    assert (recipe.optimizer, recipe.learning_rate, recipe.batch_size) == (optimizer, rate, batch)
    assert recipe.draw == draw and recipe.length(45_000) == steps
    assert recipe.schedule == "constant" and recipe.dropout is None and recipe.patience is None
    assert recipe.weight_decay == recipe.label_smoothing == 0
    distorted = name in ("classic_augmented", "classic_lrn")
    assert recipe.augmentation == (IN_NETWORK if distorted else NONE) and not recipe.mix
    assert recipe.image_size == (28 if name == "classic_mnist" else 32)
    assert NETWORKS[name].channels == (1 if name == "classic_mnist" else 3)
    assert NETWORKS[name].provenance == "as published"


def test_what_was_never_published_is_labelled_as_ours():
    published = [name for name in NETWORKS if NETWORKS[name].provenance == "as published"]
    assert published == ["tutorial", "classic_dropout", "classic_augmented", "classic_mnist", "classic_lrn"]
    assert {name: network.added for name, network in NETWORKS.items() if network.added} == {
        "tutorial": ("epochs", "patience")
    }


def test_a_network_without_batch_normalisation_learns_at_lower_rates():
    usual, plain = (
        NETWORKS[name].recipe(224, 500, False, trained=True) for name in ("inception_v3", "vgg19")
    )
    rates = {"learning_rate": 1e-4, "head_learning_rate": 1e-3}
    assert plain == replace(usual, **rates)


def test_a_length_given_in_epochs_takes_the_place_of_steps():
    classic = NETWORKS["classic_mnist"].recipe(28, 1000, all_grey=True)
    assert classic.length(1000) == 500 and classic.with_given(epochs=3).length(1000) == 30
    assert classic.times_as_long(0.1).length(77) == 50
    standard = NETWORKS["standard"].recipe(32, 1000, all_grey=False)
    assert standard.times_as_long(0.5).length(1000) == standard.length(1000) / 2


def test_variations_inside_the_network_can_be_turned_off_and_are_told():
    classic = NETWORKS["classic_lrn"].recipe(32, 1000, all_grey=False)
    assert "network's first layers" in classic.augmentation.describe() and classic.augmentation.mirrors
    assert classic.with_given(augment=False).augmentation == NONE
    assert classic.with_given(augment=True) == classic


def test_fine_tuning_looks_at_thumbnails_enlarged_and_keeps_the_statistics_of_batch_normalisation():
    thumbnails, photos = (recipes.fine_tuned(size, 1000, all_grey=False) for size in (32, 224))
    assert thumbnails.image_size > THUMBNAIL and photos.image_size == 224
    for recipe in (thumbnails, photos):
        assert recipe.frozen_statistics and not recipe.freeze and recipe.settles
        assert recipe.frozen_until == "block4_add" and recipe.frozen_depthwise
    few = recipes.fine_tuned(224, 200, all_grey=False)
    assert few.learning_rate < photos.learning_rate
    many = recipes.fine_tuned(32, 50_000, all_grey=False)
    assert THUMBNAIL < many.image_size < thumbnails.image_size and many.epochs < thumbnails.epochs


def test_settings_of_runs_older_than_a_field_are_read_as_recipes():
    old = {
        name: value
        for name, value in vars(recipes.standard(32, 1000, False)).items()
        if name != "frozen_statistics"
    }
    assert recipes.Recipe(**old) == recipes.standard(32, 1000, False)
