"""The saved graph for programs of TensorFlow 1: fine-tuning, their names, and pixels that they get wrong."""

import numpy as np
import pytest
import tensorflow as tf

from pigeonhole.model.classifier import Classifier
from tests.support import saved_runs

v1 = tf.compat.v1

PIXELS = np.random.default_rng(1).uniform(0, 255, (6, saved_runs.SIZE, saved_runs.SIZE, 3)).astype(np.float32)
LABELS = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 1]]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return saved_runs.save(tmp_path_factory.mktemp("runs") / "run", saved_runs.network(), temperature=2.0)


@pytest.fixture
def session(run):
    with tf.Graph().as_default(), v1.Session() as session:
        v1.train.import_meta_graph(str(run / "model.meta")).restore(session, str(run / "model"))
        yield session


def test_the_restored_graph_is_fine_tuned_without_naming_variables(session):
    graph = session.graph
    trainable = {variable.op.name for variable in v1.trainable_variables()}
    assert trainable == {each.path for each in saved_runs.network().trainable_variables}
    cost = graph.get_tensor_by_name("cost:0")
    step = v1.train.GradientDescentOptimizer(0.01).minimize(cost)
    feed = {"x:0": PIXELS, "y_true:0": LABELS}
    before, kernel = session.run([cost, "conv1/kernel:0"], feed)
    for _ in range(5):
        session.run(step, feed)
    after, learnt = session.run([cost, "conv1/kernel:0"], feed)
    assert after < before and np.abs(learnt - kernel).max() > 0


def test_other_names_are_fed_and_fetched_alike(session):
    own = session.run(["y_pred:0", "cost:0", "accuracy:0"], {"x:0": PIXELS, "y_true:0": LABELS})
    for labels in ("y:0", "label_tensor:0"):
        other = session.run(
            ["softmax_probs:0", "cost:0", "accuracy:0"],
            {"data_tensor:0": PIXELS, labels: LABELS, "keep_prop:0": 1.0},
        )
        for one, two in zip(own, other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("pixels, is_right", [(PIXELS, True), (PIXELS / 255, False), (PIXELS * 0, True)])
def test_pixels_of_0_to_1_are_noticed(session, run, pixels, is_right, recwarn):
    assert session.run("input_check:0", {"x:0": pixels}) == is_right
    with Classifier.load(run, engine="tensorflow") as classifier:
        classifier.predict_pixels(pixels)
    told = [
        str(each.message) for each in recwarn if "no value of these pictures is above 1" in str(each.message)
    ]
    assert len(told) == (0 if is_right else 1)
