"""Ctrl-C and termination as a polite request: the step under way is finished, and nothing is lost."""

import signal
import threading
from types import FrameType


class Stopped(Exception):
    """Raised by `StopRequest.check` once a signal has asked the program to stop."""


class Terminated(BaseException):
    """Raised by the first SIGTERM after `raise_when_terminated`, as KeyboardInterrupt is by Ctrl-C."""


def raise_when_terminated() -> None:
    """Let SIGTERM raise `Terminated` in the main thread, so that every `finally` runs; a second one kills."""
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    raise Terminated


class StopRequest:
    """Within its `with` block, SIGINT and SIGTERM only leave a note, which `check` turns into `Stopped`.

    A second signal acts at once, as without the block. `exit_status` is 128 + the signal's number: 130 after
    Ctrl-C, 143 after a termination. Only the main thread hears signals; in another one none is noted.
    """

    def __init__(self):
        self._received: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "StopRequest":
        is_main = threading.current_thread() is threading.main_thread()
        for number in (signal.SIGINT, signal.SIGTERM) if is_main else ():
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        self._restore()

    @property
    def exit_status(self) -> int:
        return 128 + self._received if self._received else 0

    def check(self) -> None:
        """Raise `Stopped` if a signal has come."""
        if self._received:
            raise Stopped

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._received = number
        signal.signal(signal.SIGINT, self._before[signal.SIGINT])
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # ends also what hangs outside of Python

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())
