"""Signals are real ones, sent to this process."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pigeonhole.interrupts import Stopped, StopRequest


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_noted_and_raised_when_asked(number, status):
    with StopRequest() as request:
        request.check()
        os.kill(os.getpid(), number)
        with pytest.raises(Stopped):
            request.check()
    assert request.exit_status == status


def test_in_another_thread_no_signal_is_noted_and_none_is_needed():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work() -> None:
        with StopRequest() as request:
            seen.append(signal.getsignal(signal.SIGINT))
            request.check()
            seen.append(request.exit_status)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before, 0]


@pytest.fixture
def interruptible():
    """Python's own answer to Ctrl-C, which a process started in the background does not have."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_second_ctrl_c_acts_at_once(interruptible):
    with pytest.raises(KeyboardInterrupt), StopRequest():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_a_second_termination_kills_even_what_does_not_listen():
    code = (
        "import os, signal; from pigeonhole import interrupts\ninterrupts.raise_when_terminated()\n"
        "with interrupts.StopRequest():\n    for _ in range(2): os.kill(os.getpid(), signal.SIGTERM)"
    )
    root = Path(__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == -signal.SIGTERM


def test_after_ctrl_c_and_the_block_a_termination_is_told_again(interruptible):
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest():
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) == before
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_without_a_signal_nothing_is_left_behind():
    before = signal.getsignal(signal.SIGINT)
    with StopRequest() as request:
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
    assert request.exit_status == 0
