"""Trainings by several workers, each a real process, against the same training by one."""

import contextlib
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pigeonhole.runs.run import Run
from pigeonhole.training.distributed import cluster
from pigeonhole.training.distributed.launcher import LOOPBACK, free_ports
from tests.support.drawn_folders import draw_patches

ROOT = Path(__file__).parents[3]
SECONDS = 300  # for a whole training; a test that needs them has failed

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return draw_patches(tmp_path_factory.mktemp("pictures") / "data", 30)


def command(data: Path, folder: Path, name: str, *more: object) -> list[str]:
    flags = ["--output", folder / "runs", "--cache-dir", data.parent / "cache", "--name", name]
    flags += ["--data", data, "--precision", "float32", "--no-report"]
    return [sys.executable, "-u", str(ROOT / "train.py"), *map(str, [*flags, *more])]


def finish(*its_command: str) -> subprocess.CompletedProcess:
    return subprocess.run(its_command, capture_output=True, text=True, timeout=SECONDS)


def history(run: Path) -> list[dict[str, float]]:
    with (run / "history.csv").open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def environment(addresses: list[str], index: int) -> dict[str, str]:
    described = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    return {**os.environ, cluster.VARIABLE: json.dumps(described)}


def require_same_curves(one: Path, other: Path) -> None:
    rows = list(zip(history(one), history(other), strict=True))
    assert rows
    for alone, together in rows:
        assert together["train_loss"] == pytest.approx(alone["train_loss"], rel=1e-4)
        assert together["valid_loss"] == pytest.approx(alone["valid_loss"], rel=1e-4)
        assert together["train_accuracy"] == alone["train_accuracy"]
        assert together["learning_rate"] == alone["learning_rate"]


@pytest.mark.parametrize("network, steps", [("tutorial", 40), ("standard", 8), ("deep", 4)])
def test_two_workers_train_as_one(data, tmp_path, network, steps):
    """Of 72 pictures 71 make one batch and the last one the other, of which a worker has nothing."""
    flags = ["--network", network, "--steps", steps, "--image-size", 32, "--batch-size", 71]
    flags += ["--learning-rate", "1e-4", "--augment"]
    for name, count in (("one", 1), ("two", 2)):
        done = finish(*command(data, tmp_path, name, *flags, "--workers", count))
        assert done.returncode == 0, done.stderr
    one, two = tmp_path / "runs" / "one", tmp_path / "runs" / "two"
    require_same_curves(one, two)
    assert {row["workers"] for row in history(two)} == {2}
    assert json.loads((two / "settings.json").read_text("utf-8"))["machine"]["workers"] == 2
    assert re.search(r"pictures/s \(\d+ \+ \d+\)", done.stdout)
    assert (one / "split.csv").read_bytes() == (two / "split.csv").read_bytes()


STUCK = ["--learning-rate", "1e-9", "--epochs", "20", "--batch-size", "8", "--image-size", "20"]


def test_two_workers_start_once_more_as_one(data, tmp_path):
    for name, count in (("one", 1), ("two", 2)):
        done = finish(*command(data, tmp_path, name, *STUCK, "--workers", count))
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("restarted   the loss has not moved after step 36; again from") == 1
    one, two = tmp_path / "runs" / "one", tmp_path / "runs" / "two"
    assert len(history(two)) == 20, "of the second attempt alone"
    for alone, together in zip(history(one)[:3], history(two)[:3], strict=True):
        assert together["train_loss"] == pytest.approx(alone["train_loss"], rel=1e-3)
    recipes = [Run(run).settings()["recipe"] for run in (one, two)]
    assert recipes[0] == recipes[1] and recipes[0]["optimizer"] == "adamw"


