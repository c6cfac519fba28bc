"""Which number format trains faster on this processor: measured, since names of processors do not tell."""

import time

import tensorflow as tf

from pigeonhole.quiet import native_errors_discarded

CHOICES = ("auto", "float32", "bfloat16")
HOPELESS = 0.5  # without instructions for it bfloat16 takes ten times as long: a glance is enough to know
WORTHWHILE = 1.15  # below this the gain is within the noise of a busy machine, and float32 is exact


def choose(asked: str, depthwise: bool = False) -> tuple[str, float | None]:
    """(precision, how many times faster bfloat16 measured, None where nothing was measured).

    `auto` times a typical convolution, forwards and backwards, in both formats for about a second. Processors
    with matrix units for bfloat16 gain twofold; on others bfloat16 is slower than float32.

    `depthwise`: time a block around a depthwise convolution instead, which gains less or even loses.
    """
    if asked != "auto":
        return asked, None
    if tf.config.list_physical_devices("GPU"):
        return "float32", None
    with native_errors_discarded():  # oneDNN complains of a processor without instructions for bfloat16
        gain = _bfloat16_gain(_depthwise_step if depthwise else _convolution_step)
    return ("bfloat16" if gain >= WORTHWHILE else "float32"), gain


def _bfloat16_gain(build_step) -> float:
    glance = _gain(build_step, num_pictures=8, rounds=3)
    return glance if glance < HOPELESS else _gain(build_step, num_pictures=64, rounds=7)


def _gain(build_step, num_pictures: int, rounds: int) -> float:
    """By the fastest round of each format: other work on the machine only ever makes a round slower."""
    float32, bfloat16 = (build_step(dtype, num_pictures) for dtype in (tf.float32, tf.bfloat16))
    seconds = [(_seconds(float32), _seconds(bfloat16)) for _ in range(rounds)]
    return min(first for first, _ in seconds) / min(second for _, second in seconds)


def _convolution_step(dtype: tf.DType, num_pictures: int):
    pictures = tf.cast(tf.random.stateless_normal([num_pictures, 32, 32, 32], [0, 0]), dtype)
    kernel = tf.cast(tf.random.stateless_normal([3, 3, 32, 64], [0, 1]), dtype)

    @tf.function(jit_compile=False)
    def step():
        with tf.GradientTape() as tape:
            tape.watch([pictures, kernel])
            value = tf.reduce_sum(tf.nn.relu(tf.nn.conv2d(pictures, kernel, 1, "SAME")))
        return [tf.reduce_sum(gradient) for gradient in tape.gradient(value, [pictures, kernel])]

    step()  # the first call compiles
    return step


def _depthwise_step(dtype: tf.DType, num_pictures: int):
    shapes = ([num_pictures // 4, 32, 32, 24], [1, 1, 24, 144], [3, 3, 144, 1], [1, 1, 144, 24])
    values = [
        tf.cast(tf.random.stateless_normal(shape, [0, index]), dtype) for index, shape in enumerate(shapes)
    ]

    @tf.function(jit_compile=False)
    def step():
        with tf.GradientTape() as tape:
            tape.watch(values)
            pictures, expand, depthwise, project = values
            hidden = tf.nn.relu6(tf.nn.conv2d(pictures, expand, 1, "SAME"))
            hidden = tf.nn.relu6(tf.nn.depthwise_conv2d(hidden, depthwise, [1, 1, 1, 1], "SAME"))
            value = tf.reduce_sum(tf.nn.conv2d(hidden, project, 1, "SAME"))
        return [tf.reduce_sum(gradient) for gradient in tape.gradient(value, values)]

    step()
    return step


def _seconds(step) -> float:
    started = time.perf_counter()
    for _ in range(4):
        outcome = step()
    outcome[0].numpy()
    return time.perf_counter() - started
