"""One thread for small matrices: several wait for each other, on a loaded machine up to 30 times as long."""

import contextlib
import importlib
from collections.abc import Iterator


@contextlib.contextmanager
def one_thread(*libraries: str) -> Iterator[None]:
    """Keep BLAS and OpenMP to one thread. Sums then have the same order, and results the same bits.

    The limit holds for what is loaded. `libraries`: modules that bring further threads, loaded first.
    """
    from threadpoolctl import threadpool_limits

    for library in ("scipy.linalg", *libraries):  # SciPy's BLAS is not NumPy's
        importlib.import_module(library)
    with threadpool_limits(1):
        yield
