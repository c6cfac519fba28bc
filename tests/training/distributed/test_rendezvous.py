"""Workers that wait for each other over real sockets."""

import socket
import threading

import pytest

from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.training.distributed.cluster import Cluster
from pigeonhole.training.distributed.launcher import LOOPBACK, free_ports
from pigeonhole.training.distributed.rendezvous import wait_for_all


def clusters(count: int) -> list[Cluster]:
    addresses = tuple(f"{LOOPBACK}:{port}" for port in free_ports(count))
    tasks = tuple(f"/job:worker/replica:0/task:{index}" for index in range(count))
    return [Cluster(addresses, tasks, index) for index in range(count)]


def test_all_meet_whoever_comes_first_and_free_their_ports():
    members = clusters(3)
    threads = [threading.Thread(target=wait_for_all, args=(member, print, 30)) for member in members]
    for thread in threads:
        thread.start()
    # One that has met the others goes on to TensorFlow, whose server then answers in its place.
    servers = []
    for thread in threads:
        while thread.is_alive():
            thread.join(0.05)
            for met, its_cluster in zip(threads, members, strict=True):
                if not met.is_alive() and its_cluster not in [known for known, _ in servers]:
                    port = int(its_cluster.addresses[its_cluster.index].rpartition(":")[2])
                    servers.append((its_cluster, socket.create_server((LOOPBACK, port))))
    for _, server in servers:
        server.close()
    assert not any(thread.is_alive() for thread in threads)


def test_who_is_missing_is_named_at_the_end():
    member = clusters(2)[0]
    with pytest.raises(PigeonholeError, match="worker 1") as caught:
        wait_for_all(member, print, patience=0.3)
    assert member.addresses[1] in str(caught.value)


def test_a_port_in_use_is_named():
    member = clusters(2)[1]
    port = int(member.addresses[1].rpartition(":")[2])
    with (
        socket.create_server(("", port)),
        pytest.raises(UsageError, match=f"port {port} of worker 1"),
    ):
        wait_for_all(member, print, patience=1)
