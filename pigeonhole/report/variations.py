"""What a training made of its pictures, to look at."""

from typing import NamedTuple

import numpy as np

from pigeonhole.data.augment import augment
from pigeonhole.data.augmentation import NONE, Augmentation

COUNT = 9
SEED = 0


class Variations(NamedTuple):
    """`how`: in words; `pictures`: uint8 [9, s, s, C], empty where pictures were taken as they are."""

    how: str
    pictures: np.ndarray


def of(image: np.ndarray, augmentation: Augmentation, network: str) -> Variations:
    """How a training of `network` by that augmentation varied the picture uint8 [S, S, C]."""
    copies = np.repeat(image[None], COUNT, axis=0)
    if augmentation.in_network:
        from pigeonhole.networks import building, distortion

        model = building.build(network, image.shape[0], image.shape[2], num_classes=2)
        how = f"{augmentation.describe()}: {distortion.distort_of(model).describe()}"
        return Variations(how, distortion.varied(model, copies, SEED))
    if augmentation == NONE:
        return Variations(augmentation.describe(), copies[:0])
    return Variations(augmentation.describe(), augment(copies, augmentation, np.random.default_rng(SEED)))
