"""None of these: the score is the published one, the threshold keeps its promise, the graph agrees."""

import json

import numpy as np
import pytest
import tensorflow as tf
from sklearn.covariance import ledoit_wolf
from sklearn.metrics import roc_auc_score

from pigeonhole.model import rejection
from pigeonhole.model.rejection import COMBINED, RULES, SOFTMAX, conformal_threshold, pictures_needed
from pigeonhole.model.relative_distance import RelativeDistance

CLASSES, FEATURES = 4, 12
PLACES = np.random.default_rng(7).normal(0, 2, (CLASSES + 1, FEATURES))  # the last is that of an unseen class


def pictures(count: int, label: int | None = None, seed: int = 0):
    """Logits, features and labels as from a network: normal around each class's place, correlated."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES if label is None else np.full(count, label)
    stretch = np.random.default_rng(8).normal(0, 0.4, (FEATURES, FEATURES)) + np.eye(FEATURES)
    features = PLACES[labels] + rng.normal(size=(count, FEATURES)) @ stretch
    logits = 0.5 * features @ PLACES[:CLASSES].T - (PLACES[:CLASSES] ** 2).sum(1) / 4
    return logits.astype(np.float32), features.astype(np.float32), labels


def fitted(rule: str = COMBINED, valid: int = 200, **options) -> rejection.Rejection:
    _, features, labels = pictures(300)
    logits, valid_features, _ = pictures(valid, seed=1)
    return rejection.fit(features, labels, (logits, valid_features), 1.3, rule=rule, **options)


# --- the threshold ---


@pytest.mark.parametrize(
    ("count", "rate", "expected"),
    [(18, 0.05, -np.inf), (19, 0.05, 0), (38, 0.05, 0), (39, 0.05, 1), (99, 0.1, 9)],
)
def test_threshold_is_the_conformal_quantile(count, rate, expected):
    values = np.random.default_rng(0).permutation(count)
    assert conformal_threshold(values, rate) == expected
    assert (pictures_needed(rate) <= count) == np.isfinite(expected)


def test_fewest_pictures():
    assert [pictures_needed(rate) for rate in (0.05, 0.1, 0.01, 0.3)] == [19, 9, 99, 3]


@pytest.mark.parametrize("count", [19, 50, 125])
def test_false_rejections_do_not_exceed_the_stated_rate(count):
    rng = np.random.default_rng(count)
    rates = []
    for _ in range(4000):
        threshold = conformal_threshold(rng.random(count), 0.05)
        rates.append(threshold)  # of uniform values, the share below it
    expected = int((count + 1) * 0.05) / (count + 1)
    assert np.mean(rates) == pytest.approx(expected, abs=0.003)
    assert expected <= 0.05


@pytest.mark.parametrize("rule", RULES)
def test_known_pictures_are_rejected_as_often_as_stated(rule):
    rule = fitted(rule, valid=2000, false_rejection=0.1)
    logits, features, _ = pictures(4000, seed=2)
    assert np.mean(rejection.certainty(rule, logits, features) < rule.threshold) == pytest.approx(
        0.1, abs=0.03
    )


def test_a_picture_at_the_threshold_is_not_unsure():
    logits, features, _ = pictures(200, seed=1)  # those that set it: the tenth lowest is the threshold
    _, unsure = rejection.add_to_graph(fitted(), logits, features)
    assert unsure.numpy().sum() == 9


def test_of_too_few_validation_pictures_nothing_is_unsure():
    rule = fitted(valid=18)
    assert rule.threshold == -np.inf
    assert json.loads(json.dumps(rule.describe())) == {
        "rule": COMBINED,
        "threshold": None,
        "false_rejection": 0.05,
    }


def test_description_holds_the_threshold():
    rule = fitted(SOFTMAX)
    assert rule.describe() == {"rule": SOFTMAX, "threshold": rule.threshold, "false_rejection": 0.05}
    assert 0.25 < rule.threshold < 1


# --- the scores ---


def test_advantage_is_minus_half_the_relative_mahalanobis_distance():
    _, features, labels = pictures(300)
    _, asked, _ = pictures(50, seed=3)
    means = np.stack([features[labels == k].mean(0) for k in range(CLASSES)])
    within, _ = ledoit_wolf(features - means[labels], assume_centered=True)
    spread = means - features.mean(0)
    everywhere = within + spread.T @ spread / CLASSES

    def squared(difference, covariance):
        return np.einsum("nf,fg,ng->n", difference, np.linalg.inv(covariance), difference)

    nearest = np.min([squared(asked - mean, within) for mean in means], axis=0)
    relative = nearest - squared(asked - features.mean(0), everywhere)
    np.testing.assert_allclose(
        RelativeDistance.fit(features, labels).advantage(asked), -relative / 2, atol=1e-3
    )


def test_energy_and_distance_weigh_alike_on_validation_pictures():
    rule = fitted()
    logits, features, _ = pictures(200, seed=1)
    energy = np.log(np.exp(logits.astype(float)).sum(axis=1))
    advantage = rule.measure.distance.advantage(features).numpy()
    parts = [(part - part.mean()) / part.std() for part in (energy, advantage)]
    np.testing.assert_allclose(rejection.certainty(rule, logits, features), sum(parts), atol=1e-4)


def test_softmax_rule_is_the_calibrated_confidence():
    logits, features, _ = pictures(20)
    powers = np.exp(logits.astype(float) / 1.3)
    expected = (powers / powers.sum(axis=1, keepdims=True)).max(axis=1)
    np.testing.assert_allclose(rejection.certainty(fitted(SOFTMAX), logits, features), expected, atol=1e-6)


def auroc(rule: rejection.Rejection, known, unseen) -> float:
    certainties = [rejection.certainty(rule, logits, features) for logits, features, _ in (known, unseen)]
    return roc_auc_score(np.repeat([1, 0], [len(part) for part in certainties]), np.concatenate(certainties))


def test_the_distance_sees_what_the_softmax_does_not():
    known, unseen = pictures(400, seed=2), pictures(400, label=CLASSES, seed=4)
    combined, softmax = (auroc(fitted(rule), known, unseen) for rule in RULES)
    assert combined > softmax + 0.05
    assert combined > 0.85


# --- hard data ---


@pytest.mark.parametrize(
    "labels", [np.arange(6) % 2, np.arange(6), np.array([0, 0, 0, 0, 0, 3])], ids=["pairs", "singles", "gaps"]
)
def test_few_pictures_of_many_features(labels):
    features = np.random.default_rng(1).normal(size=(6, 40)).astype(np.float32)
    advantage = RelativeDistance.fit(features, labels).advantage(features).numpy()
    assert np.isfinite(advantage).all()
    assert advantage.shape == (6,)


def test_dead_features_do_no_harm():
    logits, features, labels = pictures(100)
    features[:, ::2] = 0
    rule = rejection.fit(features, labels, (logits, features), 1.0)
    assert np.isfinite(rejection.certainty(rule, logits, features)).all()
    rule = rejection.fit(np.zeros_like(features), labels, (logits, np.zeros_like(features)), 1.0)
    energy = np.log(np.exp(logits.astype(float)).sum(axis=1))
    certainty = rejection.certainty(rule, logits, np.zeros_like(features))
    assert np.corrcoef(certainty, energy)[0, 1] == pytest.approx(1)


def test_constants_stay_small_and_large_data_is_thinned(monkeypatch):
    monkeypatch.setattr("pigeonhole.model.relative_distance.MOST_VALUES", 500 * FEATURES)
    _, features, labels = pictures(2000)
    thinned = RelativeDistance.fit(features, labels)
    assert thinned.projection.shape == (FEATURES, CLASSES - 1)
    assert thinned.means.shape == (CLASSES, CLASSES - 1)
    monkeypatch.undo()
    whole = RelativeDistance.fit(features, labels)
    assert np.corrcoef(thinned.advantage(features), whole.advantage(features))[0, 1] > 0.95


# --- the graph ---


def graph_of(rule: rejection.Rejection) -> tf.Graph:
    with tf.Graph().as_default() as graph:
        logits = tf.compat.v1.placeholder(tf.float32, [None, CLASSES], "logits")
        features = tf.compat.v1.placeholder(tf.float32, [None, FEATURES], "features")
        certainty, unsure = rejection.add_to_graph(rule, logits, features)
        tf.identity(certainty, "certainty")
        tf.identity(unsure, "unsure")
    return graph


@pytest.mark.parametrize("rule", RULES)
def test_graph_and_numpy_agree(rule):
    rule = fitted(rule)
    logits, features, _ = pictures(500, seed=5)
    with tf.compat.v1.Session(graph=graph_of(rule)) as session:
        feed = {"logits:0": logits, "features:0": features}
        certainty, unsure = session.run(["certainty:0", "unsure:0"], feed)
    assert certainty.dtype == np.float32
    np.testing.assert_allclose(certainty, rejection.certainty(rule, logits, features), atol=1e-4)
    np.testing.assert_array_equal(unsure, certainty < rule.threshold)
    assert 0 < unsure.sum() < 100


@pytest.mark.parametrize("rule", [*RULES, None], ids=[*RULES, "without threshold"])
def test_onnx_computes_the_same(rule):
    import onnxruntime
    import tf2onnx

    rule = fitted(valid=10) if rule is None else fitted(rule)
    names = (["logits:0", "features:0"], ["certainty:0", "unsure:0"])
    if rule.rule == SOFTMAX:
        names[0].pop()
    model, _ = tf2onnx.convert.from_graph_def(graph_of(rule).as_graph_def(), None, *names, opset=17)
    runtime = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    logits, features, _ = pictures(60, seed=6)
    feed = {name: {"logits:0": logits, "features:0": features}[name] for name in names[0]}
    certainty, unsure = runtime.run(names[1], feed)
    np.testing.assert_allclose(certainty, rejection.certainty(rule, logits, features), atol=1e-4)
    np.testing.assert_array_equal(unsure, certainty < rule.threshold)
