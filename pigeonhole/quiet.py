"""TensorFlow with its fast kernels, and without the lines that it writes to the terminal at every start."""

import contextlib
import gc
import os
import platform
import sys
import threading
from collections.abc import Iterator
from typing import TextIO

from pigeonhole import extras


def import_tensorflow() -> None:
    """Import TensorFlow once, quietly; a later `import tensorflow` anywhere finds it there.

    Its native side greets on file descriptor 2 before it reads TF_CPP_MIN_LOG_LEVEL, so the descriptor itself
    is turned away during the import. A failing import still raises; what is set in the environment stays.

    TensorFlow switches oneDNN's kernels on by itself only for processors with instructions made for neural
    networks. On those with AVX2 alone they double the speed of training too.

    Keras' wrappers for scikit-learn and its galleries work only where those packages were imported before.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if platform.machine().lower() in ("x86_64", "amd64"):
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    if sys.modules.get("tensorflow"):
        return
    extras.require("this", "tensorflow", "keras")
    with native_errors_discarded(), _garbage_left(), _Without("sklearn", "matplotlib"):
        import tensorflow as tf
    tf.get_logger().setLevel("ERROR")


@contextlib.contextmanager
def native_errors_discarded() -> Iterator[None]:
    """Turn away what native code writes to file descriptor 2 within this block.

    Other threads may write to `sys.stderr` meanwhile, such as a bar: it leads to the terminal all the same.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    before = sys.stderr
    try:
        if _is_descriptor_2(before):
            # Never closed: a bar that was begun here goes on behind the block.
            sys.stderr = os.fdopen(os.dup(2), "w", 1, before.encoding, before.errors)
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(terminal, 2)
        sys.stderr = before
        os.close(nowhere)
        os.close(terminal)


def _is_descriptor_2(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 2
    except (OSError, AttributeError, ValueError):  # a notebook's or a test's is none
        return False


@contextlib.contextmanager
def _garbage_left() -> Iterator[None]:
    """Look for no garbage within this block, nor ever among what it has made.

    An import makes a million objects and throws few away. To look through them took a sixth of its time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


class _Without(contextlib.AbstractContextManager):
    """Within this block, packages that are not loaded yet cannot be imported by this thread.

    Keras imports scikit-learn and Matplotlib where they are installed, for wrappers and galleries that are
    not used here: a third of the time that TensorFlow takes. It does without where they are missing.
    """

    def __init__(self, *packages: str):
        self._packages = packages
        self._thread = threading.get_ident()

    def __enter__(self) -> None:
        sys.meta_path.insert(0, self)

    def __exit__(self, *caught) -> None:
        sys.meta_path.remove(self)

    def find_spec(self, name: str, path=None, target=None) -> None:
        """Raise ModuleNotFoundError for these packages in this thread; leave all others to other finders."""
        if name in self._packages and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
