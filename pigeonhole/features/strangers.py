"""Is a picture like none of the classes? By its distance to training pictures, in features.

That is another question than which of two classes it shows: a stranger may get a high probability.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pigeonhole.features import axes
from pigeonhole.features.neighbours import Rows, unit
from pigeonhole.features.threads import one_thread
from pigeonhole.model.rejection import Rejection, conformal_threshold
from pigeonhole.model.relative_distance import RelativeDistance

if TYPE_CHECKING:
    import tensorflow as tf

RULE = "nearness and relative distance"
SHARE = 0.01  # of the pictures of known classes that may be called strangers
FEWEST = 19  # pictures; of fewer none can be called a stranger with less than 5 % of the known ones
MOST_EXEMPLARS = 1000
MOST_PICTURES = 5000  # that the distances are fitted to
MOST_AXES = 200
PICTURES_PER_AXIS = 3
NEAREST = 3  # exemplars
LEAST_SPREAD = 1e-6
MOST_RELATIVE = 2.0  # deviations by which the relative distance counts, so that it cannot outweigh nearness


class Strangers(NamedTuple):
    """How certain a picture is to show one of K known classes, from D features. Float32, but for the limit.

    The certainty is the sum of two figures, each 0 for the usual picture of a known class and -1 one standard
    deviation below. The first tells far strangers: the mean cosine with the three nearest `exemplars`. The
    second tells near ones: the relative Mahalanobis distance (Ren et al., "A Simple Fix to Mahalanobis
    Distance for Improving Near-OOD Detection", 2021), held between -2 and 2.

    last               the averaged last layer's features, L of them
    centre, exemplars  [L] and [E, L]: training pictures' last layer minus its mean, then of length one
    kernel, bias       [D, C] and [C]: features @ kernel + bias are the coordinates in which classes differ
    means, between     [K, C] and [C]: the classes' means there; the share of variance between classes, 0..1
    usual, spread      [2] and [2]: of the two figures, out of fold
    limit              a picture with a lower certainty is a stranger; minus infinity: none is
    share              of the pictures of known classes that are below the limit, at most, in expectation
    known              [m]: the certainties of training pictures, out of fold
    rows               int64 [m]: which of the pictures that it was fitted to those are
    """

    last: slice
    centre: np.ndarray
    exemplars: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray
    means: np.ndarray
    between: np.ndarray
    usual: np.ndarray
    spread: np.ndarray
    limit: float
    share: float
    known: np.ndarray
    rows: np.ndarray

    def certainty(self, features: np.ndarray) -> np.ndarray:
        """float32 [n] for features float [n, D]."""
        features = np.asarray(features, np.float32)
        near = _nearness(unit(features[:, self.last] - self.centre) @ self.exemplars.T)
        place = features @ self.kernel + self.bias
        return _certainty(
            np.stack([near, _advantage(place, self.means, self.between)]), self.usual, self.spread
        )

    def are_strangers(self, features: np.ndarray) -> np.ndarray:
        """bool [n] for features float [n, D]."""
        return self.certainty(features) < self.limit

    def own_strangers(self, features: np.ndarray) -> np.ndarray:
        """bool [n] for the features [n, D] that it was fitted to, by certainties out of fold."""
        found = self.are_strangers(features)
        found[self.rows] = self.known < self.limit
        return found


def fit(features: Rows, labels: np.ndarray, folds: np.ndarray, last: slice) -> Strangers:
    """From training pictures' features [n, D], labels int [n] and folds int [n], which copies share.

    The limit comes from certainties that were computed without the picture's own fold: 1 of 100 training
    pictures is below it. With n under 99 pictures it is the lowest certainty, which a new picture of a known
    class is below in 1 of n + 1; under `FEWEST` there is no limit, and nothing is a stranger.

    Of more than `MOST_PICTURES` a random part is used. Takes a second or two.
    """
    rows = np.sort(np.random.default_rng(0).permutation(len(labels))[:MOST_PICTURES])
    features, labels, folds = np.asarray(features[rows], np.float32), labels[rows], folds[rows]
    centre = features[:, last].mean(axis=0)
    directions = unit(features[:, last] - centre)
    order = np.random.default_rng(1).permutation(len(labels))
    with one_thread():
        found = axes.leading(features, max(2, min(MOST_AXES, len(labels) // PICTURES_PER_AXIS)))
        coordinates = found.coordinates(features)
        figures = np.empty((2, len(labels)), np.float32)
        for fold in np.unique(folds):
            inside, others = folds == fold, order[folds[order] != fold][:MOST_EXEMPLARS]
            figures[0, inside] = _nearness(directions[inside] @ directions[others].T)
            distance = RelativeDistance.fit(coordinates[~inside], labels[~inside])
            figures[1, inside] = _relative(distance, coordinates[inside])
        distance = RelativeDistance.fit(coordinates, labels)
    usual, spread = _scales(figures)
    known = _certainty(figures, usual, spread)
    share = max(SHARE, 1 / (len(labels) + 1))
    limit = conformal_threshold(known, share) if len(labels) >= FEWEST else -np.inf
    kernel = found.directions @ distance.projection
    bias = -(found.mean @ kernel + distance.centre @ distance.projection)
    place = kernel, bias, distance.means, distance.between
    exemplars = directions[order[:MOST_EXEMPLARS]]
    return Strangers(last, centre, exemplars, *place, usual, spread, limit, share, known, rows)


@dataclass(frozen=True)
class InGraph:
    """The same certainty in TensorFlow, as a `rejection.Measure`; the logits play no part."""

    strangers: Strangers

    def certainty(self, logits, features) -> "tf.Tensor":
        import tensorflow as tf

        known = self.strangers
        directions = tf.math.l2_normalize(features[:, known.last] - known.centre, axis=1)
        count = min(NEAREST, len(known.exemplars))
        cosines = tf.math.top_k(tf.matmul(directions, known.exemplars.T), count).values
        near = (tf.reduce_mean(cosines, axis=1) - known.usual[0]) / known.spread[0]
        place = tf.matmul(features, known.kernel) + known.bias
        towards = tf.matmul(place, known.means.T) - (known.means**2).sum(axis=1) / 2
        anywhere = tf.reduce_sum(known.between * place**2, axis=1) / 2
        relative = (tf.reduce_max(towards, axis=1) - anywhere - known.usual[1]) / known.spread[1]
        return near + tf.clip_by_value(relative, -MOST_RELATIVE, MOST_RELATIVE)


# And in ONNX, from `features` float32 [N, D], by what `onnx_constants` gives.
ONNX = """
    last_layer = Slice (features, last_start, last_end, axis_1)
    centred = Sub (last_layer, centre)
    squared = Mul (centred, centred)
    square = ReduceSum <keepdims = 1> (squared, axis_1)
    square_above_0 = Max (square, tiny)
    length = Sqrt (square_above_0)
    direction = Div (centred, length)
    cosines = MatMul (direction, exemplars)
    nearest, nearest_rows = TopK (cosines, nearest_count)
    nearness = ReduceMean <axes = [1], keepdims = 0> (nearest)
    nearness_off = Sub (nearness, usual_nearness)
    near = Div (nearness_off, nearness_spread)
    place_product = MatMul (features, place_kernel)
    place = Add (place_product, place_bias)
    place_by_class = MatMul (place, class_means)
    towards_each = Sub (place_by_class, class_halves)
    towards = ReduceMax <axes = [1], keepdims = 0> (towards_each)
    place_squared = Mul (place, place)
    anywhere = MatMul (place_squared, half_between)
    advantage = Sub (towards, anywhere)
    advantage_off = Sub (advantage, usual_advantage)
    relative = Div (advantage_off, advantage_spread)
    held = Clip (relative, least_relative, most_relative)
    certainty = Add (near, held)
    unsure = Less (certainty, certainty_limit)
"""
TINY = 1e-12  # as TensorFlow has it where a length is 0


def onnx_constants(strangers: Strangers) -> dict[str, np.ndarray]:
    """What `ONNX` computes with, by name."""
    count = min(NEAREST, len(strangers.exemplars))
    numbers = {
        "tiny": TINY,
        "usual_nearness": strangers.usual[0],
        "nearness_spread": strangers.spread[0],
        "usual_advantage": strangers.usual[1],
        "advantage_spread": strangers.spread[1],
        "least_relative": -MOST_RELATIVE,
        "most_relative": MOST_RELATIVE,
        "certainty_limit": strangers.limit,
    }
    return {
        **{name: np.float32(value) for name, value in numbers.items()},
        "last_start": np.array([strangers.last.start]),
        "last_end": np.array([strangers.last.stop]),
        "axis_1": np.array([1]),
        "nearest_count": np.array([count]),
        "centre": strangers.centre,
        "exemplars": np.ascontiguousarray(strangers.exemplars.T),
        "place_kernel": strangers.kernel,
        "place_bias": strangers.bias,
        "class_means": np.ascontiguousarray(strangers.means.T),
        "class_halves": (strangers.means**2).sum(axis=1) / 2,
        "half_between": strangers.between / 2,
    }


def as_rejection(strangers: Strangers, width: int) -> Rejection:
    """For the saved model: `unsure:0` where a picture is a stranger.

    `width`: of the model's penultimate layer, whose first D outputs are the features.
    """
    more = width - len(strangers.kernel)
    strangers = strangers._replace(kernel=np.pad(strangers.kernel, ((0, more), (0, 0))))
    return Rejection(RULE, strangers.limit, strangers.share, InGraph(strangers))


def _scales(figures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and standard deviation, float32 [2] each, of figures [2, n]; by the lower decile, as the lower
    half alone matters."""
    usual, low = np.quantile(figures, (0.5, 0.1), axis=1)
    deviation = (usual - low) / NormalDist().inv_cdf(0.9)
    return usual.astype(np.float32), np.maximum(deviation, LEAST_SPREAD).astype(np.float32)


def _nearness(cosines: np.ndarray) -> np.ndarray:
    """The mean of the highest `NEAREST` of each row [n, E]."""
    count = min(NEAREST, cosines.shape[1])
    return np.partition(cosines, -count, axis=1)[:, -count:].mean(axis=1)


def _relative(distance: RelativeDistance, coordinates: np.ndarray) -> np.ndarray:
    place = (coordinates - distance.centre) @ distance.projection
    return _advantage(place, distance.means, distance.between)


def _advantage(place: np.ndarray, means: np.ndarray, between: np.ndarray) -> np.ndarray:
    """`RelativeDistance.advantage` of pictures at these places [n, C], without TensorFlow."""
    towards = place @ means.T - (means**2).sum(axis=1) / 2
    return towards.max(axis=1) - (place**2 @ between) / 2


def _certainty(figures: np.ndarray, usual: np.ndarray, spread: np.ndarray) -> np.ndarray:
    near, relative = (figures - usual[:, None]) / spread[:, None]
    return near + np.clip(relative, -MOST_RELATIVE, MOST_RELATIVE)
