"""Multinomial logistic regression with an L2 penalty, for many penalties and subsets of the rows at once.

A cross-validation fits the same rows dozens of times. One fit after the other multiplies them by few columns
at a time and waits for memory. Fits in step multiply them by hundreds of columns, some ten times as fast.
"""

from typing import NamedTuple

import numpy as np

TOLERANCE = 1e-5  # nats per row: a fit ends when its next step promises less
MOST_STEPS = 300
MOST_HALVINGS = 20
MEMORY = 6  # steps that L-BFGS remembers
MOST_VALUES = 20_000_000  # of logits or of parameters remembered, held at a time
BLOCK = 4_096  # rows squared at a time
ENOUGH_DECREASE = 1e-4  # of what the slope promises (Armijo's rule)
ROUNDING = 1e-7  # of a float32, relative to the loss
LEAST_VARIANCE = 1e-6
TINY = 1e-20  # a product that only rounding has made


class Regressions(NamedTuple):
    """P fitted regressions: kernel float32 [d, K, P] and bias float32 [K, P].

    The bias of a class of which a regression saw no row is minus infinity.
    """

    kernel: np.ndarray
    bias: np.ndarray

    def log_probabilities(self, rows: np.ndarray) -> np.ndarray:
        """float32 [m, K, P] for rows float32 [m, d]."""
        width, *shape = self.kernel.shape
        logits = rows @ self.kernel.reshape(width, self.bias.size) + self.bias.reshape(-1)
        logits = logits.reshape(len(rows), *shape)
        logits -= logits.max(axis=1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def fit(
    rows: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    penalties: np.ndarray,
    tolerance: float = TOLERANCE,
) -> Regressions:
    """Fit P regressions, each with its own weights of the rows and its own penalty.

    Each minimises the weighted mean of the rows' log-loss (nats) plus penalty / 2 times the sum of squares of
    the kernel. The bias has no penalty.

    rows       float32 [n, d]; the fit is fastest where their columns are uncorrelated, as principal axes are
    labels     int [n], 0..K-1
    weights    float32 [n, P], not negative; 0 leaves the row out. Each column must have a weight above 0
    penalties  float [P], above 0
    """
    classes = int(labels.max()) + 1
    values = classes * max(len(rows), 2 * MEMORY * rows.shape[1])
    step = max(1, MOST_VALUES // values)
    parts = []
    for start in range(0, len(penalties), step):
        chosen = slice(start, start + step)
        descent = _Descent(rows, labels, weights[:, chosen], np.asarray(penalties)[chosen])
        parts.append(descent.run(tolerance))
    parameters = np.concatenate(parts, axis=-1)
    return Regressions(np.ascontiguousarray(parameters[:-1]), parameters[-1])


class _Descent:
    """L-BFGS for P problems in step (Liu and Nocedal, 1989). The last axis of all arrays is the problem.

    The parameters are float32 [d + 1, K, P], the bias last. The first guess of the inverse Hessian is its
    diagonal where the answers are the class shares. Logits are linear in the parameters, so that a shorter
    step costs no product of matrices. Problems that have converged leave.
    """

    def __init__(self, rows: np.ndarray, labels: np.ndarray, weights: np.ndarray, penalties: np.ndarray):
        self._rows, self._labels = rows, labels
        self._weights = (weights / weights.sum(axis=0, dtype=np.float64)).astype(np.float32)
        self._penalties = penalties.astype(np.float32)
        width, classes = rows.shape[1], int(labels.max()) + 1
        shares = np.stack([self._weights[labels == number].sum(axis=0) for number in range(classes)])
        self._parameters = np.zeros((width + 1, classes, len(penalties)), np.float32)
        with np.errstate(divide="ignore"):  # a class without a row
            self._parameters[-1] = np.log(shares)
        self._inverse = self._diagonal(shares * (1 - shares))
        # The step, the gradient's change, 1 / their product, the scale of the inverse Hessian.
        self._history: list[tuple[np.ndarray, ...]] = []

    def _diagonal(self, variances: np.ndarray) -> np.ndarray:
        """One over the diagonal of the Hessian, where the answers have these variances [K, P]."""
        blocks = (slice(start, start + BLOCK) for start in range(0, len(self._rows), BLOCK))
        moments = sum((self._rows[block] ** 2).T @ self._weights[block] for block in blocks)
        second_moments = np.concatenate([moments, np.ones_like(variances[:1])])
        hessian = second_moments[:, None, :] * np.maximum(variances, LEAST_VARIANCE)
        hessian[:-1] += self._penalties
        return 1 / hessian

    def run(self, tolerance: float) -> np.ndarray:
        """The fitted parameters."""
        fitted = self._parameters.copy()
        active = np.arange(fitted.shape[-1])
        logits = self._logits(self._parameters)
        loss, residual = self._loss(logits)
        loss += self._penalty(self._parameters, self._parameters) / 2
        gradient = self._gradient(residual, self._parameters)
        falls = np.ones(len(active), bool)
        for _ in range(MOST_STEPS):
            direction = -self._newton(gradient)
            slope = _dot(gradient, direction)
            going = falls & (-slope > tolerance)
            fitted[..., active] = self._parameters
            if not going.all():
                active, slope, loss = active[going], slope[going], loss[going]
                direction, gradient, logits = direction[..., going], gradient[..., going], logits[..., going]
                self._keep(going)
            if not len(active):
                break
            step, logits, loss, residual = self._search(direction, slope, logits, loss)
            falls = step > 0
            taken = step * direction
            self._parameters = self._parameters + taken
            change, gradient = gradient, self._gradient(residual, self._parameters)
            self._remember(taken, gradient - change)
        fitted[..., active] = self._parameters
        return fitted

    def _search(self, direction: np.ndarray, slope: np.ndarray, logits: np.ndarray, loss: np.ndarray):
        """Halve the step of 1 where the loss does not fall: steps [P], and logits, loss and residual there.

        The step is 0 where rounding hides what is left to gain.
        """
        moved = self._logits(direction)
        linear, square = self._penalty(self._parameters, direction), self._penalty(direction, direction)
        at_start = self._penalty(self._parameters, self._parameters)
        step = np.ones(len(loss), np.float32)
        for halving in range(MOST_HALVINGS + 2):
            reached = logits + step * moved
            new, residual = self._loss(reached)
            new += (at_start + 2 * step * linear + step**2 * square) / 2
            too_long = new > loss + ENOUGH_DECREASE * step * slope + ROUNDING * np.abs(loss)
            if not too_long.any():
                break
            step = np.where(too_long, step / 2 if halving < MOST_HALVINGS else 0, step)
        return step, reached, new, residual

    def _loss(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The weighted mean log-loss float64 [P], and its derivative by the logits float32 [n, K, P]."""
        every = np.arange(len(logits))
        shifted = logits - logits.max(axis=1, keepdims=True)
        own = shifted[every, self._labels]
        np.exp(shifted, out=shifted)
        totals = shifted.sum(axis=1)
        surprise = np.where(self._weights > 0, np.log(totals) - own, 0)  # an unseen class is infinitely so
        shifted /= totals[:, None]
        shifted[every, self._labels] -= 1
        shifted *= self._weights[:, None]
        return np.einsum("np,np->p", self._weights, surprise, dtype=np.float64), shifted

    def _logits(self, parameters: np.ndarray) -> np.ndarray:
        flat = parameters.reshape(len(parameters), -1)
        return (self._rows @ flat[:-1] + flat[-1]).reshape(len(self._rows), *parameters.shape[1:])

    def _gradient(self, residual: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        gradient = np.empty_like(parameters)
        flat = residual.reshape(len(residual), -1)
        gradient[:-1] = (self._rows.T @ flat).reshape(gradient[:-1].shape)
        gradient[:-1] += self._penalties * parameters[:-1]
        gradient[-1] = residual.sum(axis=0)
        return gradient

    def _penalty(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return self._penalties * _dot(one[:-1], other[:-1])

    def _newton(self, gradient: np.ndarray) -> np.ndarray:
        """The inverse Hessian, as far as it is known, times the gradient."""
        found, factors = gradient.copy(), []
        for step, change, inverse, _ in reversed(self._history):
            factors.append((_dot(step, found) * inverse).astype(np.float32))
            found -= factors[-1] * change
        found *= self._inverse
        if self._history:
            found *= self._history[-1][-1].astype(np.float32)
        for (step, change, inverse, _), factor in zip(self._history, reversed(factors), strict=True):
            found += (factor - (_dot(change, found) * inverse).astype(np.float32)) * step
        return found

    def _remember(self, step: np.ndarray, change: np.ndarray) -> None:
        product, curvature = _dot(step, change), _dot(change, self._inverse * change)
        tells = product > TINY
        inverse = np.where(tells, 1 / np.where(tells, product, 1), 0)
        scale = np.where(tells, product / np.where(tells, curvature, 1), 1)
        self._history = [*self._history, (step, change, inverse, scale)][-MEMORY:]

    def _keep(self, going: np.ndarray) -> None:
        """Go on with these problems alone."""
        self._parameters, self._inverse = self._parameters[..., going], self._inverse[..., going]
        self._weights, self._penalties = self._weights[:, going], self._penalties[going]
        self._history = [tuple(each[..., going] for each in entry) for entry in self._history]


def _dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The inner products float64 [P] of arrays [d, K, P]."""
    return np.einsum("dkp,dkp->p", one, other).astype(np.float64)
