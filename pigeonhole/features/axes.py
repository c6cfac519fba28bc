"""The leading principal axes of scaled features: fewer numbers, uncorrelated, that tell nearly all."""

from typing import NamedTuple

import numpy as np

CONSTANT = 1e-6  # a feature that spreads less, relative to its mean, is rounding alone
DOUBT = 10  # pictures' worth of doubt about each deviation
LEAST_VARIANCE = 1e-5  # of an axis, relative to the first one's; below, float32 holds nothing but rounding


class Axes(NamedTuple):
    """`mean` float32 [D] and `directions` float32 [D, d], which include the scale of the features.

    A penalty on a kernel for the coordinates is the same penalty on the kernel for the scaled features.
    """

    mean: np.ndarray
    directions: np.ndarray

    def coordinates(self, features: np.ndarray) -> np.ndarray:
        """float32 [n, d] of features float32 [n, D]."""
        return (features - self.mean) @ self.directions

    def unfold(self, kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Kernel [d, K] and bias [K] for coordinates as kernel [D, K] and bias [K] for features, float32."""
        unfolded = self.directions.astype(np.float64) @ kernel
        shifted = bias - self.mean.astype(np.float64) @ unfolded
        return unfolded.astype(np.float32), shifted.astype(np.float32)


def leading(features: np.ndarray, most: int, exponent: float = 1) -> Axes:
    """At most `most` axes, those of the largest variance, of features float32 [n, D].

    Each feature is divided by its standard deviation to the power of `exponent`, 1 to standardise it, 0 to
    leave it, and all by what remains of a typical deviation. Where all axes with any variance are among those
    kept, nothing is lost. Constant features count for nothing.

    Few pictures tell little of a deviation. One that happens to be almost 0 would blow up the feature of a
    later picture, so `DOUBT` pictures of a typical deviation are counted to each feature.
    """
    from scipy.linalg import eigh

    mean = features.mean(axis=0, dtype=np.float64).astype(np.float32)
    standard = features - mean
    variance = np.einsum("nd,nd->d", standard, standard) / len(features)
    varies = variance > (CONSTANT * mean) ** 2
    typical = np.median(variance[varies]) if varies.any() else 1.0
    variance = (len(features) * variance + DOUBT * typical) / (len(features) + DOUBT)
    scale = (variance / typical) ** (-exponent / 2) / np.sqrt(typical) * varies
    standard *= scale.astype(np.float32)
    # The smaller of the two matrices of products has the same variances, and gives the same axes.
    by_picture = len(features) < features.shape[1]
    products = standard @ standard.T if by_picture else standard.T @ standard
    # Divide and conquer finds all in a quarter of the time that the usual way takes for four fifths of them.
    variances, vectors = eigh(products, driver="evd", overwrite_a=True, check_finite=False)
    variances, vectors = variances[-most:], vectors[:, -most:]
    kept = variances > max(variances[-1] * LEAST_VARIANCE, 0)
    vectors = vectors[:, kept][:, ::-1]
    if by_picture:
        vectors = standard.T @ (vectors / np.sqrt(variances[kept][::-1]))
    return Axes(mean, np.ascontiguousarray(scale[:, None] * vectors, dtype=np.float32))
