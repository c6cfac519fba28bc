"""Orders in which pictures get their labels, for labelling.py.

Each takes coordinates float32 [n, d], labels int [n] with -1 for none, answers float32 [n, K] or None, how
many pictures are wanted and a seed, as `labelling.proposals.propose` does, and gives their rows.

proposed    `labelling.proposals`, as `pigeonhole label` asks for them
margin      the smallest margin between the two likeliest classes, after 10 labels of centres of clusters
badge       k-means++ on gradient embeddings (Ash et al., "Deep Batch Active Learning by Diverse, Uncertain
            Gradient Lower Bounds", 2020), after 10 labels of centres of clusters
typical     typical pictures of clusters without a label (Hacohen et al., "Active Learning on a Budget", 2022)
random      any order
"""

from collections.abc import Callable

import numpy as np

from pigeonhole.labelling import groups, proposals

CENTRES = 10  # labels before the methods that need a head
TYPICAL_NEIGHBOURS = 20

Method = Callable[[np.ndarray, np.ndarray, np.ndarray | None, int, int], np.ndarray]


def by_margin(places: np.ndarray, given: np.ndarray, answers: np.ndarray | None, count: int, seed: int):
    if answers is None or (given >= 0).sum() < CENTRES:
        return proposals.propose(places, given, None, count, seed)
    free = np.flatnonzero(given < 0)
    return free[np.argsort(proposals.margins(answers[free]), kind="stable")[:count]]


def by_badge(places: np.ndarray, given: np.ndarray, answers: np.ndarray | None, count: int, seed: int):
    if answers is None or (given >= 0).sum() < CENTRES:
        return proposals.propose(places, given, None, count, seed)
    free = np.flatnonzero(given < 0)
    # The gradient is the outer product of the residual and the coordinates: only inner products are needed.
    residual = answers[free] - np.eye(answers.shape[1])[answers[free].argmax(axis=1)]
    inputs = np.column_stack([places[free] / np.sqrt(np.mean(np.sum(places**2, axis=1))), np.ones(len(free))])
    squares = (residual**2).sum(axis=1) * (inputs**2).sum(axis=1)
    random = np.random.default_rng([seed, int((given >= 0).sum())])
    picks, distances = [int(squares.argmax())], np.full(len(free), np.inf)
    while len(picks) < min(count, len(free)):
        last = picks[-1]
        products = (residual @ residual[last]) * (inputs @ inputs[last])
        distances = np.minimum(distances, np.maximum(squares + squares[last] - 2 * products, 0))
        distances[picks] = 0
        chances = (
            distances / distances.sum() if distances.sum() > 0 else np.isin(free, free[picks], invert=True)
        )
        picks.append(int(random.choice(len(free), p=chances / chances.sum())))
    return free[picks]


def by_type(places: np.ndarray, given: np.ndarray, answers: np.ndarray | None, count: int, seed: int):
    known = np.flatnonzero(given >= 0)
    centres, label = groups.clusters(places, min(len(known) + count, len(places)), seed)
    sizes = np.bincount(label, minlength=len(centres))
    sizes[label[known]] = 0
    picks = []
    for number in np.argsort(-sizes, kind="stable")[:count]:
        rows = np.flatnonzero((label == number) & (given < 0))
        apart = np.linalg.norm(places[rows, None] - places[None, rows], axis=2)
        near = np.sort(apart, axis=1)[:, : TYPICAL_NEIGHBOURS + 1]
        if len(rows):
            picks.append(rows[near.mean(axis=1).argmin()])
    return np.array(picks, np.int64)


def by_chance(places: np.ndarray, given: np.ndarray, answers: np.ndarray | None, count: int, seed: int):
    order = np.random.default_rng(seed).permutation(len(given))
    return order[given[order] < 0][:count]


METHODS: dict[str, Method] = {
    "proposed": proposals.propose, "margin": by_margin, "badge": by_badge, "typical": by_type,
    "random": by_chance,
}  # fmt: skip
WITHOUT_HEAD = by_type, by_chance  # they do not look at answers
