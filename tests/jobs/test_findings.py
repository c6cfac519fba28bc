"""Which studies an automatic training makes by itself, and which only where a flag asks for them."""

import shutil
from dataclasses import replace

import pytest

from pigeonhole.errors import PigeonholeError
from pigeonhole.features import pretrained
from pigeonhole.jobs import findings, first_answer, setup
from pigeonhole.jobs.auto_job import AutoJob
from pigeonhole.runs.config import TrainingConfig
from tests.support.drawn_folders import draw_photos

needs_weights = pytest.mark.skipif(not pretrained.available(), reason=f"needs {pretrained.REQUIREMENT}")


def config(folder, count: int = 12, **flags) -> TrainingConfig:
    data = draw_photos(folder / "photos", count)
    cache = folder / "cache"
    return TrainingConfig(data=data, network="auto", cache_dir=cache, output=folder / "runs", **flags)


@pytest.mark.parametrize(
    ("flag", "count", "message"),
    [("check_unseen", 2, "at least 3 classes, not 2"), ("learning_curve", 2, "at least 16 .* not 4")],
)
def test_too_few_pictures_for_what_is_asked_are_said_before_any_training(tmp_path, flag, count, message):
    with pytest.raises(PigeonholeError, match=message):
        AutoJob(config(tmp_path, count, **{flag: True}))
    assert not (tmp_path / "runs").exists()


def test_a_thousand_pictures_are_studied_at_once_and_a_million_are_not():
    for seconds in (findings.curve_seconds, findings.unseen_seconds):
        assert seconds(1000, 10) < findings.MOST_SECONDS < seconds(1_000_000, 300)
    assert findings.unseen_seconds(1_000_000, 100) < findings.MOST_SECONDS


@needs_weights
@pytest.mark.slow
def test_a_flag_asks_for_what_takes_long(tmp_path, monkeypatch, capsys):
    """With `MOST_SECONDS` at 0 everything takes long."""
    given = config(tmp_path, no_report=True, learning_curve=True)
    shutil.copytree(given.data / "spots", given.data / "third")
    prepared = setup.prepare(given)
    first = first_answer.with_copies_together(first_answer.fit(prepared), prepared)
    found = findings.look(prepared, first)
    assert found.learning_curve.pictures == 36 and found.unseen is None and found.suspects is None
    usual = replace(given, no_report=False, learning_curve=False)
    everything = findings.look(replace(prepared, config=usual), first)
    assert set(everything.unseen.classes) == {"spots", "stripes", "third"}
    assert everything.suspects is not None and everything.copies == []
    capsys.readouterr()
    monkeypatch.setattr(findings, "MOST_SECONDS", 0)
    some = findings.look(replace(prepared, config=replace(usual, check_unseen=True)), first)
    assert some.learning_curve is None and some.unseen == everything.unseen
    assert "the check for unseen classes takes about 1 s" in capsys.readouterr().out
