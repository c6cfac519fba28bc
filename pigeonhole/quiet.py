"""TensorFlow with its fast kernels, and without the lines that it writes to the terminal at every start."""

import contextlib
import os
import platform
import sys
from collections.abc import Iterator

from pigeonhole import extras


def import_tensorflow() -> None:
    """Import TensorFlow once, quietly; a later `import tensorflow` anywhere finds it there.

    Its native side greets on file descriptor 2 before it reads TF_CPP_MIN_LOG_LEVEL, so the descriptor itself
    is turned away during the import. A failing import still raises; what is set in the environment stays.

    TensorFlow switches oneDNN's kernels on by itself only for processors with instructions made for neural
    networks. On those with AVX2 alone they double the speed of training too.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if platform.machine().lower() in ("x86_64", "amd64"):
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    if sys.modules.get("tensorflow"):
        return
    extras.require("this", "tensorflow", "keras")
    with native_errors_discarded():
        import tensorflow as tf
    tf.get_logger().setLevel("ERROR")


@contextlib.contextmanager
def native_errors_discarded() -> Iterator[None]:
    """Turn away whatever is written to file descriptor 2 within this block."""
    sys.stderr.flush()
    terminal = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(nowhere)
        os.close(terminal)
