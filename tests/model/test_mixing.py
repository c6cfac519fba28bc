"""Weights of several networks: fitted, left out where useless, and judged without flattery."""

import numpy as np

from pigeonhole.model import mixing


def answers(random: np.random.Generator, labels: np.ndarray, skill: float) -> np.ndarray:
    """Logits [n, 4] that know the label with this skill."""
    return random.normal(size=(len(labels), 4)) + skill * np.eye(4)[labels]


def loss(logits: np.ndarray, labels: np.ndarray) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]))


def test_two_that_know_different_things_are_better_together():
    random = np.random.default_rng(0)
    labels, later = random.integers(0, 4, 400), random.integers(0, 4, 4000)
    mixture = mixing.fit([answers(random, labels, 1.5) for _ in range(2)], labels)
    assert (mixture.weights > 0.5).all()  # independent evidence adds up
    ones = [answers(random, later, 1.5) for _ in range(2)]
    together = sum(weight * each for weight, each in zip(mixture.weights, ones, strict=True))
    assert loss(together, later) < 0.8 * min(loss(each, later) for each in ones)


def test_one_that_knows_nothing_is_left_out():
    random = np.random.default_rng(1)
    left_out = 0
    for _ in range(12):
        labels = random.integers(0, 4, 200)
        weights = mixing.fit([answers(random, labels, 2), answers(random, labels, 0)], labels).weights
        assert weights[0] > 0.5
        left_out += weights[1] == 0
    assert left_out >= 8  # the rest is chance, by which its weight is next to nothing


def test_few_pictures_with_hardly_a_mistake_do_not_tell_two_good_networks_apart():
    """They differ by the luck of a picture or two, which must not decide."""
    for seed in range(12):
        random = np.random.default_rng(seed)
        labels = random.integers(0, 4, 40)
        weights = mixing.fit([answers(random, labels, 5) for _ in range(2)], labels).weights
        assert 0.4 < weights[0] / weights.sum() < 0.6


def test_the_better_of_two_counts_more_where_few_pictures_tell():
    random = np.random.default_rng(4)
    for _ in range(12):
        labels = random.integers(0, 4, 40)
        weights = mixing.fit([answers(random, labels, 5), answers(random, labels, 2)], labels).weights
        assert weights[0] > 2 * weights[1]


def test_one_that_may_help_stays():
    """A second good network, though 60 pictures with few mistakes cannot show that it helps."""
    random = np.random.default_rng(5)
    for _ in range(12):
        labels = random.integers(0, 4, 60)
        assert mixing.fit([answers(random, labels, 4) for _ in range(2)], labels).weights.min() > 0


def test_answers_out_of_fold_are_not_flattered():
    """Three networks that guess: what is chosen among them looks good on the pictures that chose."""
    random = np.random.default_rng(2)
    right = []
    for _ in range(12):
        labels = random.integers(0, 4, 100)
        mixture = mixing.fit([answers(random, labels, 0) for _ in range(3)], labels)
        right.append(np.mean(mixture.out_of_fold.argmax(axis=1) == labels))
    error = np.std(right) / np.sqrt(len(right))
    assert abs(np.mean(right) - 0.25) < 3 * error


def test_one_network_alone_is_kept():
    random = np.random.default_rng(3)
    labels = random.integers(0, 4, 50)
    assert mixing.fit([answers(random, labels, 1)], labels).weights[0] > 0
