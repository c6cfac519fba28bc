"""The first answer of `--network auto`: a head on the features of a pretrained network, fitted in seconds."""

from dataclasses import dataclass

import keras
import numpy as np

from pigeonhole.data import cache
from pigeonhole.evaluation.studies import audit
from pigeonhole.features import extractor, frozen, head, softmax_regression, store
from pigeonhole.features.head import Head, Options
from pigeonhole.features.store import Features
from pigeonhole.features.threads import one_thread
from pigeonhole.jobs.setup import PRETRAINED_SIZE, Setup
from pigeonhole.networks import recipes
from pigeonhole.statistics import CorrectedAccuracy
from pigeonhole.training import steps

TITLE = "the pretrained network as it comes"
LEAST_DEVIATION = 1e-3
STRONG_PENALTY = 0.5  # a head that fits its pictures closely leaves the layers before it little to learn


@dataclass(frozen=True)
class FirstAnswer:
    """What is known before any network was trained.

    `head`: with an out-of-fold answer for each of the n pictures of `sets.everything`. `kept`: what the
    pretrained network sees in these and in their mirror images. `features`: float32 [n, D], as the head takes
    them. `last`: the columns of D that the pretrained network's own last layer takes. `image_size`: at which
    it looks at pictures.
    """

    head: Head
    kept: Features
    features: np.ndarray
    last: slice
    image_size: int
    num_training: int

    @property
    def logits(self) -> np.ndarray:
        """float32 [v, K], out of fold, for the validation pictures."""
        return self.head.log_probabilities[self.num_training :]

    def model(self, shape: tuple[int, int]) -> keras.Model:
        """The network in float32 for pictures of `shape`, side and channels."""
        kernel, bias = self.head.kernel, self.head.bias
        return frozen.classifier(kernel, bias, shape, self.image_size, self.head.mirror_average)

    def expected(self, labels: np.ndarray) -> CorrectedAccuracy:
        """What to expect of new pictures: `labels` int [n] against the answers out of fold."""
        right = self.head.log_probabilities.argmax(axis=1) == labels
        return CorrectedAccuracy(float(right.sum()), len(labels), 0.0, 1, 0)

    def start_of_last_layer(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Kernel [D, K] and bias [K] for the pretrained network's last layer: a strongly regularised head on
        its features alone, fitted to the training pictures, `labels` int [n] of all."""
        features = self.features[: self.num_training, self.last]
        mean, deviation = features.mean(axis=0), features.std(axis=0) + LEAST_DEVIATION
        weights = np.ones((len(features), 1), np.float32)
        rows, penalties = (features - mean) / deviation, np.array([STRONG_PENALTY])
        with one_thread():
            fitted = softmax_regression.fit(rows, labels[: self.num_training], weights, penalties)
        kernel = fitted.kernel[..., 0] / deviation[:, None]
        return kernel, fitted.bias[:, 0] - mean @ kernel


def fit(setup: Setup) -> FirstAnswer:
    """Compute the features that are not kept yet, and fit the head. Raises PigeonholeError as those do."""
    config, sets = setup.config, setup.sets
    size = PRETRAINED_SIZE
    if setup.image_size != PRETRAINED_SIZE:
        size = recipes.enlarged_side(sets.train.num_examples)
    opened = extractor.open_pretrained(size, setup.machine.threads)
    try:
        kept = store.of_sets(sets, opened, cache.of_flags(config.cache_dir, config.no_cache))
        last = opened.last
    finally:
        opened.close()
    labels = sets.everything.label_indices
    weights = None
    if config.class_weights == "balanced":
        weights = steps.balanced_weights(labels, len(sets.classes))
    fitted = head.fit(
        kept.plain, kept.mirrored, labels, audit.group_numbers(sets), Options(weights, config.seed, last)
    )
    features = np.asarray(kept.plain)
    if fitted.mirror_average:
        features = (features + np.asarray(kept.mirrored)) / 2
    return FirstAnswer(fitted, kept, features, last, size, sets.train.num_examples)
