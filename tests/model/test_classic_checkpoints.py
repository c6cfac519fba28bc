"""Checkpoints trained in the style of the old dogs-and-cats tutorial, in all its variants."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from pigeonhole import Classifier
from pigeonhole.commands import predict
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.model.interface import ForeignCheckpoint
from tests.support import saved_runs

v1 = tf.compat.v1

SIZE = 24
LABELS = ["dogs", "cats"]


@dataclass
class Classic:
    """An old graph: how it is built, and how it was meant to be asked."""

    build: Callable[[], tuple[tf.Tensor, tf.Tensor]]  # gives (loss, labels placeholder or tensor)
    options: dict = field(default_factory=dict)  # of ForeignCheckpoint, beside the labels
    output: str = "y_pred:0"
    feeds: dict = field(default_factory=dict)
    input: str = "x:0"


def _load(path: Path, **given) -> Classifier:
    return Classifier.load(path, foreign=ForeignCheckpoint(**{"labels": LABELS, **given}))


def _pixels(name: str = "x", shape=(None, SIZE, SIZE, 3)) -> tf.Tensor:
    return v1.placeholder(tf.float32, shape, name)


def _variable(*shape: int) -> tf.Tensor:
    return v1.Variable(tf.random.truncated_normal(shape, stddev=0.3))


def _logits(x: tf.Tensor, keep=None) -> tf.Tensor:
    hidden = tf.nn.relu(tf.nn.conv2d(x, _variable(3, 3, 3, 4), 2, "SAME") + _variable(4))
    flat = tf.reshape(hidden, [-1, SIZE * SIZE])
    if keep is not None:
        flat = v1.nn.dropout(flat, rate=1 - keep)
    return tf.matmul(flat, _variable(SIZE * SIZE, 2)) + _variable(2)


def _loss(logits: tf.Tensor, one_hot: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=one_hot, logits=logits))


def _tutorial(label_name: str = "y_true", shape=(None, SIZE, SIZE, 3)):
    logits = _logits(_pixels(shape=shape))
    y_true = v1.placeholder(tf.float32, [None, 2], label_name)
    tf.nn.softmax(logits, name="y_pred")
    return _loss(logits, y_true), y_true


def _rank_1_labels():
    logits = _logits(_pixels())
    labels = v1.placeholder(tf.int64, [None], "labels")
    tf.nn.softmax(logits, name="y_pred")
    return _loss(logits, tf.one_hot(labels, 2)), labels


def _keep_probability_and_only_logits():
    keep = v1.placeholder(tf.float32, [], "keep_prob")
    logits = tf.identity(_logits(_pixels("images"), keep), "scores")
    y_true = v1.placeholder(tf.float32, [None, 2], "y_true")
    return _loss(logits, y_true), y_true


def _boolean_feed_and_open_size():
    training = v1.placeholder(tf.bool, [], "is_training")
    x = _pixels(shape=(None, None, None, 3))
    logits = _logits(tf.ensure_shape(x, [None, SIZE, SIZE, 3]) * tf.where(training, 2.0, 1.0))
    y_true = v1.placeholder(tf.float32, [None, 2], "y_true")
    tf.nn.softmax(logits, name="y_pred")
    return _loss(logits, y_true), y_true


def _no_label_placeholder():
    logits = _logits(_pixels())
    tf.nn.softmax(logits, name="y_pred")
    return _loss(logits, tf.one_hot(tf.zeros(tf.shape(logits)[0], tf.int64), 2)), None


VARIANTS = {
    "tutorial": Classic(_tutorial),
    "other label name": Classic(lambda: _tutorial("targets")),
    "rank-1 labels": Classic(_rank_1_labels),
    "keep probability, only logits": Classic(
        _keep_probability_and_only_logits,
        {"input_tensor": "images", "output_tensor": "scores", "logits": True, "feeds": {"keep_prob": "1.0"}},
        "scores:0",
        {"keep_prob:0": 1.0},
        "images:0",
    ),
    "boolean feed, open size": Classic(
        _boolean_feed_and_open_size,
        {"image_size": SIZE, "feeds": {"is_training": "false"}},
        feeds={"is_training:0": False},
    ),
    "no label placeholder": Classic(_no_label_placeholder),
    "one picture at a time": Classic(lambda: _tutorial(shape=(1, SIZE, SIZE, 3))),
}


def _train(classic: Classic, folder: Path) -> Path:
    """A few steps of Adam, as old programs did, and a checkpoint with all variables."""
    folder.mkdir()
    with tf.Graph().as_default() as graph, v1.Session() as session:
        v1.set_random_seed(1)
        loss, labels = classic.build()
        step = v1.train.AdamOptimizer(1e-3).minimize(loss)
        session.run(v1.global_variables_initializer())
        count = graph.get_tensor_by_name(classic.input).shape[0] or 2
        feeds = {classic.input: np.random.rand(count, SIZE, SIZE, 3), **classic.feeds}
        if labels is not None:
            feeds[labels] = [0, 1] if labels.shape.rank == 1 else np.eye(2)[:count]
        for _ in range(3):
            session.run(step, feeds)
        v1.train.Saver().save(session, str(folder / "dogs-cats-model"), global_step=3)
    return folder


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classic")
    return {name: _train(classic, folder / name) for name, classic in VARIANTS.items()}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    return [saved_runs.write_picture(folder / f"{seed}.png", seed, height=50, width=37) for seed in range(5)]


def _by_hand(classic: Classic, folder: Path, pictures: list[Path], **changes) -> np.ndarray:
    """As the old tutorial's own predict.py does it, picture by picture."""
    answers = []
    with tf.Graph().as_default(), v1.Session() as session:
        saver = v1.train.import_meta_graph(str(folder / "dogs-cats-model-3.meta"))
        saver.restore(session, v1.train.latest_checkpoint(str(folder)))
        for path in pictures:
            image = cv2.resize(cv2.imread(str(path)), (SIZE, SIZE), None, 0, 0, cv2.INTER_LINEAR)
            pixels = np.multiply(image.astype(np.float32), changes.get("scale", 1 / 255))
            if changes.get("colour_order") == "rgb":
                pixels = pixels[..., ::-1]
            answers.append(session.run(classic.output, {classic.input: pixels[None], **classic.feeds})[0])
    return np.array(answers)


