"""The first answer: what fine-tuning starts from, and which pictures may judge."""

from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from pigeonhole.features import pretrained
from pigeonhole.features.backbone import Pretrained
from pigeonhole.features.head import Head
from pigeonhole.jobs import first_answer, mixed, setup
from pigeonhole.jobs.candidates import Tried
from pigeonhole.jobs.first_answer import FirstAnswer
from pigeonhole.runs.config import TrainingConfig
from tests.support.drawn_folders import draw_photos


def test_the_last_layer_starts_right_but_unsure_from_the_training_pictures_alone():
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    features = rng.normal(4, 1, (90, 8)).astype(np.float32)
    features[np.arange(90), labels] += 5
    features[60:] = np.nan  # the validation pictures
    first = FirstAnswer(
        None, None, features, slice(0, 6), Pretrained(), num_training=60, groups=np.arange(90)
    )
    kernel, bias = first.start_of_last_layer(labels)
    assert kernel.shape == (6, 3) and bias.shape == (3,) and kernel.dtype == bias.dtype == np.float32
    logits = features[:60, :6] @ kernel + bias
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert (logits.argmax(axis=1) == labels[:60]).all()
    assert shares.max(axis=1).mean() < 0.9


def test_pictures_with_a_copy_among_the_training_pictures_are_not_judged_by():
    groups = np.array([0, 1, 2, 1, 3, 3])
    first = FirstAnswer(None, None, None, slice(0, 6), Pretrained(), num_training=3, groups=groups)
    assert first.without_copy.tolist() == [False, True, True]
    only_copies = FirstAnswer(
        None, None, None, slice(0, 6), Pretrained(), num_training=3, groups=np.array([0, 1, 2, 2])
    )
    assert only_copies.without_copy.tolist() == [True]


def test_a_network_that_knows_only_copies_counts_for_nothing():
    """Half of the validation pictures have a copy among the training pictures, from which it has learnt."""
    rng = np.random.default_rng(0)
    labels = np.arange(160) % 2
    groups = np.r_[np.arange(80), np.arange(40), 80 + np.arange(40)]
    by_head = np.where(rng.random((160, 1)) < 0.9, 1, -1) * (2.0 * np.eye(2)[labels] - 1)
    fitted = Head(None, None, False, "", by_head.astype(np.float32), groups % 5, np.ones(160, bool))
    first = FirstAnswer(fitted, None, None, slice(0, 6), Pretrained(), num_training=80, groups=groups)
    knows = rng.normal(size=(80, 2)) + 6 * np.eye(2)[labels[80:]] * (np.arange(80) < 40)[:, None]
    tried = Tried("learnt", "by heart", None, knows.astype(np.float32), 1.0, ())
    setup = SimpleNamespace(sets=SimpleNamespace(everything=SimpleNamespace(label_indices=labels)))
    assert mixed.weigh(first, [tried], setup, single=False).is_first
    apart = replace(first, groups=np.arange(160))
    assert not mixed.weigh(apart, [tried], setup, single=False).is_first


@pytest.mark.skipif(not pretrained.available(), reason=f"needs {pretrained.REQUIREMENT}")
def test_of_many_photos_no_mirror_images_are_looked_at(tmp_path, monkeypatch):
    config = TrainingConfig(
        data=draw_photos(tmp_path / "photos", 12),
        network="auto",
        cache_dir=tmp_path / "cache",
        output=tmp_path / "runs",
    )
    prepared = setup.prepare(config)
    few = first_answer.fit(prepared)
    assert few.kept.mirrored is not None
    monkeypatch.setattr(first_answer, "MOST_MIRRORED", prepared.sets.everything.num_examples - 1)
    many = first_answer.fit(prepared)
    assert many.kept.mirrored is None and not many.head.mirror_average
    np.testing.assert_array_equal(many.features, few.kept.plain[:])
    labels = prepared.sets.everything.label_indices
    assert (many.head.log_probabilities.argmax(axis=1) == labels).mean() > 0.8


@pytest.mark.skipif(not pretrained.available(), reason=f"needs {pretrained.REQUIREMENT}")
def test_photos_that_are_large_enough_are_looked_at_closely_and_not_mirrored(tmp_path, monkeypatch):
    config = TrainingConfig(data=draw_photos(tmp_path / "photos", 10, times=6), network="auto", no_cache=True)
    prepared = setup.prepare(config)
    assert prepared.image_size == setup.LARGER_SIZE == 320
    first = first_answer.fit(prepared)
    assert first.backbone.image_size == 320 and first.answers_at_once(320, 3)
    assert first.kept.mirrored is None
    labels = prepared.sets.everything.label_indices
    assert (first.head.log_probabilities.argmax(axis=1) == labels).mean() > 0.8
    found = first_answer.with_copies_together(first, prepared)
    assert found.copies == []
    monkeypatch.setattr(setup, "MOST_LARGER", 19)
    assert setup.prepare(config).image_size == 224
    monkeypatch.undo()
    for number in range(3):  # of 23; a few small ones would be enlarged
        (tmp_path / "photos" / "spots" / f"small{number}.png").write_bytes(as_png(number))
    assert setup.prepare(config).image_size == 224


def as_png(seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (200, 300, 3), np.uint8)
    return cv2.imencode(".png", noise)[1].tobytes()
