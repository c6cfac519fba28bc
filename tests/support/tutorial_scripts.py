"""Programs in the style of five tutorials of TensorFlow's first years, each with its own names and habits.

Each builds its graph, trains by `next_batch`, saves, and is asked by a second program that knows names alone.
Kernels are those of the tutorials, with fewer filters, so that they train within a second.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf

from pigeonhole.data.dataset import DataSet

v1 = tf.compat.v1

CLASSES = 3
BATCH = 20


@dataclass(frozen=True)
class Graph:
    """What the training program holds in its variables."""

    pixels: tf.Tensor
    labels: tf.Tensor
    loss: tf.Tensor
    step: tf.Operation
    feeds: dict[tf.Tensor, float] = field(default_factory=dict)  # while training
    global_step: tf.Variable | None = None


@dataclass(frozen=True)
class Script:
    """A tutorial's program.

    `input`, `output`, `feeds`: the names by which its second program asks. `flags`: what `predict` must be
    told of it. `order`: "bgr", "rgb" or "grey", as its pictures reach the graph, always 0..1.
    """

    build: Callable[[], Graph]
    size: int
    steps: int
    input: str = "x:0"
    output: str = "y_pred:0"
    feeds: dict[str, object] = field(default_factory=dict)
    order: str = "rgb"
    logits: bool = False
    flags: str = ""

    @property
    def channels(self) -> int:
        return 1 if self.order == "grey" else 3


def _kernel(*shape: int, deviation: float = 0.05) -> tf.Variable:
    return v1.Variable(tf.random.truncated_normal(shape, stddev=deviation))


def _biases(count: int, value: float = 0.05) -> tf.Variable:
    return v1.Variable(tf.constant(value, shape=[count]))


def _dense(values: tf.Tensor, units: int, deviation: float = 0.05) -> tf.Tensor:
    return tf.matmul(values, _kernel(values.shape[1], units, deviation=deviation)) + _biases(units)


def _flat(values: tf.Tensor) -> tf.Tensor:
    return tf.reshape(values, [-1, values.shape[1:].num_elements()])


def _pool(values: tf.Tensor, stride: int = 2, padding: str = "SAME") -> tf.Tensor:
    return tf.nn.max_pool2d(values, 2, stride, padding)


def _loss(logits: tf.Tensor, one_hot: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=one_hot, logits=logits))


def web_page() -> Graph:
    """CIFAR-10 for a web page: no biases, overlapping pools, dropout before the dense layers."""
    pixels = v1.placeholder(tf.float32, [None, 32, 32, 3], "data_tensor")
    labels = v1.placeholder(tf.float32, [None, CLASSES], "label_tensor")
    keep = v1.placeholder(tf.float32, [], "keep_prop")
    hidden, depth = pixels, 3
    for kernel, filters in ((5, 4), (7, 3), (5, 2)):
        weights = _kernel(kernel, kernel, depth, filters, deviation=0.2)
        hidden = _pool(tf.nn.relu(tf.nn.conv2d(hidden, weights, 1, "VALID")), 1, "VALID")
        depth = filters
    hidden = v1.nn.dropout(_flat(hidden), rate=1 - keep)
    hidden = tf.matmul(hidden, _kernel(hidden.shape[1], 40))
    logits = tf.matmul(hidden, _kernel(40, CLASSES))
    tf.nn.softmax(logits, name="softmax_probs")
    loss = _loss(logits, labels)
    return Graph(pixels, labels, loss, v1.train.AdamOptimizer(5e-3).minimize(loss), {keep: 0.9})


def dropout() -> Graph:
    """CIFAR-10 with dropout: linear but for its pools; its answers are logits."""
    x = v1.placeholder(tf.float32, [None, 32, 32, 3], "x")
    y = v1.placeholder(tf.float32, [None, CLASSES], "y")
    keep_prob = v1.placeholder(tf.float32, None, "keep_prob")
    hidden, depth = x, 3
    for kernel, filters, stride in ((7, 8, 2), (3, 12, 1), (2, 16, 1)):
        weights = _kernel(kernel, kernel, depth, filters, deviation=0.1)
        hidden = _pool(tf.nn.bias_add(tf.nn.conv2d(hidden, weights, stride, "SAME"), _biases(filters)))
        depth = filters
    hidden = v1.nn.dropout(_flat(hidden), rate=1 - keep_prob)
    hidden = v1.nn.dropout(_dense(hidden, 64), rate=1 - keep_prob)
    logits = tf.identity(_dense(_dense(hidden, 16), CLASSES), name="logits")
    cost = _loss(logits, y)
    right = tf.equal(tf.argmax(logits, 1), tf.argmax(y, 1))
    tf.reduce_mean(tf.cast(right, tf.float32), name="accuracy")
    return Graph(x, y, cost, v1.train.AdamOptimizer(1e-3).minimize(cost), {keep_prob: 0.5})


def _distorted(images: tf.Tensor) -> tf.Tensor:
    images = v1.random_crop(images, [tf.shape(images)[0], 24, 24, 3])
    images = tf.image.random_flip_left_right(images)
    images = tf.image.random_hue(images, 0.05)
    images = tf.image.random_contrast(images, 0.3, 1.0)
    images = tf.image.random_brightness(images, 0.2)
    images = tf.image.random_saturation(images, 0.0, 2.0)
    return tf.clip_by_value(images, 0.0, 1.0)


def _two_convolutions(images: tf.Tensor, training: bool) -> tf.Tensor:
    """The logits; built twice on the same variables, of which the moving ones belong to no gradient."""
    start = v1.initializers.variance_scaling(2.0)
    hidden = tf.nn.conv2d(images, v1.get_variable("conv1", [5, 5, 3, 8], initializer=start), 1, "SAME")
    offset = v1.get_variable("beta", [8], initializer=v1.zeros_initializer())
    moving_mean = v1.get_variable("mean", [8], initializer=v1.zeros_initializer(), trainable=False)
    moving_variance = v1.get_variable("variance", [8], initializer=v1.ones_initializer(), trainable=False)
    mean, variance = moving_mean, moving_variance
    if training:
        mean, variance = tf.nn.moments(hidden, [0, 1, 2])
        for moving, present in ((moving_mean, mean), (moving_variance, variance)):
            update = v1.assign_sub(moving, 0.1 * (moving - present))
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)
    hidden = _pool(tf.nn.relu(tf.nn.batch_normalization(hidden, mean, variance, offset, None, 1e-3)))
    second = v1.get_variable("conv2", [5, 5, 8, 8], initializer=start)
    hidden = _flat(_pool(tf.nn.relu(tf.nn.conv2d(hidden, second, 1, "SAME"))))
    hidden = tf.nn.relu(tf.matmul(hidden, v1.get_variable("fc1", [hidden.shape[1], 32], initializer=start)))
    return tf.matmul(hidden, v1.get_variable("fc2", [32, CLASSES], initializer=start))


def augmented() -> Graph:
    """CIFAR-10 augmented: one network for distorted crops, the same again for the middle of each picture."""
    x = v1.placeholder(tf.float32, [None, 32, 32, 3], "x")
    y_true = v1.placeholder(tf.float32, [None, CLASSES], "y_true")
    global_step = v1.Variable(0, name="global_step", trainable=False)
    with v1.variable_scope("network"):
        loss = _loss(_two_convolutions(_distorted(x), training=True), y_true)
    with v1.variable_scope("network", reuse=True):
        logits = _two_convolutions(x[:, 4:28, 4:28], training=False)
    y_pred = tf.nn.softmax(logits, name="y_pred")
    tf.argmax(y_pred, 1, name="y_pred_cls")
    with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
        step = v1.train.AdamOptimizer(3e-3).minimize(loss, global_step=global_step)
    return Graph(x, y_true, loss, step, global_step=global_step)


def mnist() -> Graph:
    """MNIST: grey pictures, momentum, answers that are logits."""
    x = v1.placeholder(tf.float32, [None, 28, 28, 1], "x_image")
    y = v1.placeholder(tf.float32, [None, CLASSES], "y_target")
    hidden, depth = x, 1
    for filters in (8, 12):
        weights = _kernel(4, 4, depth, filters, deviation=0.1)
        hidden = _pool(tf.nn.relu(tf.nn.conv2d(hidden, weights, 1, "SAME") + _biases(filters, 0.0)))
        depth = filters
    hidden = tf.nn.relu(_dense(_flat(hidden), 50, deviation=0.1))
    logits = tf.identity(_dense(hidden, CLASSES, deviation=0.1), name="model_output")
    loss = _loss(logits, y)
    return Graph(x, y, loss, v1.train.MomentumOptimizer(0.005, 0.9).minimize(loss))


def dogs_and_cats() -> Graph:
    """Dogs and cats: three convolutions, each pooled before its ReLU; blue comes first."""
    x = v1.placeholder(tf.float32, [None, 48, 48, 3], "x")
    y_true = v1.placeholder(tf.float32, [None, CLASSES], "y_true")
    hidden, depth = x, 3
    for filters in (8, 8, 16):
        weights = _kernel(3, 3, depth, filters, deviation=0.2)
        hidden = tf.nn.relu(_pool(tf.nn.conv2d(hidden, weights, 1, "SAME") + _biases(filters)))
        depth = filters
    logits = _dense(tf.nn.relu(_dense(_flat(hidden), 32)), CLASSES)
    tf.nn.softmax(logits, name="y_pred")
    cost = _loss(logits, y_true)
    return Graph(x, y_true, cost, v1.train.AdamOptimizer(3e-3).minimize(cost))


SCRIPTS = {
    "web page": Script(
        web_page, 32, 150, "data_tensor:0", "softmax_probs:0", {"keep_prop:0": 1.0},
        flags="--input-tensor data_tensor --output-tensor softmax_probs --feed keep_prop=1.0 "
        "--colour-order rgb",
    ),
    "dropout": Script(
        dropout, 32, 100, output="logits:0", feeds={"keep_prob:0": 1.0}, logits=True,
        flags="--output-tensor logits --logits --feed keep_prob=1.0 --colour-order rgb",
    ),
    "augmented": Script(augmented, 32, 150, flags="--colour-order rgb"),
    "mnist": Script(
        mnist, 28, 100, "x_image:0", "model_output:0", order="grey", logits=True,
        flags="--input-tensor x_image --output-tensor model_output --logits",
    ),
    "dogs and cats": Script(dogs_and_cats, 48, 60, order="bgr"),
}  # fmt: skip


def train(script: Script, data: DataSet, folder: Path) -> list[float]:
    """The training program goes on from the folder's newest checkpoint, or begins. Gives each step's loss."""
    losses = []
    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(1)
        graph = script.build()
        saver = v1.train.Saver()
        if newest := v1.train.latest_checkpoint(str(folder)):
            saver.restore(session, newest)
        else:
            session.run(v1.global_variables_initializer())
        for _ in range(script.steps):
            order = "bgr" if script.order == "bgr" else "rgb"
            images, labels, _, _ = data.next_batch(BATCH, scale="0..1", order=order)
            batch = {graph.pixels: images, graph.labels: labels, **graph.feeds}
            losses.append(session.run([graph.step, graph.loss], batch)[1])
        saver.save(session, str(folder / "model"), global_step=graph.global_step)
    return losses


def prepared(script: Script, picture: Path) -> np.ndarray:
    """One picture as the tutorials' second programs prepare it."""
    grey = script.order == "grey"
    pixels = cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR)
    pixels = cv2.resize(pixels, (script.size, script.size), interpolation=cv2.INTER_LINEAR)
    pixels = pixels.reshape(1, script.size, script.size, script.channels)
    return (pixels[..., ::-1] if script.order == "rgb" else pixels) / np.float32(255)


def asked(checkpoint: str, output: str, batches: Sequence[dict[str, object]]) -> np.ndarray:
    """The second program: the meta graph into a fresh graph, fed and read by names, picture by picture."""
    with tf.Graph().as_default() as graph, v1.Session() as session:
        v1.train.import_meta_graph(f"{checkpoint}.meta").restore(session, checkpoint)
        answer = graph.get_tensor_by_name(output)
        return np.concatenate([session.run(answer, batch) for batch in batches])


def answers(script: Script, folder: Path, pictures: Sequence[Path]) -> np.ndarray:
    """What the tutorial's own second program answers, float [n, K]: probabilities."""
    newest = v1.train.latest_checkpoint(str(folder))
    batches = [{script.input: prepared(script, each), **script.feeds} for each in pictures]
    found = asked(newest, script.output, batches)
    return tf.nn.softmax(found).numpy() if script.logits else found
