"""How sure a run is of each class, with the gradient: what `typical` climbs."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pigeonhole.art.typical import GREY, LogOdds
from pigeonhole.errors import PigeonholeError
from pigeonhole.model import metagraph
from pigeonhole.model.export import graphs
from pigeonhole.runs.run import Run

v1 = tf.compat.v1

_FAR = 1e9  # taken off a class's own logit, so that only the others are left


class ClassOdds:
    """The classes of a run, the `side` and `channels` of the pictures that it takes, and what it answers.

    Raises PigeonholeError for any other checkpoint.
    """

    def __init__(self, run: Run):
        if run.is_lone or run.is_interrupted:
            raise PigeonholeError(f"{run}: a finished run is needed, with its .meta file")
        with metagraph.restore(run.prefix) as session:
            contract = metagraph.read_contract(session)
            if contract is None:
                raise PigeonholeError(f"{run}: another program's checkpoint, which names no classes")
            self.classes = metagraph.read_classes(session)
            graph_def = graphs.inference_graph(session, ["logits"])
        self.side, self.channels = contract.preprocessing.image_size, contract.preprocessing.channels
        call = graphs.as_function(graph_def, ["logits"])
        spec = tf.TensorSpec([None, self.side, self.side, self.channels], tf.float32)
        self._logits = v1.wrap_function(lambda pixels: call(pixels)["logits"], [spec])
        self._climb = tf.function(self._log_odds, autograph=False, reduce_retracing=True)

    def of(self, classes: Sequence[int]) -> LogOdds:
        """The function that `typical.maximise` takes, for these classes."""
        indices = tf.constant(list(classes), tf.int32)

        def log_odds(pictures: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            values, gradient = self._climb(tf.constant(pictures), tf.constant(boxes), indices)
            return values.numpy(), gradient.numpy()

        return log_odds

    def _log_odds(self, pictures: tf.Tensor, boxes: tf.Tensor, classes: tf.Tensor):
        """Each class against all others together: its own logit alone grows by brightness too."""
        places = tf.range(tf.shape(pictures)[0])
        with tf.GradientTape() as tape:
            tape.watch(pictures)
            looked_at = tf.image.crop_and_resize(
                pictures, boxes, places, [self.side] * 2, extrapolation_value=GREY
            )
            logits = self._logits(looked_at)
            own = tf.one_hot(classes, len(self.classes))
            values = tf.reduce_sum(own * logits, 1) - tf.reduce_logsumexp(logits - _FAR * own, 1)
        return values, tape.gradient(values, pictures)
