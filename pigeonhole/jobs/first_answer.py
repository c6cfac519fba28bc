"""The first answer of `--network auto`: a head on the features of a pretrained network, fitted in seconds."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pigeonhole.data import bursts, cache
from pigeonhole.data.duplicates import Pair
from pigeonhole.features import copies, frozen, head, softmax_regression, store
from pigeonhole.features.backbone import Backbone, Pretrained
from pigeonhole.features.head import Head, Options
from pigeonhole.features.store import Features
from pigeonhole.features.threads import one_thread
from pigeonhole.jobs import setup as setups
from pigeonhole.jobs.setup import Setup
from pigeonhole.networks import recipes
from pigeonhole.statistics import CorrectedAccuracy

if TYPE_CHECKING:
    import keras

LEAST_DEVIATION = 1e-3
MOST_COMPARED = 200_000  # photos among which copies are sought: each takes 2 kB of memory
MOST_MIRRORED = 5_000  # photos whose mirror images are looked at too, which takes as long again
STRONG_PENALTY = 0.5  # a head that fits its pictures closely leaves the layers before it little to learn


@dataclass(frozen=True)
class FirstAnswer:
    """What is known before any network was trained.

    `head`: with an out-of-fold answer for each of the n pictures of `sets.everything`. `kept`: what the
    pretrained network, the `backbone`, sees in these and in their mirror images, if it looked at those.
    `features`: float32 [n, D], as the head takes them. `last`: the columns of D that the pretrained network's
    own last layer takes. `groups`: int64 [n], equal for copies of one picture, which share a fold. `copies`:
    those that are known by their features alone; None: not sought.
    """

    head: Head
    kept: Features
    features: np.ndarray
    last: slice
    backbone: Backbone
    num_training: int
    groups: np.ndarray
    copies: list[Pair] | None = None

    @property
    def title(self) -> str:
        return f"{self.backbone.title} as it comes"

    @property
    def logits(self) -> np.ndarray:
        """float32 [v, K], out of fold, for the validation pictures."""
        return self.head.log_probabilities[self.num_training :]

    @property
    def without_copy(self) -> np.ndarray:
        """bool [v]: the validation pictures of which no copy is among the training pictures; all, if none is
        left."""
        found = ~np.isin(self.groups[self.num_training :], self.groups[: self.num_training])
        return found if found.any() else np.ones_like(found)

    def model(self, shape: tuple[int, int]) -> "keras.Model":
        """The network in float32 for pictures of `shape`, side and channels."""
        kernel, bias = self.head.kernel, self.head.bias
        return frozen.classifier(kernel, bias, shape, self.backbone, self.head.mirror_average)

    def answers_at_once(self, side: int, channels: int) -> bool:
        """Whether `frozen.as_onnx` makes the network for such pictures."""
        is_own = isinstance(self.backbone, Pretrained)
        return is_own and (side, channels) == (self.backbone.image_size, 3)

    def expected(self, labels: np.ndarray) -> CorrectedAccuracy:
        """What to expect of new pictures: `labels` int [n] against the answers out of fold."""
        right = self.head.log_probabilities.argmax(axis=1) == labels
        return CorrectedAccuracy(float(right.sum()), len(labels), 0.0, 1, 0, out_of_fold=True)

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
    """Compute the features that are not kept yet, and fit the head. Raises PigeonholeError as those do.

    TensorFlow is started meanwhile, which the head does without.
    """
    config, sets = setup.config, setup.sets
    backbone = setup.backbone or Pretrained(setup.image_size, setup.machine.features)
    if setup.image_size <= recipes.THUMBNAIL and backbone.takes_any_size:
        backbone = replace(backbone, image_size=recipes.enlarged_side(sets.train.num_examples))
    opened = backbone.extractor(setup.image_size, setup.machine.threads)
    try:
        with setups.tensorflow_meanwhile(config.threads):
            folder = cache.of_flags(config.cache_dir, config.no_cache)
            kept = store.of_sets(sets, opened, folder, _has_mirror_images(setup))
        last = opened.last
    finally:
        opened.close()
    groups = bursts.group_numbers(sets)
    fitted = _fitted(setup, kept, last, groups)
    return FirstAnswer(fitted, kept, _seen(kept, fitted), last, backbone, sets.train.num_examples, groups)


def with_copies_together(first: FirstAnswer, setup: Setup) -> FirstAnswer:
    """The same once it is known which pictures are mirrored, cropped or changed copies of others.

    These must share a fold, or the head has seen nearly the picture that it is judged by. So where there are
    any, the head is fitted again. Among thumbnails and very many pictures none are sought.
    """
    every = setup.sets.everything
    if setup.image_size <= recipes.THUMBNAIL or every.num_examples > MOST_COMPARED:
        return first
    group_of = dict(zip(every.names, first.groups, strict=True))
    found = copies.find(first.kept, every.images, every.label_indices).named(every.names)
    new = [(one, other) for one, other in found if group_of[one] != group_of[other]]
    if not new:
        return replace(first, copies=[])
    groups = bursts.group_numbers(setup.sets, new)
    fitted = _fitted(setup, first.kept, first.last, groups)
    return replace(first, head=fitted, features=_seen(first.kept, fitted), groups=groups, copies=new)


def _has_mirror_images(setup: Setup) -> bool:
    """Whether what is seen in mirror images is worth the time: for thumbnails it is short, and where the
    installed network looks at photos at a larger size, that gains more."""
    if setup.backbone is None and setup.image_size > setups.PRETRAINED_SIZE:
        return False
    return setup.image_size <= recipes.THUMBNAIL or setup.sets.everything.num_examples <= MOST_MIRRORED


def _fitted(setup: Setup, kept: Features, last: slice, groups: np.ndarray) -> Head:
    labels = setup.sets.everything.label_indices
    weights = None
    if setup.config.class_weights == "balanced":
        from pigeonhole.training import steps

        weights = steps.balanced_weights(labels, len(setup.sets.classes))
    return head.fit(kept.plain, kept.mirrored, labels, groups, Options(weights, setup.config.seed, last))


def _seen(kept: Features, fitted: Head) -> np.ndarray:
    """float32 [n, D], as the head takes them."""
    features = np.asarray(kept.plain)
    return (features + np.asarray(kept.mirrored)) / 2 if fitted.mirror_average else features
