"""How a training begins: one way to it for the training itself, further networks and benchmarks."""

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras

from pigeonhole.networks.averaging import SINGLE, Averaging
from pigeonhole.networks.building import build
from pigeonhole.networks.recipes import Recipe
from pigeonhole.training.trainer import Trainer

if TYPE_CHECKING:
    from pigeonhole.training.initial_weights import InitialWeights


@dataclass(frozen=True)
class Blueprint:
    """What a training begins with, apart from its data and its recipe.

    `network`: its name in the registry. `precision`, `averaging`: as in `building.build`. `seed`: of the
    weights and of everything random in the steps. `initial_weights`: None for random ones.
    """

    network: str
    seed: int
    precision: str = "float32"
    averaging: Averaging = SINGLE
    initial_weights: "InitialWeights | None" = None

    def trainer(self, recipe: Recipe, train, valid=None, workers=None) -> Trainer:
        """A trainer of a new network, the same for the same seed, on `dataset.DataSet`s.

        `workers`: a `workers.Workers` where several train together. Raises PigeonholeError where
        `initial_weights` do not fit the network.
        """
        keras.utils.set_random_seed(self.seed)
        channels, classes = train.images.shape[-1], train.class_names
        with workers.strategy.scope() if workers else contextlib.nullcontext():
            size = (train.images.shape[1], recipe.image_size)
            model = build(self.network, size, channels, len(classes), self.precision, self.averaging)
            if self.initial_weights:
                self.initial_weights.put_into(model, classes)
            return Trainer(model, train, valid, recipe, self.seed, workers)
