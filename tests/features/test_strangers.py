import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pigeonhole.features import strangers
from pigeonhole.model import rejection
from pigeonhole.model.relative_distance import RelativeDistance

WIDTH, LAST = 60, slice(10, 60)
CLASSES = np.random.default_rng(7).normal(0, 1.0, (4, WIDTH)).astype(np.float32)


def pictures(
    count: int, classes: tuple[int, ...] = (0, 1, 2), seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Features around the classes' means, all alike where class 3 differs from them by little."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, len(classes), count)
    noise = random.normal(0, 1, (count, WIDTH))
    return (5 + CLASSES[np.array(classes)[labels]] + noise).astype(np.float32), labels


def fitted(count: int, seed: int = 0) -> strangers.Strangers:
    features, labels = pictures(count, seed=seed)
    return strangers.fit(features, labels, np.arange(count) % 5, LAST)


def auroc(known: np.ndarray, unknown: np.ndarray) -> float:
    return roc_auc_score([1] * len(known) + [0] * len(unknown), np.concatenate([known, unknown]))


def test_far_and_near_strangers_are_told_from_the_known():
    found = fitted(600)
    known, _ = pictures(1000, seed=1)
    far = np.random.default_rng(2).normal(5, 4, (300, WIDTH))
    near, _ = pictures(300, (3,), seed=3)
    certainty = found.certainty(known)
    assert certainty.dtype == np.float32 and certainty.shape == (1000,)
    assert auroc(certainty, found.certainty(far)) > 0.99
    assert auroc(certainty, found.certainty(near)) > 0.9


@pytest.mark.parametrize("count", [60, 600])
def test_the_limit_keeps_its_promise_for_pictures_of_known_classes(count):
    shares = []
    for seed in range(8):
        known, _ = pictures(2000, seed=100 + seed)
        shares.append(fitted(count, seed).are_strangers(known).mean())
    assert fitted(count).share == pytest.approx(max(0.01, 1 / (count + 1)))
    assert np.mean(shares) < 1.5 * fitted(count).share


def test_with_a_handful_of_pictures_nothing_is_a_stranger():
    found = fitted(strangers.FEWEST - 1)
    assert found.limit == -np.inf
    assert not found.are_strangers(np.full((2, WIDTH), 1e4)).any()
    assert np.isfinite(fitted(strangers.FEWEST).limit)


def test_the_figures_are_the_nearest_cosines_and_the_relative_distance():
    features, labels = pictures(90)
    found = strangers.fit(features, labels, np.arange(90) % 3, LAST)
    centred = features[:, LAST] - features[:, LAST].mean(axis=0)
    directions = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    near = np.sort(directions[:5] @ directions.T, axis=1)[:, -strangers.NEAREST :].mean(axis=1)
    place = (features[:5] @ found.kernel + found.bias)[:, None]
    relative = np.max((place * found.means).sum(-1) - (found.means**2).sum(-1) / 2, axis=1)
    relative -= (found.between * place[:, 0] ** 2).sum(axis=1) / 2
    near, relative = ((np.stack([near, relative]).T - found.usual) / found.spread).T
    assert np.allclose(found.certainty(features[:5]), near + np.clip(relative, -2, 2), atol=1e-3)


def test_the_relative_distance_is_that_of_the_saved_models():
    features, labels = pictures(90)
    distance = RelativeDistance.fit(features, labels)
    assert np.allclose(strangers._relative(distance, features), distance.advantage(features), atol=1e-3)


def test_more_pictures_than_are_used_are_no_error(monkeypatch):
    monkeypatch.setattr(strangers, "MOST_PICTURES", 100)
    monkeypatch.setattr(strangers, "MOST_EXEMPLARS", 40)
    found = fitted(300)
    assert found.exemplars.shape == (40, 50)
    assert found.kernel.shape == (WIDTH, 2) and found.means.shape == (3, 2)


def test_the_saved_model_computes_the_same():
    found = fitted(200)
    features, _ = pictures(40, (0, 3), seed=5)
    features[:9] = 60 * np.random.default_rng(0).normal(size=(9, WIDTH))
    rule = strangers.as_rejection(found, WIDTH + 5)
    wider = np.pad(features, ((0, 0), (0, 5)), constant_values=9)
    computed = rejection.certainty(rule, np.zeros((40, 3)), wider)
    assert np.allclose(computed, found.certainty(features), atol=1e-3)
    _, unsure = rejection.add_to_graph(rule, None, wider)
    assert unsure.numpy().tolist() == found.are_strangers(features).tolist()
    assert unsure.numpy()[:9].sum() > 6 and not unsure.numpy().all()
    assert rule.describe() == {"rule": strangers.RULE, "threshold": found.limit, "false_rejection": 0.01}


@pytest.mark.parametrize("most", [100, 5000])
def test_its_own_pictures_are_judged_out_of_fold(monkeypatch, most):
    """Each picture is its own nearest exemplar, so that in fold none would be a stranger."""
    monkeypatch.setattr(strangers, "MOST_PICTURES", most)
    features, labels = pictures(400)
    odd = np.arange(400) % 80 == 0
    features[odd] = 60 * np.random.default_rng(0).normal(size=(odd.sum(), WIDTH))
    found = strangers.fit(features, labels, np.arange(400) % 5, LAST)
    assert len(found.rows) == min(most, 400)
    own = found.own_strangers(features)
    assert own[found.rows].tolist() == (found.known < found.limit).tolist()
    others = np.setdiff1d(np.arange(400), found.rows)
    assert own[others].tolist() == found.are_strangers(features[others]).tolist()


def test_tensorflow_is_not_imported_for_the_fit():
    code = "import numpy as np, sys; from pigeonhole.features import strangers; "
    code += "x = np.random.default_rng(0).normal(size=(60, 8)); y = np.arange(60) % 3; "
    code += "strangers.fit(x, y, y, slice(0, 8)).certainty(x); sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0
