"""How far a picture is from the classes in a network's penultimate layer, as far as classes differ there."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

MOST_VALUES = 20_000_000  # from which a covariance is estimated; more would only take memory


@dataclass(frozen=True)
class RelativeDistance:
    """The relative Mahalanobis distance (Ren et al., "A Simple Fix to Mahalanobis Distance for Improving
    Near-OOD Detection", 2021), in the D directions that tell the classes apart.

    Features are taken as normal around each class's mean with a common covariance, and all together as normal
    around the `centre`, float32 [F], with the classes' scatter added to that covariance. The two differ only
    in the directions of linear discriminant analysis, at most K - 1: `projection` float32 [F, D] leads there,
    to coordinates in which the covariance is 1, the classes' means are `means` float32 [K, D], and `between`
    float32 [D] is the share of all variance that lies between classes, 0..1.
    """

    centre: np.ndarray
    projection: np.ndarray
    means: np.ndarray
    between: np.ndarray

    @staticmethod
    def fit(features: np.ndarray, labels: np.ndarray) -> "RelativeDistance":
        """From `features` float32 [N, F] and `labels` int [N]; a class without pictures plays no part.

        The covariance is shrunk towards a multiple of the identity (Ledoit and Wolf, 2004), the more so
        the fewer pictures there are for its size.
        """
        from scipy.linalg import solve_triangular, svd

        _, labels, counts = np.unique(labels, return_inverse=True, return_counts=True)
        means = np.stack([features[labels == k].mean(0, np.float64) for k in range(len(counts))])
        shares = counts / counts.sum()
        centre = shares @ means
        means -= centre
        root = _covariance_root(features, labels, means + centre)
        scatter = solve_triangular(root, (np.sqrt(shares)[:, None] * means).T, lower=True)
        directions, deviations, _ = svd(scatter, full_matrices=False)
        kept = min(len(counts) - 1, len(deviations))
        projection = solve_triangular(root, directions[:, :kept], lower=True, trans=1)
        variances = deviations[:kept] ** 2
        parts = (centre, projection, means @ projection, variances / (1 + variances))
        return RelativeDistance(*(part.astype(np.float32) for part in parts))

    def advantage(self, features) -> "tf.Tensor":
        """float32 [N]: by how much the nearest class explains `features` [N, F] better than no class does.

        The logarithm of the ratio of the two densities, but for a constant: minus half the relative distance.
        """
        import tensorflow as tf

        place = tf.matmul(features - self.centre, self.projection)
        towards = tf.matmul(place, self.means.T) - (self.means**2).sum(axis=1) / 2
        anywhere = tf.reduce_sum(self.between * place**2, axis=1) / 2
        return tf.reduce_max(towards, axis=1) - anywhere


def _covariance_root(features: np.ndarray, labels: np.ndarray, means: np.ndarray) -> np.ndarray:
    """The lower Cholesky factor [F, F] of the classes' common covariance around their `means` [K, F]."""
    from scipy.linalg import cholesky
    from sklearn.covariance import ledoit_wolf

    count, size = features.shape
    rows = np.random.default_rng(0).permutation(count)[: MOST_VALUES // size]
    residuals = features[rows] - means[labels[rows]]
    covariance, _ = ledoit_wolf(residuals, assume_centered=True)
    least = 1e-6 * np.trace(covariance) / size + 1e-12  # where units are dead or pictures few
    covariance.flat[:: size + 1] += least
    return cholesky(covariance, lower=True)
