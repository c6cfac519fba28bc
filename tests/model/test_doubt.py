"""The two kinds of doubt: between two classes, and about all of them."""

import numpy as np
import pytest

from pigeonhole.model import doubt
from pigeonhole.model.classifier import Answer


@pytest.mark.parametrize(
    ("shares", "unsure", "said"),
    [
        ([0.66, 0.34], False, "torn"),
        ([0.67, 0.33], False, None),
        ([0.3, 0.4, 0.3], False, "torn"),
        ([0.1, 0.35, 0.1, 0.1, 0.1, 0.1, 0.1], False, None),  # unlikely, but alone
        ([0.5, 0.5], True, "stranger"),  # what the probabilities say of a stranger means little
        ([0.99, 0.01], True, "stranger"),
        ([1.0], False, None),
    ],
)
def test_torn_is_below_two_to_one_and_a_stranger_is_not_called_torn(shares, unsure, said):
    shares = np.array(shares, np.float32)
    assert Answer(shares, unsure).doubt == said
    assert doubt.are_torn(shares[np.newaxis])[0] == (doubt.kind(sorted(shares)[::-1], False) == "torn")


def test_many_are_judged_as_one_by_one():
    shares = np.random.default_rng(5).dirichlet(np.ones(4), 200)
    alone = [doubt.kind(sorted(row)[::-1], False) == doubt.TORN for row in shares]
    assert doubt.are_torn(shares).tolist() == alone and 20 < sum(alone) < 180


def test_calibrated_probabilities_of_torn_answers_are_right_in_half_to_two_thirds_of_their_two_classes():
    """Pictures whose class is drawn by the probabilities themselves, that is, from perfect calibration."""
    random = np.random.default_rng(6)
    shares = random.dirichlet(np.ones(3), 40_000)
    labels = (random.random(len(shares))[:, None] > shares.cumsum(axis=1)).sum(axis=1)
    torn = doubt.are_torn(shares)
    best = np.argsort(-shares, axis=1)[:, :2]
    first, second = (labels[torn] == best[torn].T).mean(axis=1)
    assert 1 / 2 < first / (first + second) < 2 / 3
