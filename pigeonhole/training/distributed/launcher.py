"""Several workers as processes of this one machine, to try out how a training goes on several."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence

from pigeonhole import cli
from pigeonhole.terminal import shown
from pigeonhole.training.distributed.cluster import VARIABLE

LOOPBACK = "127.0.0.1"
ENDED_WELL = (0, cli.INTERRUPTED, cli.TERMINATED)  # after these the chief has its own work to finish
GRACE = 90.0  # seconds for the others to notice by themselves that one has ended, and to say so


def run(command: Sequence[str], count: int) -> int:
    """Run `command` as `count` workers that share out this machine's cores; the chief's exit status.

    The chief writes to this process' own output, the others' errors come with their number before each line.
    SIGINT and SIGTERM go to the chief, which stops all; a second one ends them at once. When one fails, all
    are ended.
    """
    addresses = [f"{LOOPBACK}:{port}" for port in free_ports(count)]
    with contextlib.ExitStack() as stack:
        workers: list[subprocess.Popen] = []
        stack.enter_context(_signals_passed_on(workers))
        for index in range(count):
            workers.append(stack.enter_context(_worker(command, addresses, index)))
        return _wait(workers)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody uses at this moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((LOOPBACK, 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def _worker(command: Sequence[str], addresses: Sequence[str], index: int) -> Iterator[subprocess.Popen]:
    """A started worker; killed at the end unless it has ended by itself."""
    cluster = {"cluster": {"worker": list(addresses)}, "task": {"type": "worker", "index": index}}
    # The processes would only take one GPU's memory from each other.
    environment = {**os.environ, VARIABLE: json.dumps(cluster), "CUDA_VISIBLE_DEVICES": "-1"}
    others = {} if index == 0 else {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with _share_of_cores(index, len(addresses)):
        # In a session of its own: Ctrl-C at the terminal reaches the launcher alone.
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True, text=True, **others
        )
    reader = threading.Thread(target=_prefix_errors, args=(process, index), daemon=True)
    if index:
        reader.start()
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if index:
            reader.join()


@contextlib.contextmanager
def _share_of_cores(index: int, count: int) -> Iterator[None]:
    """What is started meanwhile may use every `count`th core, or one where there are more workers."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[index::count] or [cores[index % len(cores)]])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _prefix_errors(process: subprocess.Popen, index: int) -> None:
    for line in process.stderr:
        # In one piece: the lines of several workers must not mix.
        print(f"worker {index}: {shown(line.rstrip())}\n", end="", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _signals_passed_on(workers: Sequence[subprocess.Popen]) -> Iterator[None]:
    asked = False

    def pass_on(number: int, frame: object) -> None:
        nonlocal asked
        if not workers:
            raise KeyboardInterrupt
        for process in workers if asked else workers[:1]:
            process.send_signal(number)
        asked = True

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(workers: Sequence[subprocess.Popen]) -> int:
    """The chief's exit status, once it has ended or has not in the time after another's failure."""
    chief, *others = workers
    failed: float | None = None
    while chief.poll() is None:
        if failed is None and any(process.poll() not in (None, *ENDED_WELL) for process in others):
            failed = time.monotonic()
        if failed is not None and time.monotonic() - failed > GRACE:
            return 1
        time.sleep(0.1)
    deadline = time.monotonic() + (GRACE if chief.returncode == 0 else GRACE / 3)
    for process in others:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(deadline - time.monotonic(), 0))
    return chief.returncode if chief.returncode >= 0 else 128 - chief.returncode
