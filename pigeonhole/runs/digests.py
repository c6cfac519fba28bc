"""Whether two trainings had the same outcome, to the last bit: by digests that a run's result holds."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from pigeonhole.errors import PigeonholeError
from pigeonhole.runs.records import Validation
from pigeonhole.runs.run import Run

KEY = "outcome"


def digests(
    weights: Iterable[np.ndarray], validations: Sequence[Validation], probabilities: np.ndarray
) -> dict[str, str]:
    """sha256, hexadecimal, of the saved weights, of every validation but for the time that it took, and of
    the saved network's probabilities, float32 [n, K], for the validation pictures."""
    history = [
        (
            validation.step,
            validation.learning_rate.hex(),
            *_figures(validation.train),
            *_figures(validation.valid),
        )
        for validation in validations
    ]
    return {
        "weights": _digest(weights),
        "history": hashlib.sha256(repr(history).encode()).hexdigest(),
        "predictions": _digest([probabilities]),
    }


def read(run: Run) -> dict[str, str]:
    """The digests of a run that has ended. Raises PigeonholeError where it has none."""
    try:
        return dict(run.result()[KEY])
    except (PigeonholeError, ValueError, KeyError, TypeError) as error:
        raise PigeonholeError(f"{run}: has no record of its outcome, so it cannot be repeated") from error


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Which of weights, history and predictions are not the same."""
    return [name for name, digest in one.items() if other.get(name) != digest]


def _figures(score) -> tuple[int, int, str]:
    return score.right, score.total, float(score.loss).hex()


def _digest(arrays: Iterable[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
