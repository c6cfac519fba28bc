"""How each way of `--network auto` is trained: picture size, and its share of the time."""

import pytest

from pigeonhole.features import pretrained
from pigeonhole.jobs import candidates
from pigeonhole.jobs.auto_job import AutoJob
from pigeonhole.runs.config import TrainingConfig
from tests.support.drawn_folders import draw_patches, draw_photos

pytestmark = pytest.mark.skipif(not pretrained.available(), reason=f"needs {pretrained.REQUIREMENT}")
TUNED, STANDARD = candidates.CANDIDATES


def sizes(data) -> list[int]:
    """The side at which each candidate looks at these pictures."""
    setup = AutoJob(TrainingConfig(data=data, network="auto", no_cache=True)).setup
    return [
        candidates.recipe_of(each, candidates.own_setup(setup, each)).image_size
        for each in candidates.CANDIDATES
    ]


def test_thumbnails_are_enlarged_for_the_pretrained_network_very_many_less(tmp_path, monkeypatch):
    data = draw_patches(tmp_path / "thumbnails", 6)
    assert sizes(data) == [160, 32]
    monkeypatch.setattr(candidates, "MANY", 4)
    assert sizes(data) == [candidates.ENLARGED_MANY, 32]


def test_photos_are_shown_at_the_size_of_each_network_however_many_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(candidates, "MANY", 4)
    assert sizes(draw_photos(tmp_path / "photos", 6)) == [224, 128]


def test_of_the_time_for_thumbnails_the_pretrained_network_takes_more():
    assert TUNED.share_at(32) > TUNED.share_at(224)
    assert STANDARD.share_at(32) == STANDARD.share_at(224) == 1  # the rest


def test_of_each_the_network_with_the_lowest_loss_is_kept(tmp_path):
    config = TrainingConfig(data=draw_patches(tmp_path / "thumbnails", 6), network="auto", no_cache=True)
    assert candidates.make(AutoJob(config).setup, STANDARD, None, None).keeps_by_loss
