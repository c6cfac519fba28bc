"""Which pictures each step shows, and which of them mirrored: by the recipe and the seed."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from pigeonhole.data.augment import Augmentation
from pigeonhole.training.trainer import Trainer
from tests.support.small_trainings import RECIPE, changed, stripes, trainer


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
