"""`predict` into files and folders: flags and statuses, and processes that are killed at random instants."""

import csv
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pigeonhole.commands import predict
from pigeonhole.errors import UsageError
from pigeonhole.jobs.bulk import job, text_files
from pigeonhole.model.interface import ForeignCheckpoint
from pigeonhole.runs.run import Run
from tests.support import bulk_jobs, saved_runs

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return saved_runs.ready(tmp_path_factory.mktemp("home") / "run")


@pytest.fixture(scope="module")
def onnx_run(run) -> Path:
    """The same with its ONNX file, so that a process starts in a moment."""
    return saved_runs.ready(run.with_name("onnx_run"), onnx=True)


@pytest.fixture(autouse=True)
def names(tmp_path, monkeypatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    return bulk_jobs.write_pictures(Path("photos"), 6)


def test_a_job_is_resumed_sorted_and_undone_by_the_command(run, names, capsys):
    flags = ["photos", "--model", str(run), "--csv", "out.csv", "--sort-into", "sorted", "--workers", "2"]
    assert predict.main(flags) == 1
    said = capsys.readouterr()
    assert said.out == "out.csv, sorted: 6 pictures answered, 2 could not be read\n"
    assert "photos/torn.png: truncated PNG\n" in said.err
    assert predict.main([*flags, "--resume"]) == 1
    said = capsys.readouterr()
    assert said.out == "out.csv, sorted: 0 pictures answered, 8 before, 2 could not be read\n"
    os.remove("out.csv")
    assert predict.main([*flags, "--resume"]) == 1
    assert capsys.readouterr().out == "out.csv, sorted: 6 pictures answered, 2 could not be read\n"
    assert predict.main(["photos", "--model", str(run), "--sort-into", "sorted", "--resume"]) == 1
    assert capsys.readouterr().out == "sorted: 0 pictures answered, 8 before, 2 could not be read\n"
    assert predict.main(["--undo", "sorted/undo.csv"]) == 0
    assert capsys.readouterr().out == "sorted/undo.csv: 8 files removed\n" and not Path("sorted").exists()
    assert sorted(str(path) for path in Path("photos").rglob("*") if path.is_file()) == names


def test_json_lines_on_standard_output_are_nothing_but_answers(run, names, capfd):
    predict.main(["photos", "missing.png", "--model", str(run), "--jsonl", "-", "--top", "1"])
    said = capfd.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert [line["file"] for line in lines] == names and len(lines[0]["predictions"]) == 1
    assert "missing.png: no such file or folder" in said.err and "-: 6 pictures answered" in said.err


def test_standard_input_has_a_row_and_a_heatmap(run, names, monkeypatch, capfd):
    class Input:
        buffer = io.BytesIO(Path(names[0]).read_bytes())

    monkeypatch.setattr(sys, "stdin", Input)
    assert predict.main([names[1], "-", "--model", str(run), "--jsonl", "-", "--heatmaps", "seen"]) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["file"] for line in lines] == [names[1], "-"] and len(os.listdir("seen")) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device", "out.csv")])