def test_a_signal_at_a_worker_that_starts_once_more_stops_all(data, tmp_path):
    with two_workers(data, tmp_path, *STUCK) as workers:
        next(line for line in workers[0].stdout if line.startswith("restarted"))
        workers[1].send_signal(signal.SIGTERM)
        errors = [worker.communicate(timeout=SECONDS)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [143, 143], errors
    run = tmp_path / "runs" / "long"
    done = finish(sys.executable, str(ROOT / "train.py"), "--resume", str(run), "--force")
    assert done.returncode == 0 and "restarted" not in done.stdout, done.stderr
    assert Run(run).settings()["restarted_after"] == 36 and Run(run).is_complete


DEVICES = """
import contextlib
import sys
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from pigeonhole.data.augmentation import IN_NETWORK
from pigeonhole.networks import building
from pigeonhole.training.distributed.workers import Workers
from pigeonhole.training.trainer import Trainer
from tests.support.small_trainings import RECIPE, SIDE, stripes

network = sys.argv[1]


def losses(workers):
    keras.utils.set_random_seed(1)
    recipe = replace(RECIPE, learning_rate=1e-4, mix=True, freeze=float(sys.argv[2]))
    if network != "standard":
        recipe = replace(recipe, augmentation=IN_NETWORK)
    with workers.strategy.scope() if workers else contextlib.nullcontext():
        model = building.build(network, SIDE, 3, 2)
        trainer = Trainer(model, stripes(89), stripes(40, seed=9), recipe, 1, workers=workers)
    trainer.total_steps = 7  # the sixth has 9 pictures only
    found = []
    list(trainer.run(lambda progress: found.append(progress.loss)))
    return [*found, trainer.validations[-1].valid.loss, *model.get_layer("bn1").moving_variance.numpy()]


together = losses(Workers(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])))
np.testing.assert_allclose(together, losses(None), rtol=1e-4)
"""


@pytest.mark.parametrize(
    ("network", "freeze"),
    [("standard", "0"), ("classic_augmented", "0"), pytest.param("standard", "0.5", marks=pytest.mark.slow)],
)
def test_two_devices_of_one_machine_train_as_one(network, freeze):
    done = subprocess.run(
        [sys.executable, "-c", DEVICES, network, freeze],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def two_workers(data: Path, folder: Path, *more: object) -> Iterator[list[subprocess.Popen]]:
    """Two workers in training: their processes, when the chief has told of its second validation.

    A checkpoint of the first one is then on disk.
    """
    addresses = [f"{LOOPBACK}:{port}" for port in free_ports(2)]
    flags = ["--epochs", 400, *more]
    with contextlib.ExitStack() as stack:
        workers = []
        for index in range(2):
            process = subprocess.Popen(
                command(data, folder, "long", *flags),
                env=environment(addresses, index),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            workers.append(stack.enter_context(process))
            stack.callback(process.kill)
        validations = (line for line in workers[0].stdout if line.startswith("epoch "))
        next(validations), next(validations)
        yield workers


@pytest.mark.parametrize("lost", [0, 1], ids=["chief", "worker"])
def test_the_loss_of_a_worker_ends_the_other_and_fewer_go_on(data, tmp_path, lost):
    with two_workers(data, tmp_path, "--batch-size", 36) as workers:
        workers[lost].kill()
        _, errors = workers[1 - lost].communicate(timeout=SECONDS)
    assert workers[1 - lost].returncode == 1
    (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert ("the chief" if lost == 0 else "worker 1") in line and "--resume" in line
    assert "Traceback" not in errors
    run = tmp_path / "runs" / "long"
    last = int(history(run)[-1]["step"])
    resumed = [sys.executable, str(ROOT / "train.py"), "--resume", str(run), "--force"]
    done = finish(*resumed, "--steps", str(last + 60))
    assert done.returncode == 0, done.stderr
    counts = [row["workers"] for row in history(run)]
    assert counts == sorted(counts, reverse=True) and set(counts) == {2, 1}
    assert Run(run).has_model


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_at_any_worker_stops_all_after_the_same_step(data, tmp_path, number, status):
    with two_workers(data, tmp_path, "--batch-size", 36) as workers:
        workers[1].send_signal(number)
        said, errors = workers[1].communicate(timeout=SECONDS)
        _, chiefs_errors = workers[0].communicate(timeout=SECONDS)
    assert [worker.returncode for worker in workers] == [status, status], errors + chiefs_errors
    run = tmp_path / "runs" / "long"
    step = int(re.search(r"ended after step ([\d,]+)", said)[1].replace(",", ""))
    newest = max((run / "checkpoints").iterdir())
    assert newest.name == f"step-{step:010}.npz"
    assert len(said.splitlines()) == 2


def test_a_resumed_training_needs_its_run_at_the_chief_only(data, tmp_path):
    with two_workers(data, tmp_path, "--batch-size", 36) as workers:
        workers[0].send_signal(signal.SIGTERM)
        for worker in workers:
            worker.communicate(timeout=SECONDS)
    run = tmp_path / "runs" / "long"
    end = int(history(run)[-1]["step"]) + 60
    addresses = [f"{LOOPBACK}:{port}" for port in free_ports(2)]
    resumed = [sys.executable, str(ROOT / "train.py"), "--force", "--steps", str(end), "--resume"]
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(
                subprocess.Popen(
                    [*resumed, str(run) if index == 0 else "elsewhere"],
                    env=environment(addresses, index),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for index in range(2)
        ]
        said = [worker.communicate(timeout=SECONDS) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    assert history(run)[-1]["step"] == end and Run(run).has_model
    assert f"after step {end:,}" in said[1][0]


@pytest.mark.parametrize("what", ["data", "flags"])
def test_workers_that_differ_say_in_what(data, tmp_path, what):
    theirs, more = data, ["--seed", 1]
    if what == "data":
        theirs, more = tmp_path / "data", []
        shutil.copytree(data, theirs)
        next((theirs / "rot").iterdir()).unlink()
    addresses = [f"{LOOPBACK}:{port}" for port in free_ports(2)]
    commands = [
        command(data, tmp_path, "a", "--steps", 9),
        command(theirs, tmp_path, "a", "--steps", 9, *more),
    ]
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(
                subprocess.Popen(each, env=environment(addresses, index), stderr=subprocess.PIPE, text=True)
            )
            for index, each in enumerate(commands)
        ]
        errors = [worker.communicate(timeout=SECONDS)[1] for worker in workers]
    named = "the data's fingerprint is" if what == "data" else "--seed is 1, not 0"
    for worker, text in zip(workers, errors, strict=True):
        assert worker.returncode == 1
        assert f"error: worker 1 ({addresses[1]}) differs from the chief: {named}" in text


@pytest.fixture
def two_hosts() -> Iterator[list[tuple[str, str]]]:
    """(name, address) of two network namespaces with a cable between them."""
    if os.name != "posix" or os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("network namespaces need root and the program ip")
    mark = f"ph{os.getpid()}"
    hosts = [(f"{mark}-{index}", f"10.99.0.{index + 1}") for index in range(2)]
    ends = [f"{mark}v{index}" for index in range(2)]

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)

    try:
        for name, _ in hosts:
            ip("netns", "add", name)
        ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for (name, address), end in zip(hosts, ends, strict=True):
            ip("link", "set", end, "netns", name)
            ip("-n", name, "addr", "add", f"{address}/24", "dev", end)
            ip("-n", name, "link", "set", end, "up")
            ip("-n", name, "link", "set", "lo", "up")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces cannot be made here: {error.stderr.decode().strip()}")
    try:
        yield hosts
    finally:
        for name, _ in hosts:
            subprocess.run(["ip", "netns", "delete", name], check=False)


def test_two_hosts_train_as_one(data, tmp_path, two_hosts):
    flags = ["--network", "tutorial", "--steps", 20, "--image-size", 32, "--batch-size", 71]
    done = finish(*command(data, tmp_path, "one", *flags))
    assert done.returncode == 0, done.stderr
    addresses = [f"{address}:2222" for _, address in two_hosts]
    with contextlib.ExitStack() as stack:
        workers = []
        for index, (name, _) in enumerate(two_hosts):
            there = ["ip", "netns", "exec", name, *command(data, tmp_path, "two", *flags)]
            process = subprocess.Popen(
                there, env=environment(addresses, index), stderr=subprocess.PIPE, text=True
            )
            workers.append(stack.enter_context(process))
        errors = [worker.communicate(timeout=SECONDS)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], errors
    require_same_curves(tmp_path / "runs" / "one", tmp_path / "runs" / "two")
