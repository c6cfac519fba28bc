"""Training loops for one network as people write them, each in a process of its own: for training_speed.py.

    python contenders.py KIND NETWORK MOST_STEPS

Prints the seconds of one step. From then on each number on standard input asks for a round of so many steps,
whose seconds are printed.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

CLASSES = 10
THREADS = 2
WARM_UP = 2  # steps

Round = Callable[[int], None]  # trains so many steps


@dataclass(frozen=True)
class Plan:
    """A network of three convolutions and two dense layers, and the batch that it is trained with.

    `pool`: side of the pools, which halve the picture. `normalised`: batch norm after each pool, and
    convolutions without biases. `dropout`: before the hidden dense layer.
    """

    size: int
    batch: int
    filters: tuple[int, int, int]
    pool: int
    normalised: bool
    hidden: int
    dropout: float

    def operations(self) -> float:
        """Floating-point operations of one picture in training: forwards, and twice that backwards.

        A multiplication and an addition are two. Left out is the gradient of the picture itself, which
        nobody needs, and all that is not a convolution or a dense layer.
        """
        total, side, channels = 0.0, self.size, 3
        for number, filters in enumerate(self.filters):
            forwards = 2 * 9 * channels * filters * side**2
            total += forwards * (2 if number == 0 else 3)
            side, channels = side // 2, filters
        return total + 3 * 2 * (side**2 * channels * self.hidden + self.hidden * CLASSES)


PLANS = {
    "tutorial": Plan(128, 32, (32, 32, 64), 2, False, 128, 0.0),
    "standard": Plan(32, 250, (32, 64, 128), 3, True, 256, 0.3),
}


def pictures(plan: Plan, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise uint8 [count, S, S, 3], and labels int64 [count]."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, plan.size, plan.size, 3), np.uint8)
    return images, random.integers(0, CLASSES, count)


def ours(network: str, most_steps: int, precision: str = "auto") -> Round:
    """Pigeonhole's own loop, as `train.py --no-augment` runs it."""
    from pigeonhole.quiet import import_tensorflow

    import_tensorflow()
    import tensorflow as tf

    from pigeonhole.data.dataset import DataSet
    from pigeonhole.networks.registry import NETWORKS
    from pigeonhole.training import precision as precisions
    from pigeonhole.training.blueprint import Blueprint

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    plan = PLANS[network]
    images, labels = pictures(plan, most_steps * plan.batch)
    data = DataSet(
        images, labels, [str(index) for index in range(len(labels))], [str(k) for k in range(CLASSES)]
    )
    recipe = NETWORKS[network].recipe(plan.size, len(labels), all_grey=False)
    recipe = recipe.with_given(augment=False, batch_size=plan.batch)
    trainer = Blueprint(network, 0, precisions.choose(precision)[0]).trainer(recipe, data)
    trainer.total_steps = 0

    def train(steps: int) -> None:
        trainer.total_steps += steps
        trainer.learn()

    return train


def tensorflow_1(network: str, most_steps: int) -> Round:
    """A session that is fed float32 pictures by `feed_dict`, as the classic tutorials do it."""
    import tensorflow as tf

    v1 = tf.compat.v1
    plan = PLANS[network]
    images, labels = pictures(plan, most_steps * plan.batch)
    images, labels = images.astype(np.float32) / 255, np.eye(CLASSES, dtype=np.float32)[labels]

    def variable(*shape: int) -> tf.Tensor:
        return v1.Variable(tf.random.truncated_normal(shape, stddev=0.05))

    with tf.Graph().as_default():
        x = v1.placeholder(tf.float32, [None, plan.size, plan.size, 3])
        y_true = v1.placeholder(tf.float32, [None, CLASSES])
        hidden, channels = x, 3
        for filters in plan.filters:
            hidden = tf.nn.conv2d(hidden, variable(3, 3, channels, filters), 1, "SAME")
            if not plan.normalised:
                hidden += variable(filters)
            hidden = tf.nn.max_pool2d(hidden, plan.pool, 2, "SAME")
            if plan.normalised:
                hidden, _, _ = v1.nn.fused_batch_norm(
                    hidden, variable(filters), variable(filters), is_training=True
                )
            hidden = tf.nn.relu(hidden)
            channels = filters
        flat = (plan.size // 8) ** 2 * channels
        hidden = tf.reshape(hidden, [-1, flat])
        if plan.dropout:
            hidden = tf.nn.dropout(hidden, rate=plan.dropout)
        hidden = tf.nn.relu(tf.matmul(hidden, variable(flat, plan.hidden)) + variable(plan.hidden))
        logits = tf.matmul(hidden, variable(plan.hidden, CLASSES)) + variable(CLASSES)
        cost = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=y_true, logits=logits))
        optimizer = v1.train.AdamOptimizer(1e-4).minimize(cost)
        config = v1.ConfigProto(intra_op_parallelism_threads=THREADS, inter_op_parallelism_threads=THREADS)
        session = v1.Session(config=config)
        session.run(v1.global_variables_initializer())

    def train(steps: int) -> None:
        for start in range(0, steps * plan.batch, plan.batch):
            rows = slice(start, start + plan.batch)
            session.run(optimizer, {x: images[rows], y_true: labels[rows]})

    return train


