"""Small programs started as workers of this machine."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pigeonhole.training.distributed import launcher

ROOT = Path(__file__).parents[3]
START = "import json, os, sys, time; index = json.loads(os.environ['TF_CONFIG'])['task']['index']; "
LAUNCH = (
    "import sys; from pigeonhole.training.distributed import launcher; "
    "sys.exit(launcher.run(sys.argv[2:], int(sys.argv[1])))"
)


@contextlib.contextmanager
def launch(program: str, count: int = 2) -> Iterator[subprocess.Popen]:
    command = [sys.executable, "-c", LAUNCH, str(count), sys.executable, "-u", "-c", START + program]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def test_only_the_chief_is_heard_but_errors_of_all():
    program = "print('from', index); print('trouble \\x1b[31m', file=sys.stderr)"
    with launch(program, 3) as process:
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and out == "from 0\n"
    assert sorted(errors.splitlines()) == [
        "trouble \x1b[31m",  # the chief's own
        "worker 1: trouble �[31m",
        "worker 2: trouble �[31m",
    ]


def test_the_chiefs_status_is_the_status():
    with launch("sys.exit(7 if index == 0 else 0)") as process:
        process.communicate(timeout=60)
    assert process.returncode == 7


def test_none_is_left_when_the_chief_has_failed(monkeypatch):
    monkeypatch.setattr(launcher, "GRACE", 1.0)
    program = START + "sys.exit(3) if index == 0 else time.sleep(600)"
    assert launcher.run([sys.executable, "-c", program], 2) == 3


def test_a_chief_that_does_not_notice_is_ended_too(monkeypatch):
    monkeypatch.setattr(launcher, "GRACE", 1.0)
    assert (
        launcher.run([sys.executable, "-c", START + "time.sleep(600) if index == 0 else sys.exit(1)"], 2) == 1
    )


def test_a_chief_that_saves_after_ctrl_c_is_waited_for(monkeypatch):
    monkeypatch.setattr(launcher, "GRACE", 0.5)
    program = START + "time.sleep(3) if index == 0 else sys.exit(130)"
    assert launcher.run([sys.executable, "-c", program], 2) == 0


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be given to processes here")
def test_cores_are_shared_out_and_given_back():
    before = os.sched_getaffinity(0)
    count = len(before)
    with launch("print(len(os.sched_getaffinity(0)))", count) as process:
        out, _ = process.communicate(timeout=60)
    assert out == "1\n" and os.sched_getaffinity(0) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_go_to_the_chief(number):
    program = (
        "import signal; "
        "handler = lambda number, frame: (print('got', int(number)), sys.exit(128 + number)); "
        "[signal.signal(n, handler) for n in (2, 15)]; print('ready'); "
        # Not one long sleep: Python would miss a signal that comes just before the sleep begins.
        "[time.sleep(0.1) for _ in range(6000 * (index == 0))]"
    )
    with launch(program) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)
    assert out == f"got {int(number)}\n" and process.returncode == 128 + number
