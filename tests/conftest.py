"""TensorFlow settles its threads once in a process: here, before the first test, as train.py does it."""

from pigeonhole.quiet import import_tensorflow
from pigeonhole.training.distributed.launcher import available_cores

import_tensorflow()
import tensorflow as tf  # noqa: E402

tf.config.threading.set_intra_op_parallelism_threads(available_cores())
tf.config.threading.set_inter_op_parallelism_threads(available_cores())