def keras_fit(network: str, most_steps: int) -> Round:
    """`compile` and `fit` with nothing but the defaults, in float32."""
    import keras
    from keras import layers

    plan = PLANS[network]
    images, labels = pictures(plan, most_steps * plan.batch)
    stack = [keras.Input((plan.size, plan.size, 3)), layers.Rescaling(1 / 255)]
    for filters in plan.filters:
        stack += [
            layers.Conv2D(filters, 3, padding="same", use_bias=not plan.normalised),
            layers.MaxPooling2D(plan.pool, 2, padding="same"),
            *([layers.BatchNormalization()] if plan.normalised else []),
            layers.ReLU(),
        ]
    stack += [layers.Flatten(), layers.Dropout(plan.dropout), layers.Dense(plan.hidden, activation="relu")]
    model = keras.Sequential([*stack, layers.Dense(CLASSES)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])

    def train(steps: int) -> None:
        rows = slice(0, steps * plan.batch)
        model.fit(images[rows], labels[rows], batch_size=plan.batch, verbose=0)

    return train


def pytorch(network: str, most_steps: int, compiled: bool, bfloat16: bool) -> Round:
    """The usual loop over a module in the channels-last layout, which is the faster one here."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(THREADS)
    plan = PLANS[network]
    images, labels = pictures(plan, most_steps * plan.batch)
    images, labels = torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(labels)
    model = pytorch_network(plan)
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    forward = torch.compile(model) if compiled else model

    def train(steps: int) -> None:
        for start in range(0, steps * plan.batch, plan.batch):
            rows = slice(start, start + plan.batch)
            shown = images[rows].to(torch.float32, memory_format=torch.channels_last) / 255
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                loss = functional.cross_entropy(forward(shown), labels[rows])
            loss.backward()
            optimizer.step()

    return train


def pytorch_network(plan: Plan):
    """The plan's layers as a `torch.nn.Sequential` in the channels-last layout."""
    import torch
    from torch import nn

    stack, channels = [], 3
    for filters in plan.filters:
        stack += [
            nn.Conv2d(channels, filters, 3, padding=1, bias=not plan.normalised),
            nn.MaxPool2d(plan.pool, 2, padding=(plan.pool - 1) // 2),
            *([nn.BatchNorm2d(filters)] if plan.normalised else []),
            nn.ReLU(),
        ]
        channels = filters
    flat = (plan.size // 8) ** 2 * channels
    stack += [nn.Flatten(), nn.Dropout(plan.dropout), nn.Linear(flat, plan.hidden), nn.ReLU()]
    network = nn.Sequential(*stack, nn.Linear(plan.hidden, CLASSES))
    return network.to(memory_format=torch.channels_last)


KINDS: dict[str, Callable[[str, int], Round]] = {
    "Pigeonhole": ours,
    "TensorFlow 1 loop, feed_dict": tensorflow_1,
    "Keras fit": keras_fit,
    "PyTorch": lambda network, most_steps: pytorch(network, most_steps, False, False),
    "PyTorch bfloat16": lambda network, most_steps: pytorch(network, most_steps, False, True),
    "PyTorch compiled": lambda network, most_steps: pytorch(network, most_steps, True, False),
    "PyTorch compiled bfloat16": lambda network, most_steps: pytorch(network, most_steps, True, True),
}


def main(kind: str, network: str, most_steps: str) -> None:
    train = KINDS[kind](network, max(WARM_UP, int(most_steps)))
    train(WARM_UP)  # compiles, and fills caches
    print(seconds(train, 1), flush=True)
    for steps in sys.stdin:
        print(seconds(train, int(steps)), flush=True)


def seconds(train: Round, steps: int) -> float:
    started = time.perf_counter()
    train(steps)
    return time.perf_counter() - started


if __name__ == "__main__":
    main(*sys.argv[1:])