def test_what_ends_a_job_early_says_how_to_go_on(run, monkeypatch, capsys, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(text_files.Csv, "text", fail)
    with pytest.raises((KeyboardInterrupt, OSError)):
        predict.main(["photos", "--model", str(run), "--csv", "out.csv"])
    assert (
        "stopped; what was answered so far is kept: the same command with --resume" in capsys.readouterr().err
    )
    assert Path("out.csv").read_bytes().startswith(b"\xef\xbb\xbffile,")


@pytest.mark.parametrize(
    "flags",
    [
        ["--resume"],
        ["--watch"],
        ["--workers", "2"],
        ["--workers", "0", "--csv", "x"],
        ["--link"],
        ["--sort-into", "x", "--json"],
        ["--csv", "x", "--jsonl", "y"],
        ["-", "--sort-into", "x"],
        ["--undo", "x/undo.csv"],
    ],
)
def test_flags_that_do_not_go_together_are_usage(flags, capsys):
    with pytest.raises(SystemExit) as caught:
        predict.main(["photos", *flags])
    assert caught.value.code == 2 and "error: " in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--csv", "x"], ["--resume"], ["--model", "x"], ["--link"], ["--why"]])
def test_undo_goes_with_no_other_flag(flags, capsys):
    with pytest.raises(SystemExit) as caught:
        predict.main(["--undo", "sorted/undo.csv", *flags])
    assert caught.value.code == 2 and f"--undo: takes no {flags[0]}\n" in capsys.readouterr().err


def test_places_that_cannot_be_are_told_before_the_model_is_loaded(monkeypatch):
    for flags, told in (
        (["--parquet", "-"], "--parquet -: "),
        (["--csv", "-", "--resume"], "--resume: --csv - keeps no rows"),
        (["--jsonl", "nowhere/x"], "--jsonl nowhere/x: its folder does not exist"),
        (["--csv", "photos"], "--csv photos: a folder"),
        (["--sort-into", "photos/0"], "--sort-into photos/0: lies among the pictures"),
    ):
        with pytest.raises(UsageError, match=told):
            predict.main(["photos", "--model", "nowhere", *flags])
    with pytest.raises(UsageError, match=r"--undo x.csv: no such file"):
        predict.main(["--undo", "x.csv"])


PROGRAM = """
import sys
from pigeonhole import cli
from pigeonhole.commands import predict
from pigeonhole.jobs.bulk import parquet_file

parquet_file.PART_ROWS = 100  # so that kills find parts
cli.run(predict.main)
"""


def process(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-c", PROGRAM, *arguments, "--engine", "onnx"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def kill_often(flags: list[str], kills: int, pictures: int) -> list[int]:
    """Start the job so many times, and kill it each time when it has done a random part of what is left to
    do. Gives how many lines its list had after each kill."""
    chance, listed, undo = random.Random(kills), [], Path("sorted", "undo.csv")
    for number in range(kills):
        before = listed[-1] if listed else 0
        left = max(pictures - before, 0)  # the list has a header, and a kill can leave a torn line
        enough = before + chance.randrange(2 * left // (kills - number + 1) + 1)
        with process(*flags, "--resume") as job:
            while job.poll() is None and (not undo.exists() or undo.read_bytes().count(b"\n") < enough):
                time.sleep(0.001)
            time.sleep(chance.uniform(0, 0.02))
            job.send_signal(signal.SIGKILL)
            job.communicate()
        listed.append(undo.read_bytes().count(b"\n") if undo.exists() else 0)
    return listed


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@pytest.mark.parametrize(("kind", "kills"), [("csv", 20), ("jsonl", 5), ("parquet", 5)])
def test_after_kills_at_random_instants_every_picture_is_there_once(onnx_run, names, kind, kills):
    if kind == "parquet":
        parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    names = bulk_jobs.write_pictures(Path("photos"), 1500)
    out = f"out.{kind}"
    flags = ["photos", "--model", str(onnx_run), f"--{kind}", out, "--sort-into", "sorted"]
    listed = kill_often(flags, kills, len(names))
    assert len({count for count in listed if 0 < count < len(names)}) > kills // 2
    with process(*flags, "--resume") as job:
        job.communicate()
    assert job.returncode == 1  # some pictures cannot be read
    if kind == "csv":
        with open(out, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    elif kind == "jsonl":
        rows = [json.loads(line) for line in Path(out).read_text().splitlines()]
    else:
        rows = parquet.read_table(out).to_pylist()
    assert sorted(row["file"] for row in rows) == names
    copies = [path for path in Path("sorted").rglob("*") if path.is_file() and path.name != "undo.csv"]
    assert len(copies) == len(names) == 1502
    originals = sorted(Path(name).read_bytes() for name in names)
    assert sorted(path.read_bytes() for path in copies) == originals
    assert predict.main(["--undo", "sorted/undo.csv"]) == 0
    assert not Path("sorted").exists() and sorted(map(str, Path("photos").rglob("*.*"))) == names


@pytest.mark.slow
def test_a_watched_folder_is_answered_until_ctrl_c(onnx_run):
    flags = ["photos", "--watch", "--model", str(onnx_run), "--csv", "out.csv"]
    with process(*flags) as job:
        wait_for_rows(6)
        saved_runs.write_picture(Path("photos/new.png"), 9)
        whole = Path("photos/new.png").read_bytes()
        with Path("photos/slow.png").open("wb") as file:
            for start in range(0, len(whole), len(whole) // 3):  # a slow upload
                file.write(whole[start : start + len(whole) // 3])
                file.flush()
                time.sleep(0.7)
        rows = wait_for_rows(8)
        job.send_signal(signal.SIGINT)
        said, _ = job.communicate(timeout=60)
    assert job.returncode == 0 and said.startswith("out.csv: 8 pictures answered")
    assert {row["file"] for row in rows if not row["error"]} >= {"photos/new.png", "photos/slow.png"}
    assert len({row["file"] for row in rows}) == len(rows)


def wait_for_rows(count: int) -> list[dict]:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if Path("out.csv").exists():
            with open("out.csv", encoding="utf-8-sig", newline="") as file:
                rows = list(csv.DictReader(file))
            if len(rows) >= count:
                return rows
        time.sleep(0.1)
    raise AssertionError("the rows did not come")


def test_the_digest_changes_with_the_model_the_engine_and_the_labels(run, onnx_run, tmp_path):
    other = saved_runs.save(tmp_path / "other", saved_runs.network(seed=1))
    none = ForeignCheckpoint()
    digests = [
        job.model_digest(Run(run), "tensorflow", none),
        job.model_digest(Run(other), "tensorflow", none),
        job.model_digest(Run(run), "tensorflow", ForeignCheckpoint(labels=("a", "b", "c"))),
        job.model_digest(Run(onnx_run), "onnx", none),
    ]
    assert len(set(digests)) == 4
    assert job.model_digest(Run(shutil.copytree(run, tmp_path / "copy")), "tensorflow", none) == digests[0]
