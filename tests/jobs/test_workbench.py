"""Trainings that a page starts: one at a time, stopped so that they can be resumed, listed, compared."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from pigeonhole.errors import UsageError
from pigeonhole.jobs import workbench
from pigeonhole.jobs.workbench import Source, Workbench
from pigeonhole.labelling.journal import Journal
from pigeonhole.model.export.exporter import exporter_of, place_of
from tests.support import run_folders
from tests.support.labelling_sessions import draw_heap, wait_until

SECONDS = 240  # for a training of a small network on a busy machine


@pytest.fixture
def heap(tmp_path):
    """Pictures of two colours, with the journal that labels them."""
    colour_of = draw_heap(tmp_path / "heap", 12)
    journal = Journal(tmp_path / "heap" / "labels.csv")
    journal.act("all", colour_of, {}, "page")
    return tmp_path / "heap"


def open_bench(heap: Path, *flags: str, **given) -> Workbench:
    flags = (*flags, "--cache-dir", str(heap.parent / "cache"))
    return Workbench(Source(heap, heap / "labels.csv", heap.parent / "runs", flags), **given)


def wait_for_end(bench: Workbench) -> workbench.Job:
    wait_until(lambda: bench.job.state != workbench.RUNNING, SECONDS)
    return bench.job


def test_the_forms_lie_where_export_puts_them():
    assert {form: place_of(exporter_of(form)) for form in workbench.FORMS} == workbench.FORMS


def test_runs_of_other_folders_are_not_listed(tmp_path):
    run = run_folders.make(tmp_path / "runs")
    (tmp_path / "runs" / "pictures").rename(tmp_path / "pictures")
    run.settings_file.write_text(json.dumps({"options": {"data": str(tmp_path / "pictures")}}))
    bench = Workbench(Source(tmp_path / "pictures", tmp_path / "labels.csv", tmp_path / "runs"))
    (kept,) = bench.runs
    assert (kept.name, kept.state, kept.has_model, kept.forms) == ("run", "finished", True, [])
    assert bench.newest == run and bench.run("run") == run and bench.compared() is None
    stopped = run_folders.make(tmp_path / "more")
    stopped.checkpoints_folder.mkdir()
    stopped.settings_file.write_text(run.settings_file.read_text())
    stopped.folder.rename(tmp_path / "runs" / "stopped")
    assert {each.name: each.state for each in bench.runs} == {"run": "finished", "stopped": "stopped"}
    assert bench.newest == run
    shutil.rmtree(tmp_path / "runs" / "stopped")
    run.exports_folder.mkdir()
    (run.exports_folder / workbench.FORMS["onnx"]).write_bytes(b"")
    assert bench.runs[0].forms == ["onnx"]
    os.utime(run.exports_folder / workbench.FORMS["onnx"], (1, 1))
    assert bench.runs[0].forms == [], "of an earlier model"
    other = Workbench(Source(tmp_path / "elsewhere", tmp_path / "labels.csv", tmp_path / "runs"))
    assert other.runs == [] and other.newest is None
    with pytest.raises(UsageError, match="no run of that name"):
        other.resume("run")


def test_a_run_says_by_which_pictures_it_is_judged(tmp_path):
    run = run_folders.make(tmp_path)
    run.settings_file.write_text(json.dumps({"options": {"data": str(tmp_path / "pictures")}}))
    bench = Workbench(Source(tmp_path / "pictures", tmp_path / "labels.csv", tmp_path))
    result = {"expected_accuracy": 0.9, "interval_95": [0.8, 0.95], "validation_pictures": 40}
    for kept_apart, told in ((result, False), ({**result, "out_of_fold": True}, True)):
        run.write_result(kept_apart)
        (kept,) = bench.runs
        assert (kept.accuracy, kept.out_of_fold) == ((0.9, 0.8, 0.95, 40), told)
    run.write_result({"expected_accuracy": 0.9})
    assert bench.runs[0].accuracy is None


@pytest.mark.slow
def test_a_training_by_the_journal_then_another_that_is_stopped_and_resumed(heap):
    written = []
    with open_bench(heap, "--network", "standard", "--no-report", finished=written.append) as bench:
        bench.train(quick=False, minutes=0.05)
        with pytest.raises(UsageError, match="running already"):
            bench.train(quick=False)
        job = wait_for_end(bench)
        assert job.state == workbench.DONE, job.said
        assert [run.name for run in written] == ["heap-1"] and bench.newest.name == "heap-1"
        assert bench.runs[0].accuracy and bench.runs[0].has_curves
        bench.train(quick=False, minutes=30)
        wait_until(lambda: bench.job.done, SECONDS)
        assert bench.job.total > bench.job.done and bench.job.seconds_left > 0
        assert [(run.name, run.state) for run in bench.runs] == [
            ("heap-2", "training"),
            ("heap-1", "finished"),
        ]
        bench.stop()
        assert wait_for_end(bench).state == workbench.STOPPED
        assert bench.runs[0].state == "stopped" and bench.runs[0].has_model
        bench.resume("heap-2")
        wait_until(lambda: bench.job.done, SECONDS)
        began = time.monotonic()
    assert bench.job.state == workbench.STOPPED and time.monotonic() - began < workbench.PATIENCE
    assert bench.runs[0].state == "stopped"
    with pytest.raises(UsageError, match="about to end"):
        bench.train(quick=True)


@pytest.mark.slow
def test_a_model_answers_while_it_is_judged(heap):
    with open_bench(heap) as bench:
        bench.train(quick=True)
        stages = []
        while (job := bench.job).state == workbench.RUNNING:
            if not stages or stages[-1][0] != job.stage:
                stages.append((job.stage, bench.run_of(job).has_model))
            time.sleep(0.02)
    assert job.state == workbench.DONE, job.said
    assert [stage for stage, _ in stages] == [workbench.READING, workbench.FITTING, workbench.JUDGING]
    assert stages[-1][1] and bench.runs[0].out_of_fold and bench.runs[0].accuracy[-1] == 24


@pytest.mark.slow
def test_why_a_job_failed_and_two_runs_compared(heap):
    with open_bench(heap, "--network", "standard", "--steps", "4", "--no-report") as bench:
        for _ in range(2):
            bench.train(quick=False)
            assert wait_for_end(bench).state == workbench.DONE, bench.job.said
        compared = bench.compared()
        assert (compared.run, compared.before) == ("heap-2", "heap-1")
        assert compared.comparison.total == len(bench.run("heap-2").judged()) > 0
        bench.export("heap-2", "onnx")
        assert wait_for_end(bench).state == workbench.DONE, bench.job.said
        assert bench.runs[0].forms == ["onnx"]
        with pytest.raises(UsageError, match="no form"):
            bench.export("heap-2", "picture")
        (heap / "labels.csv").unlink()
        bench.train(quick=False)
        job = wait_for_end(bench)
        assert job.state == workbench.FAILED and "heap" in job.reason and "Traceback" not in "".join(job.said)