def _shares(outputs: np.ndarray, classic: Classic) -> np.ndarray:
    return tf.nn.softmax(outputs).numpy() if classic.options.get("logits") else outputs


@pytest.mark.parametrize("name", VARIANTS)
def test_answers_equal_the_old_way_by_hand(checkpoints, pictures, name):
    classic, folder = VARIANTS[name], checkpoints[name]
    expected = _shares(_by_hand(classic, folder, pictures), classic)
    with _load(folder, **classic.options) as classifier:
        answers = classifier.predict(pictures)
    np.testing.assert_allclose(answers, expected, atol=1e-6)
    assert expected.std(axis=0).max() > 1e-3
    assert classifier.classes == tuple(LABELS)


@pytest.mark.parametrize("change", [{"colour_order": "rgb"}, {"scale": 1.0}])
def test_colour_order_and_scale_are_the_users_to_say(checkpoints, pictures, change):
    classic, folder = VARIANTS["tutorial"], checkpoints["tutorial"]
    with _load(folder / "dogs-cats-model-3.meta", **change) as classifier:
        answers = classifier.predict(pictures)
    np.testing.assert_allclose(answers, _by_hand(classic, folder, pictures, **change), atol=1e-5)
    assert np.abs(answers - _by_hand(classic, folder, pictures)).max() > 1e-3


def test_resize_rule_is_the_users_to_say(checkpoints, pictures):
    with _load(checkpoints["tutorial"], resize="area") as classifier:
        assert classifier.preprocessing.resize == "area"


def test_program_answers_with_flags(checkpoints, pictures, capsys):
    name = "keep probability, only logits"
    flags = "--labels dogs,cats --input-tensor images --output-tensor scores --logits --feed keep_prob=1.0"
    flags += " --colour-order bgr --scale 1/255 --image-size 24 --resize bilinear --json"
    status = predict.main([str(pictures[0]), "--model", str(checkpoints[name]), *flags.split()])
    (answer,) = json.loads(capsys.readouterr().out)
    expected = _shares(_by_hand(VARIANTS[name], checkpoints[name], pictures[:1]), VARIANTS[name])[0]
    shares = {entry["class"]: entry["probability"] for entry in answer["predictions"]}
    assert [shares["dogs"], shares["cats"]] == pytest.approx(list(expected), abs=1e-6)
    assert status == 0


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("tutorial", {"labels": None}, r"its 2 classes.*--labels dogs,cats"),
        ("tutorial", {"labels": ["dogs"]}, r"1 given, but y_pred has 2 outputs"),
        ("tutorial", {"input_tensor": "pixels"}, r"--input-tensor pixels: .*likely ones: x, y_true"),
        ("tutorial", {"output_tensor": "nothing:0"}, r"--output-tensor nothing:0: .*likely ones: y_pred"),
        ("tutorial", {"output_tensor": "x"}, r"--output-tensor x: .*one row per picture"),
        ("tutorial", {"feeds": {"keep": "1"}}, r"--feed keep: .*no such tensor"),
        ("tutorial", {"image_size": 99}, r"--image-size 99: x takes 24 pixels"),
        ("tutorial", {"input_tensor": "y_true"}, r"--input-tensor y_true: .*square pictures"),
        ("keep probability, only logits", {"feeds": {}}, r"--feed keep_prob=1\.0"),
        ("keep probability, only logits", {"feeds": {"keep_prob": "much"}}, r"a float32 is needed"),
        ("boolean feed, open size", {"feeds": {}}, r"--feed is_training=false"),
        ("boolean feed, open size", {"feeds": {"is_training": "perhaps"}}, r"a bool is needed"),
        ("boolean feed, open size", {"image_size": None}, r"--image-size 128"),
    ],
)
def test_what_is_left_open_or_wrong_is_named(checkpoints, name, options, message):
    with pytest.raises(UsageError, match=message):
        _load(checkpoints[name], **{**VARIANTS[name].options, **options})


def test_checkpoint_of_some_variables_only_is_refused(tmp_path):
    with tf.Graph().as_default(), v1.Session() as session:
        loss, _ = _tutorial()
        v1.train.AdamOptimizer().minimize(loss)
        session.run(v1.global_variables_initializer())
        v1.train.Saver(v1.trainable_variables()[1:]).save(session, str(tmp_path / "part"))
    with pytest.raises(PigeonholeError, match="partial model"):
        _load(tmp_path)
