"""TF_CONFIG: who trains together, and who of them this process is. Read and checked before TensorFlow is.

The variable is JSON, set by Kubernetes training operators, SageMaker and Vertex AI, or by hand:

    {"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, "task": {"type": "worker", "index": 0}}
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

from pigeonhole.errors import UsageError

VARIABLE = "TF_CONFIG"
ROLES = ("chief", "worker")  # in the order in which TensorFlow counts them


@dataclass(frozen=True)
class Cluster:
    """Two or more workers that train one network. `addresses`: host:port of each; the first is the chief.

    `tasks`: what TensorFlow's messages call each, such as "/job:worker/replica:0/task:1". `index`: which of
    them this process is.
    """

    addresses: tuple[str, ...]
    tasks: tuple[str, ...]
    index: int

    @property
    def is_chief(self) -> bool:
        """Whether this is the one worker that writes files and progress."""
        return self.index == 0

    def name(self, index: int) -> str:
        """For messages: "worker 1 (10.0.0.2:2222)", or "the chief (10.0.0.1:2222)"."""
        who = f"worker {index}" if index else "the chief"
        return f"{who} ({self.addresses[index]})"


def from_environment(environment: Mapping[str, str] = os.environ) -> Cluster | None:
    """The cluster that TF_CONFIG describes; None where there is none, or only this process in it.

    Raises UsageError, naming what is wrong, for anything but a chief and workers.
    """
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        described = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{VARIABLE}: not JSON ({error})") from error
    if not isinstance(described, dict):
        raise UsageError(f'{VARIABLE}: not an object with "cluster" and "task"')
    if not described.get("cluster"):
        return None
    members = _members(described["cluster"])
    role, index = _task(described.get("task"), members)
    ordered = [(role, number) for role in ROLES for number in range(len(members.get(role, ())))]
    if len(ordered) == 1:
        return None
    return Cluster(
        addresses=tuple(members[role][number] for role, number in ordered),
        tasks=tuple(f"/job:{role}/replica:0/task:{number}" for role, number in ordered),
        index=ordered.index((role, index)),
    )


def _members(described: object) -> dict[str, list[str]]:
    """The addresses by role, where there are any."""
    if not isinstance(described, dict):
        raise UsageError(f'{VARIABLE}: "cluster" is not an object of addresses by role')
    members = {role: addresses for role, addresses in described.items() if addresses}
    for role in members.keys() - set(ROLES):
        raise UsageError(f'{VARIABLE}: the role "{role}" is not supported; name "chief" and "worker" only')
    everyone: list[str] = []
    for role, addresses in members.items():
        if not isinstance(addresses, list) or not all(_is_address(address) for address in addresses):
            raise UsageError(f'{VARIABLE}: "{role}" is not a list of addresses such as "10.0.0.1:2222"')
        everyone += addresses
    if len(set(everyone)) < len(everyone):
        raise UsageError(f"{VARIABLE}: an address is there twice; each worker needs its own")
    if len(members.get("chief", ())) > 1:
        raise UsageError(f"{VARIABLE}: there can be one chief only")
    return members


def _is_address(text: object) -> bool:
    if not isinstance(text, str):
        return False
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65536


def _task(described: object, members: Mapping[str, list[str]]) -> tuple[str, int]:
    """The role and the number within it of this process."""
    if not isinstance(described, dict) or not {"type", "index"} <= described.keys():
        raise UsageError(f'{VARIABLE}: "task" with "type" and "index" is missing')
    role, index = described["type"], str(described["index"])
    if role not in members:
        raise UsageError(f'{VARIABLE}: the task\'s type "{role}" is not in "cluster"')
    if not index.isdecimal() or int(index) >= len(members[role]):
        raise UsageError(
            f'{VARIABLE}: the task\'s index {index} is not one of 0 to {len(members[role]) - 1} of "{role}"'
        )
    return role, int(index)
