"""Further networks, trained as a run's own was, for what a single network cannot tell.

How good would it be with fewer pictures? What does a network say to pictures it has not seen, to a class that
it does not know? Each such question takes some more trainings on parts of the same data.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from pigeonhole.networks.building import in_float32
from pigeonhole.networks.recipes import Recipe
from pigeonhole.runs.records import Progress
from pigeonhole.training.batches import for_evaluation
from pigeonhole.training.blueprint import Blueprint


class Outputs(NamedTuple):
    """What a network says to N pictures: `logits` float32 [N, K], and its penultimate layer, [N, F]."""

    logits: np.ndarray
    features: np.ndarray


@dataclass(frozen=True)
class Retrainer:
    """Trains networks on parts of a run's data, each by the recipe that fits the part's size.

    `recipe_for`: number of training pictures -> recipe. `pictures_per_second`: the speed that the run had.
    `start_seconds`: what its first step took longer than the others, to compile it.
    """

    blueprint: Blueprint
    recipe_for: Callable[[int], Recipe]
    pictures_per_second: float
    start_seconds: float = 0.0

    @property
    def seed(self) -> int:
        return self.blueprint.seed

    def train(self, data, on_step: Callable[[Progress], None] = lambda progress: None) -> keras.Model:
        """A float32 network trained on all of `data`, a `dataset.DataSet`, to the end of its recipe.

        No picture is set apart and none chooses among states, so nothing that it is tried on is flattered.
        """
        trainer = self.blueprint.trainer(self.recipe_for(data.num_examples), data)
        trainer.learn(on_step)
        if self.blueprint.precision == "float32":
            return trainer.model
        return in_float32(trainer.model, trainer.model.get_weights())

    def seconds(self, num_pictures: int) -> float:
        """How long a training on so many pictures will take, by the run's own speed."""
        recipe = self.recipe_for(num_pictures)
        shown = recipe.length(num_pictures) / recipe.steps_per_epoch(num_pictures) * num_pictures
        return self.start_seconds + shown / self.pictures_per_second


def outputs(model: keras.Model, images) -> Outputs:
    """What `model` says to `images` uint8 [N, S, S, C], which may lie on disk."""
    both = keras.Model(model.inputs, [model.output, model.layers[-1].input])

    @tf.function(jit_compile=False, input_signature=[tf.TensorSpec(model.input.shape, tf.uint8)])
    def answer(pixels):
        return both(tf.cast(pixels, tf.float32), training=False)

    parts = zip(*(answer(part) for part in for_evaluation(images)), strict=True)
    return Outputs(*map(np.concatenate, parts))
