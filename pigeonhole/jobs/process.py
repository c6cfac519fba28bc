"""A command of this package in a process of its own: started, listened to, stopped."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from pigeonhole import cli

MOST_LINES = 200  # kept of what it has said
NICENESS = 5  # so that whoever has started it stays quick
INTERRUPT = signal.SIGINT if os.name != "nt" else signal.CTRL_BREAK_EVENT
ERROR = "error: "  # before the line by which a command says why it has failed


class Process:
    """The command `name` with these arguments, from its start to its end.

    ended  is called, by a thread, once it has ended

    A signal to this process, such as Ctrl-C at the terminal, does not reach it.
    """

    def __init__(self, name: str, arguments: Sequence[str], ended: Callable[[], None]):
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._ended = ended
        self._began, self._seconds = time.monotonic(), None
        apart = {"start_new_session": True}
        if os.name == "nt":
            apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        self._process = subprocess.Popen(
            [*cli.process(name), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
            **apart,
        )
        if hasattr(os, "setpriority"):
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self._process.pid, os.nice(0) + NICENESS)
        self._thread = threading.Thread(target=self._listen, name=name, daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Until `ended` has been called."""
        return self._seconds is None

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative where a signal has killed it."""
        return self._process.poll()

    @property
    def seconds(self) -> float:
        """For how long it has run."""
        return time.monotonic() - self._began if self._seconds is None else self._seconds

    @property
    def lines(self) -> list[str]:
        """What it has said last."""
        return list(self._lines)

    @property
    def reason(self) -> str:
        """Why it has failed, by its own last line."""
        lines = [line for line in self.lines if line.strip()]
        told = [line.removeprefix(ERROR) for line in lines if line.startswith(ERROR)]
        return (told or lines or ["it has ended without a word"])[-1]

    def interrupt(self) -> None:
        """Ask it to end, as Ctrl-C does."""
        self._process.send_signal(INTERRUPT)

    def terminate(self, patience: float) -> None:
        """Ask it to end at once, and wait for it; after so many seconds it is killed."""
        self._process.terminate()
        self._thread.join(patience)
        if self._thread.is_alive():
            self._process.kill()
            self._thread.join()

    def _listen(self) -> None:
        for line in self._process.stdout:
            self._lines.append(line.rstrip())
        self._process.stdout.close()
        self._process.wait()
        seconds = time.monotonic() - self._began
        try:
            self._ended()
        finally:
            self._seconds = seconds
