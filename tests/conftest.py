"""TensorFlow settles its threads once in a process: here, before the first test, as train.py does it."""

from pigeonhole.data.parallel import available_cores
from pigeonhole.quiet import import_tensorflow

import_tensorflow()
import tensorflow as tf  # noqa: E402

tf.config.threading.set_intra_op_parallelism_threads(available_cores())
tf.config.threading.set_inter_op_parallelism_threads(available_cores())
