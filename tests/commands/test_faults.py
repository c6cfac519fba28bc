"""Trainings on a bad day: a full disk, pictures that vanish, a clock that jumps. Nothing learnt is lost."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from pigeonhole.model import described, interim
from pigeonhole.model.classifier import Classifier
from pigeonhole.model.interface import ForeignCheckpoint
from pigeonhole.runs import search
from pigeonhole.runs.run import Run
from tests.support import saved_runs
from tests.support.drawn_folders import draw_patches
from tests.support.training_program import ROOT, WEIGHTS, command, done, flags, resume

CHECKPOINT_BYTES = 6_300_000  # of the standard network at 20 pixels: weights, two moments, best weights
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return draw_patches(tmp_path_factory.mktemp("pictures") / "training data", 30)


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A file system in memory, as small as the options say."""
    folder.mkdir()
    if os.name != "posix" or os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can mount a small disk")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
    if made.returncode:
        pytest.skip(f"no small disk can be mounted here: {made.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(folder: Path) -> Path:
    """Fill the disk with a file until not a byte is free, though others write to it meanwhile."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(bytes(4096))
    return filler


@pytest.mark.slow
def test_a_disk_that_fills_stops_the_training_and_leaves_its_last_state(data, tmp_path):
    with mounted(tmp_path / "disk", f"size={6 * CHECKPOINT_BYTES}") as disk:
        arguments = flags(data, disk, "run", "--epochs", "200", "--log-every", "1", "--no-cache")
        with subprocess.Popen(
            command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            for line in process.stdout:
                if line.startswith("step 100/"):
                    filler = fill(disk)
                    break
            _, errors = process.communicate(timeout=120)
        run = disk / "run"
        assert process.returncode == 1
        (line,) = errors.splitlines()
        assert os.strerror(errno.ENOSPC) in line
        assert f"go on with: python {ROOT / 'train.py'} --resume {run}" in line
        with Classifier.load(run) as classifier:
            assert len(classifier.classes) == 3
        filler.unlink()
        assert resume(run, "--steps", "120", "--force") == 0
        assert Run(run).has_model


def test_a_model_for_which_the_disk_has_no_room_leaves_the_run_as_it_was(tmp_path):
    with mounted(tmp_path / "disk", "size=200k") as disk:
        with pytest.raises(OSError, match=r"cannot be written|No space"):
            saved_runs.save(disk / "run")
        assert not Run(disk / "run").has_model
        assert list((disk / "run").iterdir()) == []


def test_where_the_digests_find_no_room_the_model_before_still_answers(tmp_path):
    run = Run(saved_runs.save(tmp_path / "run"))
    before = (run.folder / WEIGHTS).read_bytes()
    in_the_way = run.seals_file.with_name(f".{run.seals_file.name}.{os.getpid()}")
    in_the_way.mkdir()
    with pytest.raises(OSError):
        saved_runs.save(run.folder, saved_runs.network(seed=1), replace=True)
    in_the_way.rmdir()
    assert (run.folder / WEIGHTS).read_bytes() == before
    with Classifier.load(run, engine="tensorflow") as classifier:
        assert classifier.classes == saved_runs.CLASSES


def test_a_contract_that_finds_no_room_leaves_the_one_before(tmp_path):
    with mounted(tmp_path / "disk", "size=100k") as disk:
        checkpoint = Run(disk, "net")
        file = described.write(ForeignCheckpoint(labels=["dogs", "cats"]), checkpoint)
        before = file.read_bytes()
        fill(disk)
        with pytest.raises(OSError) as told:
            described.write(ForeignCheckpoint(labels=["cats", "dogs"]), checkpoint)
        assert told.value.errno == errno.ENOSPC and told.value.filename == str(file)
        assert file.read_bytes() == before and {path.name for path in disk.iterdir()} == {
            file.name,
            "filler",
        }


def test_a_checkpoint_for_other_programs_that_finds_no_room_leaves_those_before(tmp_path):
    values = {"weights": np.ones(20_000, np.float32), "global_step": np.int64(1)}
    with mounted(tmp_path / "disk", "size=200k") as disk:
        interim.write(disk, b"graph", values)
        held = {file: file.read_bytes() for file in disk.iterdir()}
        fill(disk)
        with pytest.raises(OSError, match=r"cannot be written .*(No space|space left)"):
            interim.write(disk, b"graph", {**values, "global_step": np.int64(2)})
        (disk / "filler").unlink()
        assert {file: file.read_bytes() for file in disk.iterdir()} == held


def test_an_output_folder_that_cannot_be_written_is_told_before_any_work(data, tmp_path):
    with mounted(tmp_path / "disk", "size=1m,ro") as disk:
        refused = done(*flags(data, disk / "runs", "run", "--no-cache"))
    assert refused.returncode == 2 and refused.stdout == ""
    (line,) = refused.stderr.splitlines()
    assert os.strerror(errno.EROFS) in line and str(disk) in line


@pytest.mark.slow
def test_pictures_that_vanish_or_change_while_training_do_no_harm(data, tmp_path):
    own = shutil.copytree(data, tmp_path / "own")
    arguments = flags(own, tmp_path / "runs", "run", "--log-every", "1")
    arguments.remove("--no-report")
    with subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            if line.startswith("step 2/"):
                for picture in (own / "rot").iterdir():
                    picture.unlink()
                for picture in (own / "blau").iterdir():
                    picture.write_bytes(b"no picture any more")
                break
        _, errors = process.communicate(timeout=200)
    assert process.returncode == 0 and not errors
    untouched = flags(data, tmp_path / "runs", "untouched")
    assert done(*untouched).returncode == 0
    run = tmp_path / "runs" / "run"
    assert (run / WEIGHTS).read_bytes() == (tmp_path / "runs" / "untouched" / WEIGHTS).read_bytes()
    assert (run / "report.html").is_file()


@pytest.mark.slow
def test_two_trainings_share_a_folder_for_runs(data, tmp_path):
    unnamed = [
        flag for flag in flags(data, tmp_path / "runs", "", "--steps", "3") if flag not in ("--name", "")
    ]
    unnamed = [flag for flag in unnamed if flag not in ("--epochs", "6")]
    both = [
        subprocess.Popen(command(*unnamed), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in both:
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors
    made = [run for run in (tmp_path / "runs").iterdir() if run.name != "cache"]
    assert len(made) == 2 and all(Run(run).has_model for run in made)


@pytest.mark.slow
@pytest.mark.skipif(FAKETIME is None, reason="needs libfaketime (Debian: faketime)")
def test_a_clock_that_jumps_does_not_matter(data, tmp_path):
    """Forwards by years while it trains, then back to before it began; killed and resumed in between."""
    clock = tmp_path / "clock"
    clock.write_text("+0")
    jumping = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    arguments = flags(data, tmp_path, "run", "--log-every", "1")
    with subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, text=True, env={**os.environ, **jumping}
    ) as process:
        for line in process.stdout:
            if line.startswith("step 10/"):
                clock.write_text("+5y")
            if line.startswith("step 20/"):
                clock.write_text("-30d")
            if line.startswith("step 40/"):
                process.kill()
                break
        process.communicate(timeout=120)
    run = tmp_path / "run"
    assert search.last_interrupted(tmp_path).folder == run
    resumed = subprocess.run(
        [sys.executable, ROOT / "train.py", "--resume", "--output", tmp_path],
        env={**os.environ, **jumping},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert resumed.returncode == 0, resumed.stderr
    assert done(*flags(data, tmp_path, "steady")).returncode == 0
    assert (run / WEIGHTS).read_bytes() == (tmp_path / "steady" / WEIGHTS).read_bytes()
