"""Which pictures of a global batch each part of the hardware computes on."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Shard:
    """The pictures at `positions` (int64 [n], ascending) of a batch of `total` pictures; maybe none."""

    positions: np.ndarray
    total: int


def shard(total: int, part: int, parts: int) -> Shard:
    """What part number `part` of `parts` computes on. Every position belongs to one part.

    A position and its mirror image in the batch stay together, so that a shard's own reversal pairs the same
    pictures as the complete batch's (`augment.mix`).
    """
    positions = np.arange(total)
    nearer_end = np.minimum(positions, total - 1 - positions)
    return Shard(positions[nearer_end % parts == part], total)


def all_rows(total: int) -> Shard:
    """All of a batch."""
    return Shard(np.arange(total), total)
