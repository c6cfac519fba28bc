import os
import re
from pathlib import Path

import pytest

from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.runs import runs


def _write_model(folder: Path, name: str = "model", checkpoint: str | None = None, parts: int = 1) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    suffixes = [".meta", ".index", *(f".data-{part:05}-of-{parts:05}" for part in range(parts))]
    for suffix in suffixes:
        (folder / f"{name}{suffix}").write_bytes(b"x")
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "{checkpoint or name}"\n')
    return folder


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_new_runs_are_named_by_date_and_never_shared():
    first, second = (runs.new_run(Path("runs")) for _ in range(2))
    assert first != second and first.is_dir() and second.is_dir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d(_\d+)?", first.name)


def test_named_run():
    assert runs.new_run(Path("a/b"), "été 1") == Path("a/b/été 1")
    with pytest.raises(UsageError, match="exists already"):
        runs.new_run(Path("a/b"), "été 1")


@pytest.mark.parametrize("name", ["", " ", ".", "..", "../up", "a/b", "a\\b", "C:x"])
def test_name_that_is_no_folder_name(name):
    with pytest.raises(UsageError, match="plain folder name"):
        runs.new_run(Path("runs"), name)


def test_newest_is_the_one_finished_last():
    assert runs.newest(Path("runs")) is None
    for age, name in enumerate(("new", "old", "older")):
        _write_model(Path("runs", name))
        os.utime(Path("runs", name, "checkpoint"), (2e9 - age, 2e9 - age))
    Path("runs/unfinished").mkdir()
    _write_model(Path("runs/other"), "not-ours")
    Path("runs/notes.txt").touch()
    assert runs.newest(Path("runs")) == Path("runs/new")
    assert runs.find() == Path("runs/new/model")


@pytest.mark.parametrize("named", ["runs/a", "a", "runs/a/model.meta", "runs/a/model"])
def test_find_takes_a_folder_a_name_and_a_path(named):
    _write_model(Path("runs/a"))
    assert runs.find(named) == Path("runs/a/model")
    assert runs.find(Path(named)) == Path("runs/a/model")


def test_find_takes_checkpoints_of_other_programs():
    _write_model(Path("old"), "dogs-cats-model-500", parts=2)
    assert runs.find("old") == Path("old/dogs-cats-model-500")
    _write_model(Path("moved"), "café", checkpoint=r"/home/someone/caf\303\251")
    assert runs.find("moved") == Path("moved/café")
    _write_model(Path("windows"), "m", checkpoint=r"C:\\work\\m")
    assert runs.find("windows") == Path("windows/m")


def test_no_run_yet(monkeypatch):
    monkeypatch.setattr(runs, "_CHECKOUT_RUNS", Path("checkout/runs"))
    with pytest.raises(UsageError, match=r"no run yet; train first: pigeonhole train --data training_data"):
        runs.find()
    runs.new_run(Path("runs"), "killed")
    with pytest.raises(UsageError, match=r"unfinished runs.killed; train first"):
        runs.find()
    _write_model(Path("checkout/runs/b"))
    assert runs.find() == Path("checkout/runs/b/model")
    assert runs.find("b") == Path("checkout/runs/b/model")
    _write_model(Path("runs/a"))
    assert runs.find() == Path("runs/a/model")  # here before the checkout


@pytest.mark.parametrize("named", ["nothing", "nothing.meta", "a/nothing"])
def test_unknown_model(named):
    with pytest.raises(UsageError, match=f"{named}: no such run"):
        runs.find(named)


def test_unfinished_run_is_named():
    runs.new_run(Path("runs"), "killed")
    with pytest.raises(PigeonholeError, match="killed: the run is not finished"):
        runs.find("killed")


@pytest.mark.parametrize("gone", ["model.meta", "model.index", "model.data-00001-of-00002"])
def test_missing_file_is_named(gone):
    _write_model(Path("runs/a"), parts=2)
    Path("runs/a", gone).unlink()
    with pytest.raises(PigeonholeError, match=r"missing|1 of 2 files"):
        runs.find("a")


def test_checkpoint_that_leads_out_of_its_folder():
    _write_model(Path("runs/a"))
    _write_model(Path("runs/b"), checkpoint="../a/model")
    with pytest.raises(PigeonholeError, match="points elsewhere"):
        runs.find("b")
    _write_model(Path("runs/b"), checkpoint=str(Path("runs/a/model").resolve()))
    with pytest.raises(PigeonholeError, match="points elsewhere"):
        runs.find("b")
    assert not runs.is_finished(Path("runs/b"))
