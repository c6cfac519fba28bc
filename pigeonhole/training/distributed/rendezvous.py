"""Workers wait for each other here, since TensorFlow's own wait has no end and cannot be interrupted."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator

from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.training.distributed.cluster import VARIABLE, Cluster

PATIENCE = 600.0  # seconds: machines are seldom given out, and data seldom read, at the same moment
SAY_AFTER = 5.0  # seconds


def wait_for_all(cluster: Cluster, say: Callable[[str], None], patience: float = PATIENCE) -> None:
    """Return when every other worker has answered at its address; `say` gets a line where that takes long.

    Raises PigeonholeError, naming those that are missing, after `patience` seconds.
    """
    missing = [index for index in range(len(cluster.addresses)) if index != cluster.index]
    started = time.monotonic()
    said = False
    with _answering(cluster):
        while missing := [index for index in missing if not _answers(cluster.addresses[index])]:
            names = ", ".join(cluster.name(index) for index in missing)
            waited = time.monotonic() - started
            if waited > patience:
                raise PigeonholeError(
                    f"no answer from {names} in {patience:.0f} seconds; start all workers of {VARIABLE}, and "
                    f"let their ports through"
                )
            if waited > SAY_AFTER and not said:
                say(f"waiting for {names}")
                said = True
            time.sleep(0.2)


@contextlib.contextmanager
def _answering(cluster: Cluster) -> Iterator[None]:
    """Keep this worker's port open, for the others to find; TensorFlow takes it over."""
    port = int(cluster.addresses[cluster.index].rpartition(":")[2])
    try:
        server = socket.create_server(("", port), backlog=len(cluster.addresses))
    except OSError as error:
        raise UsageError(
            f"{VARIABLE}: cannot use port {port} of {cluster.name(cluster.index)}: {error.strerror}"
        ) from error
    with server:
        yield


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), timeout=2):
        return True
    return False
