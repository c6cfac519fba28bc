"""Which pictures each step shows, and how it varies them.

Everything random about step number t follows from (seed, t) alone, so that a run repeats bit for bit and can
be restored at any step.
"""

import functools
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from pigeonhole.data.augment import augment, mix
from pigeonhole.data.shards import Shard, all_rows
from pigeonhole.networks.recipes import Recipe

EVALUATION_PIXELS = 500 * 32 * 32  # in one batch; larger ones are no faster and only take memory
_VARY, _DRAW, _MIRROR = 1, 2, 3  # keep these draws apart from the shuffle, which is keyed by (seed, epoch)


class Batch(NamedTuple):
    """`images` uint8 [n, S, S, C] and `labels` int32 [n] of one step; with several workers, of this one's
    `shards`, one after the other, of a batch of `total` pictures.

    `share` (0.5 to 1) of each image is its label's picture, the rest is that of the reversed batch.
    """

    images: np.ndarray
    labels: np.ndarray
    share: np.float32
    shards: list[Shard]
    total: int


class Batches:
    """The batch of each step of a training on `train`, a `dataset.DataSet`.

    `workers`: a `workers.Workers` where several train together; the batches are then this one's shards.
    """

    def __init__(self, train, recipe: Recipe, seed: int, workers=None):
        self._train = train
        self._recipe = recipe
        self._seed = seed
        self._workers = workers
        self._steps_per_epoch = recipe.steps_per_epoch(train.num_examples)
        self._order = functools.lru_cache(maxsize=2)(train.order)
        self._mirrored_first = np.random.default_rng([seed, _MIRROR, 0]).random(train.num_examples) < 0.5

    def between(self, first: int, end: int) -> Iterator[tuple[int, Batch]]:
        """Number and batch of each step from `first` to before `end`.

        The next batch is made while the caller computes on this one.
        """
        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(self.batch, first) if first < end else None
            for step in range(first, end):
                batch = coming.result()
                if step + 1 < end:
                    coming = ahead.submit(self.batch, step + 1)
                yield step, batch

    def batch(self, step: int) -> Batch:
        """What step number `step` (from 0) shows."""
        rows = self.rows(step)
        shards = self._workers.shards(len(rows)) if self._workers else [all_rows(len(rows))]
        varied, shares = zip(*(self._varied(step, rows, shard) for shard in shards), strict=True)
        images = varied[0] if len(varied) == 1 else np.concatenate(varied)
        here = np.concatenate([rows[shard.positions] for shard in shards])
        labels = self._train.label_indices[here].astype(np.int32)
        return Batch(images, labels, np.float32(shares[0]), shards, len(rows))

    def first_pictures(self, count: int) -> Iterator[np.ndarray]:
        """float32 [n, S, S, C]: about `count` pictures as the first steps of all workers show them."""
        for step in range(math.ceil(count / self._recipe.batch_size)):
            rows = self.rows(step)
            images, _ = self._varied(step, rows, all_rows(len(rows)))
            yield images.astype(np.float32)

    def rows(self, step: int) -> np.ndarray:
        """Which training pictures this step shows, int64 [n]."""
        size = self._recipe.batch_size
        if self._draws_in_epochs:
            epoch, index = divmod(step, self._steps_per_epoch)
            order = self._order(epoch if self._recipe.draw == "epochs" else 0)
            return order[index * size : (index + 1) * size]
        rng = np.random.default_rng([self._seed, _DRAW, step])
        again = self._recipe.draw == "with-replacement"
        count = self._train.num_examples
        return rng.choice(count, size if again else min(size, count), replace=again)

    @property
    def _draws_in_epochs(self) -> bool:
        return self._recipe.draw in ("epochs", "same-order")

    def _varied(self, step: int, rows: np.ndarray, shard: Shard) -> tuple[np.ndarray, float]:
        """The shard's pictures as this step shows them, and the share of each that is its own."""
        rng = np.random.default_rng([self._seed, _VARY, step])
        chosen = self._train.images[rows[shard.positions]]
        images = augment(chosen, self._recipe.augmentation, rng, shard, self._mirrored(step, rows))
        return mix(images, rng, self._recipe.mix)

    def _mirrored(self, step: int, rows: np.ndarray) -> np.ndarray | None:
        """Which of these pictures are mirrored, bool [n]: each in every second epoch; None: by chance.

        So no picture is shown from one side only for long (Jordan, 2024: "alternating flip").
        """
        if not self._draws_in_epochs:
            return None
        return self._mirrored_first[rows] ^ bool(step // self._steps_per_epoch % 2)


def for_evaluation(images) -> Iterator[np.ndarray]:
    """`images` uint8 [N, S, S, C], which may lie on disk, in parts that fit into memory for evaluation."""
    size = max(1, EVALUATION_PIXELS // images.shape[1] ** 2)
    for start in range(0, len(images), size):
        yield images[start : start + size]
