"""Changing a picture so that a loss falls, one step after the other: Adam and L-BFGS as generators."""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from pigeonhole.features.threads import one_thread


class Evaluated(NamedTuple):
    """What a function says of a picture: its loss, the gradient in the picture's shape, and the parts of the
    loss, as the caller wants them back."""

    loss: float
    gradient: np.ndarray
    parts: tuple[float, ...]


class Point(NamedTuple):
    """A picture float32 [1, H, W, 3] after `number` steps, and what was said of it."""

    number: int
    picture: np.ndarray
    parts: tuple[float, ...]


Function = Callable[[np.ndarray], Evaluated]


class Adam(NamedTuple):
    """Adam (Kingma and Ba, 2015). The rate falls evenly from `rate` to `last_rate` times that."""

    rate: float
    last_rate: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    clipped: bool = False

    def points(self, function: Function, start: np.ndarray, steps: int) -> Iterator[Point]:
        """The start, and the picture after each step; each is judged once, before the next step."""
        picture = start.astype(np.float32)
        mean, square = np.zeros_like(picture), np.zeros_like(picture)
        for number in range(steps + 1):
            found = function(picture)
            yield Point(number, picture, found.parts)
            if number == steps:
                return
            mean = self.beta1 * mean + (1 - self.beta1) * found.gradient
            square = self.beta2 * square + (1 - self.beta2) * np.square(found.gradient)
            corrected = mean / (1 - self.beta1 ** (number + 1))
            spread = np.sqrt(square / (1 - self.beta2 ** (number + 1))) + self.epsilon
            rate = self.rate * (1 + (self.last_rate - 1) * number / steps)
            picture = (picture - rate * corrected / spread).astype(np.float32)
            if self.clipped:
                picture = np.clip(picture, 0, 255)


class LBFGS(NamedTuple):
    """L-BFGS with bounds (Byrd et al., 1995), by SciPy; a step may ask the function more than once.

    `memory`: how many steps its picture of the curvature is made from.
    """

    memory: int = 10
    clipped: bool = False

    def points(self, function: Function, start: np.ndarray, steps: int) -> Iterator[Point]:
        """As `Adam.points`. It ends early where no step lowers the loss any more.

        SciPy calls back and gives nothing until its end, so that it runs in a thread that waits at each step
        until the next one is asked for.
        """
        found: queue.Queue = queue.Queue()
        wanted = threading.Semaphore(0)
        ended = threading.Event()
        first = function(start.astype(np.float32))
        yield Point(0, start.astype(np.float32), first.parts)

        def minimise() -> None:
            try:
                self._minimise(function, start, steps, (found, wanted, ended))
            except Exception as error:  # raised where the points are asked for
                found.put(error)
            else:
                found.put(None)

        thread = threading.Thread(target=minimise, name="l-bfgs", daemon=True)
        thread.start()
        try:
            while (point := found.get()) is not None:
                if isinstance(point, Exception):
                    raise point
                yield point
                wanted.release()
        finally:
            ended.set()
            wanted.release()
            thread.join()

    def _minimise(self, function: Function, start: np.ndarray, steps: int, signals: tuple) -> None:
        from scipy import optimize

        found, wanted, ended = signals
        known: dict[bytes, tuple[float, ...]] = {}
        number = 0

        def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
            if ended.is_set():
                raise StopIteration
            picture = flat.reshape(start.shape).astype(np.float32)
            answer = function(picture)
            known.clear()
            known[flat.tobytes()] = answer.parts
            return answer.loss, answer.gradient.ravel().astype(np.float64)

        def after_step(flat: np.ndarray) -> None:
            nonlocal number
            number += 1
            picture = flat.reshape(start.shape).astype(np.float32)
            parts = known.get(flat.tobytes()) or function(picture).parts
            found.put(Point(number, picture, parts))
            wanted.acquire()
            if ended.is_set():
                raise StopIteration

        bounds = optimize.Bounds(0, 255) if self.clipped else None
        options = {"maxiter": steps, "maxfun": 20 * steps + 20, "maxcor": self.memory, "ftol": 0, "gtol": 0}
        flat = start.ravel().astype(np.float64)
        with one_thread():
            optimize.minimize(
                value, flat, jac=True, method="L-BFGS-B", bounds=bounds, callback=after_step, options=options
            )
