"""Work on many files at once in threads, and the bar that shows how far it is."""

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
from tqdm import tqdm

from pigeonhole import terminal

THREADS = 8  # that wait for files, whatever the number of cores: storage may be far away


def available_cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_parallel(
    function: Callable, tasks: Iterable, threads: int = THREADS, ahead: int | None = None
) -> Iterator:
    """`map(function, tasks)` in threads, in order, never more than `ahead` tasks ahead of the consumer.

    `ahead`: None for twice the number of threads.
    Threads, not processes: decoding, hashing and resizing leave the interpreter's lock, nothing is copied.
    """
    ahead = 2 * threads if ahead is None else ahead
    waiting: deque = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for task in tasks:
                waiting.append(pool.submit(function, task))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # after Ctrl-C nobody waits for the rest


@contextlib.contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Each file has its thread here; OpenCV's own would only get in the way."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def bar(what: str, unit: str, done: int, total: int, progress: bool | None) -> tqdm:
    """A bar on standard error with the time left. `progress` None: where that is a terminal."""
    hidden = terminal.is_silent() or (None if progress is None else not progress)
    return tqdm(initial=done, total=total, desc=what, unit=f" {unit}", disable=hidden)
