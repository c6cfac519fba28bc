"""Several ways, tried by two workers, each a real process, against the same by one."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pigeonhole.features import pretrained
from pigeonhole.model.classifier import Classifier
from pigeonhole.runs.run import Run
from pigeonhole.training.distributed import cluster
from pigeonhole.training.distributed.launcher import LOOPBACK, free_ports
from tests.support.drawn_folders import draw_photos
from tests.support.training_program import WEIGHTS, command, done

SECONDS = 300  # for a whole training; a test that needs them has failed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not pretrained.available(), reason=f"needs {pretrained.REQUIREMENT}"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Labels that are partly wrong leave mistakes, by which further ways are tried."""
    return draw_photos(tmp_path_factory.mktemp("pictures") / "photos", 24, wrong=4)


def flags(data: Path, output: Path, name: str, *more: str) -> list[str]:
    where = ["--data", data, "--output", output, "--cache-dir", data.parent / "cache", "--name", name]
    return [*map(str, where), "--precision", "float32", "--no-report", *more]


@contextlib.contextmanager
def two_workers(*arguments: str) -> Iterator[list[subprocess.Popen]]:
    """The chief and another worker of a training with these arguments."""
    addresses = [f"{LOOPBACK}:{port}" for port in free_ports(2)]
    with contextlib.ExitStack() as stack:
        workers = []
        for index in range(2):
            described = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            process = subprocess.Popen(
                command(*arguments),
                env={**os.environ, cluster.VARIABLE: json.dumps(described)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            workers.append(stack.enter_context(process))
            stack.callback(process.kill)
        yield workers


def until(begin: str, chief: subprocess.Popen) -> None:
    """Return when the chief has printed a line that begins like that."""
    next(line for line in chief.stdout if line.startswith(begin))


def test_two_workers_try_what_one_tries_and_repeat_it_to_the_same_bits(data, tmp_path):
    output = tmp_path / "runs"
    together = done(*flags(data, output, "two", "--workers", "2", "--minutes", "1.5"))
    assert together.returncode == 0, together.stderr
    two = Run(output / "two")
    assert [each["name"] for each in two.settings()["candidates"]] == ["tuned", "standard"]
    assert two.settings()["machine"]["workers"] == 2 and two.onnx_file.is_file()
    with Classifier.load(two) as classifier:
        assert classifier.predict(data / "stripes" / "020.png").argmax() == two.labels().index("stripes")
    where = ["--output", str(output), "--name"]
    again = done("--repeat", two.folder, *where, "again", "--workers", "2")
    assert again.returncode == 0 and "identical to" in again.stdout, again.stdout + again.stderr
    assert (output / "again" / WEIGHTS).read_bytes() == (two.folder / WEIGHTS).read_bytes()
    alone = done("--repeat", two.folder, *where, "alone")  # as many steps; its last bits may differ
    assert "repeated" in alone.stdout, alone.stderr
    reached = [Run(output / name).result()["attempts"] for name in ("two", "alone")]
    for one, other in zip(*reached, strict=True):
        assert one["title"] == other["title"]
        assert one["accuracy"] == pytest.approx(other["accuracy"], abs=0.11)  # one of ten pictures
        assert one["log_loss"] == pytest.approx(other["log_loss"], rel=0.3)


@pytest.mark.parametrize("after", ["run  ", "epoch"])
def test_a_signal_at_any_worker_stops_all_also_while_the_chief_works_alone(data, tmp_path, after):
    arguments = flags(data, tmp_path / "runs", "one", "--minutes", "1.5")
    with two_workers(*arguments) as workers:
        until(after, workers[0])
        workers[1].send_signal(signal.SIGTERM)
        said, errors = zip(*(worker.communicate(timeout=SECONDS) for worker in workers), strict=True)
    assert [worker.returncode for worker in workers] == [143, 143], errors
    assert "go on with" in said[0] and "has ended after step" in said[1]
    if after == "epoch":
        run = Run(tmp_path / "runs" / "one")
        assert run.has_model and not run.is_complete
        resumed = done("--resume", run.folder, "--workers", "2")
        assert resumed.returncode == 0 and run.is_complete, resumed.stderr


@pytest.mark.parametrize("after", ["run  ", "epoch"])
def test_the_loss_of_a_worker_ends_the_chief_and_fewer_go_on(data, tmp_path, after):
    with two_workers(*flags(data, tmp_path / "runs", "one", "--minutes", "1.5")) as workers:
        until(after, workers[0])
        workers[1].kill()
        _, errors = workers[0].communicate(timeout=SECONDS)
    assert workers[0].returncode == 1
    (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert "worker 1" in line and "--resume" in line and "Traceback" not in errors
    run = Run(tmp_path / "runs" / "one")
    assert run.has_model or after != "epoch", "that of the first answer"
    resumed = done("--resume", run.folder, *(["--quick", "--force"] if after != "epoch" else []))
    assert resumed.returncode == 0 and run.is_complete, resumed.stderr


def test_with_quick_the_others_end_with_the_chief(data, tmp_path):
    with two_workers(*flags(data, tmp_path / "runs", "one", "--quick")) as workers:
        said, errors = zip(*(worker.communicate(timeout=SECONDS) for worker in workers), strict=True)
    assert [worker.returncode for worker in workers] == [0, 0], errors
    assert "first answer after" in said[0] and "has ended after step 0" in said[1]
    assert Run(tmp_path / "runs" / "one").is_complete
