"""TensorFlow settles its threads once in a process: here, before the first test, as train.py does it."""

import gc

import pytest


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return  # this process hands out the tests to others, and runs none
    from pigeonhole.data.parallel import available_cores
    from pigeonhole.quiet import import_tensorflow

    import_tensorflow()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(available_cores())
    tf.config.threading.set_inter_op_parallelism_threads(available_cores())


def pytest_collection_finish() -> None:
    """Thousands of tests and all modules stay to the end: no search for garbage need look through them."""
    gc.collect()
    gc.freeze()
