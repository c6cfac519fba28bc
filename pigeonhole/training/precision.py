"""Which number format trains faster on this processor: measured, since names of processors do not tell."""

import time

import tensorflow as tf

from pigeonhole.quiet import native_errors_discarded

CHOICES = ("auto", "float32", "bfloat16")
HOPELESS = 0.5  # without instructions for it bfloat16 takes ten times as long: a glance is enough to know
WORTHWHILE = 1.15  # below this the gain is within the noise of a busy machine, and float32 is exact


def choose(asked: str) -> tuple[str, float | None]:
    """(precision, how many times faster bfloat16 measured, None where nothing was measured).

    `auto` times a typical convolution, forwards and backwards, in both formats for about a second. Processors
    with matrix units for bfloat16 gain twofold; on others bfloat16 is slower than float32.
    """
    if asked != "auto":
        return asked, None
    if tf.config.list_physical_devices("GPU"):
        return "float32", None
    with native_errors_discarded():  # oneDNN complains of a processor without instructions for bfloat16
        gain = _bfloat16_gain()
    return ("bfloat16" if gain >= WORTHWHILE else "float32"), gain


def _bfloat16_gain() -> float:
    glance = _gain(num_pictures=8, rounds=3)
    return glance if glance < HOPELESS else _gain(num_pictures=64, rounds=7)


def _gain(num_pictures: int, rounds: int) -> float:
    """By the fastest round of each format: other work on the machine only ever makes a round slower."""
    float32, bfloat16 = (_convolution_step(dtype, num_pictures) for dtype in (tf.float32, tf.bfloat16))
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


def _seconds(step) -> float:
    started = time.perf_counter()
    for _ in range(4):
        outcome = step()
    outcome[0].numpy()
    return time.perf_counter() - started
