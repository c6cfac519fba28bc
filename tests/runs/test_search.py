import os
import shutil
from pathlib import Path

import pytest

from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.runs import creation, search
from pigeonhole.runs.run import Run


def _write_model(folder: Path, name: str = "model", checkpoint: str | None = None, parts: int = 1) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    suffixes = [".meta", ".index", *(f".data-{part:05}-of-{parts:05}" for part in range(parts))]
    for suffix in suffixes:
        (folder / f"{name}{suffix}").write_bytes(b"x")
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "{checkpoint or name}"\n')
    return Run(folder, name)


def _write_state(folder: Path) -> Run:
    """A state of a training that has not come to its end."""
    run = Run(folder)
    run.checkpoints_folder.mkdir(parents=True)
    (run.checkpoints_folder / "step-0000000001.npz").touch()
    run.write_settings({})
    return run


def _age(run: Run, age: int) -> None:
    """Let everything in the run have been written `age` seconds before some moment."""
    for path in (run.folder, *run.folder.rglob("*")):
        os.utime(path, (1e9 - age, 1e9 - age))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_newest_is_the_one_finished_last():
    assert search.newest(Path("runs")) is None
    for age, name in enumerate(("new", "old", "older")):
        _age(_write_model(Path("runs", name)), age)
    Path("runs/unfinished").mkdir()
    _write_model(Path("runs/other"), "not-ours")
    Path("runs/notes.txt").touch()
    assert search.newest(Path("runs")) == search.find() == Run(Path("runs/new"))


def test_a_finished_run_comes_before_newer_ones_that_are_not():
    _age(_write_model(Path("runs/finished")), 300)
    stopped = _write_state(Path("runs/stopped"))
    _write_model(stopped.folder)  # the best so far, as Ctrl-C leaves it
    _age(stopped, 200)
    _age(_write_state(Path("runs/killed")), 100)
    assert [run.name for run in search.newest_first(Path("runs"))] == ["killed", "stopped", "finished"]
    assert search.find() == Run(Path("runs/finished"))
    assert search.find("stopped") == stopped and search.find("killed").is_interrupted
    shutil.rmtree("runs/finished")
    assert search.find() == stopped  # which has a model, and the newer one has none
    shutil.rmtree("runs/stopped")
    assert search.find() == Run(Path("runs/killed"))


def test_the_last_interrupted_is_the_last_by_time():
    for age, name in enumerate(("b", "c", "a")):
        _age(_write_state(Path("runs", name)), age)
    assert search.find() == search.last_interrupted(Path("runs")) == Run(Path("runs/b"))
    with Run(Path("runs/b")).held():
        assert search.last_interrupted(Path("runs")) == Run(Path("runs/c"))


@pytest.mark.parametrize(
    "text", ["", "{", "\0\xff", 'model_checkpoint_path: "\\x"\n', 'model_checkpoint_path: "é"\n', None]
)
def test_damaged_runs_are_passed_over_in_the_search(text, capsys):
    _age(_write_model(Path("runs/good")), 9)
    damaged = _write_model(Path("runs/damaged")).checkpoint_file
    damaged.unlink()
    damaged.mkdir() if text is None else damaged.write_text(text, "utf-8")
    assert search.find() == Run(Path("runs/good"))
    said = capsys.readouterr().err
    assert said.startswith(f"passed over {damaged.parent}: {damaged}: ") and said.count("\n") == 1
    with pytest.raises(PigeonholeError, match=r"damaged.checkpoint: (damaged|cannot be read)"):
        search.find("damaged")


def test_incomplete_runs_are_passed_over_in_the_search(capsys):
    _age(_write_model(Path("runs/good")), 9)
    (_write_model(Path("runs/bad")).folder / "model.index").unlink()
    assert search.find() == Run(Path("runs/good"))
    assert "passed over" in capsys.readouterr().err
    shutil.rmtree("runs/good")
    with pytest.raises(UsageError, match=r"only the unfinished runs.bad"):
        search.find()


@pytest.mark.parametrize("named", ["runs/a", "a", "runs/a/model.meta", "runs/a/model"])
def test_find_takes_a_folder_a_name_and_a_path(named):
    run = _write_model(Path("runs/a"))
    assert search.find(named) == search.find(Path(named)) == search.find(run) == run
    assert run.prefix == Path("runs/a/model")


def test_find_takes_checkpoints_of_other_programs():
    _write_model(Path("old"), "dogs-cats-model-500", parts=2)
    assert search.find("old").prefix == Path("old/dogs-cats-model-500")
    assert search.find("old/dogs-cats-model-500.meta") == Run(Path("old"), "dogs-cats-model-500")
    _write_model(Path("moved"), "café", checkpoint=r"/home/someone/caf\303\251")
    assert search.find("moved").prefix == Path("moved/café")
    _write_model(Path("windows"), "m", checkpoint=r"C:\\work\\m")
    assert search.find("windows").prefix == Path("windows/m")


def test_no_run_yet():
    with pytest.raises(UsageError, match=r"no run yet; train first: pigeonhole train --data training_data"):
        search.find()
    creation.create(Path("runs"), "killed")
    with pytest.raises(UsageError, match=r"unfinished runs.killed; train first"):
        search.find()
    _write_model(Path("runs/a"))
    assert search.find() == Run(Path("runs/a"))


@pytest.mark.parametrize("named", ["nothing", "nothing.meta", "a/nothing"])
def test_unknown_model(named):
    with pytest.raises(UsageError, match=f"{named}: no such run"):
        search.find(named)


def test_unfinished_run_is_named():
    creation.create(Path("runs"), "killed")
    with pytest.raises(PigeonholeError, match="killed: the run is not finished"):
        search.find("killed")


def test_a_run_whose_first_answer_is_not_saved_as_a_graph_yet_answers_by_its_onnx_file():
    run = creation.create(Path("runs"), "begun")
    run.onnx_file.write_bytes(b"")
    assert search.find("begun") == Run(run.onnx_file)


@pytest.mark.parametrize("gone", ["model.meta", "model.index", "model.data-00001-of-00002"])
def test_missing_file_is_named(gone):
    _write_model(Path("runs/a"), parts=2)
    Path("runs/a", gone).unlink()
    with pytest.raises(PigeonholeError, match=r"missing|1 of 2 files"):
        search.find("a")


def test_checkpoint_that_leads_out_of_its_folder():
    _write_model(Path("runs/a"))
    _write_model(Path("runs/b"), checkpoint="../a/model")
    with pytest.raises(PigeonholeError, match="points elsewhere"):
        search.find("b")
    _write_model(Path("runs/b"), checkpoint=str(Path("runs/a/model").resolve()))
    with pytest.raises(PigeonholeError, match="points elsewhere"):
        search.find("b")
    assert not Run(Path("runs/b")).has_model
