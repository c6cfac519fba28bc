"""TF_CONFIG as training operators set it, and as it goes wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pigeonhole.errors import UsageError
from pigeonhole.training.distributed import cluster

ROOT = Path(__file__).parents[3]
TWO = ["10.0.0.1:2222", "10.0.0.2:2222"]


def described(members: object, role: object = "worker", index: object = 0) -> dict[str, str]:
    return {cluster.VARIABLE: json.dumps({"cluster": members, "task": {"type": role, "index": index}})}


def test_workers_are_counted_as_named_and_the_first_is_the_chief():
    found = cluster.from_environment(described({"worker": TWO}, index=1))
    assert found.addresses == tuple(TWO) and found.index == 1 and not found.is_chief
    assert found.name(0) == "the chief (10.0.0.1:2222)" and found.name(1) == "worker 1 (10.0.0.2:2222)"
    assert found.tasks[1] == "/job:worker/replica:0/task:1"


def test_a_chief_comes_before_the_workers():
    members = {"worker": TWO, "chief": ["[::1]:2222"], "ps": []}
    assert cluster.from_environment(described(members, "chief")).is_chief
    found = cluster.from_environment(described(members, "worker", "0"))  # some operators write a string
    assert found.index == 1 and found.tasks[0] == "/job:chief/replica:0/task:0"


@pytest.mark.parametrize("environment", [{}, {cluster.VARIABLE: " "}, {cluster.VARIABLE: "{}"}])
def test_without_a_cluster_there_is_none(environment):
    assert cluster.from_environment(environment) is None


def test_a_cluster_of_one_is_none():
    assert cluster.from_environment(described({"worker": TWO[:1]})) is None
    assert cluster.from_environment(described({"chief": TWO[:1]}, "chief")) is None


@pytest.mark.parametrize(
    "text, named",
    [
        ("{", "not JSON"),
        ("[1]", "not an object"),
        (json.dumps({"cluster": {"worker": TWO}}), '"task"'),
        (json.dumps({"cluster": {"worker": TWO}, "task": {"type": "worker"}}), '"task"'),
        (described({"worker": TWO}, index=2)[cluster.VARIABLE], "index 2 is not one of 0 to 1"),
        (described({"worker": TWO}, index=-1)[cluster.VARIABLE], "index -1"),
        (described({"worker": TWO}, "chief")[cluster.VARIABLE], '"chief" is not in'),
        (described({"worker": TWO, "ps": ["a:1"]})[cluster.VARIABLE], '"ps" is not supported'),
        (described({"worker": TWO, "evaluator": ["a:1"]})[cluster.VARIABLE], '"evaluator" is not supported'),
        (described({"worker": ["here"]})[cluster.VARIABLE], "list of addresses"),
        (described({"worker": "10.0.0.1:2222"})[cluster.VARIABLE], "list of addresses"),
        (described({"worker": [TWO[0], TWO[0]]})[cluster.VARIABLE], "twice"),
        (described({"chief": TWO}, "chief")[cluster.VARIABLE], "one chief"),
        (described(TWO)[cluster.VARIABLE], "addresses by role"),
    ],
)
def test_mistakes_are_named_in_one_line(text, named):
    with pytest.raises(UsageError, match=cluster.VARIABLE) as caught:
        cluster.from_environment({cluster.VARIABLE: text})
    assert named in str(caught.value) and "\n" not in str(caught.value)


def test_train_refuses_a_wrong_variable_before_anything_else():
    done = subprocess.run(
        [sys.executable, ROOT / "train.py", "--data", ROOT / "training_data"],
        env={**os.environ, cluster.VARIABLE: "{"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and done.stderr.startswith(f"error: {cluster.VARIABLE}: not JSON")
    assert done.stderr.count("\n") == 1
