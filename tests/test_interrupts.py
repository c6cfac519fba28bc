"""Signals are real ones, sent to this process."""

import os
import signal

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


def test_without_a_signal_nothing_is_left_behind():
    before = signal.getsignal(signal.SIGINT)
    with StopRequest() as request:
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
    assert request.exit_status == 0
