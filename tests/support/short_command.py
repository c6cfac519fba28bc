"""Stands in for `pigeonhole` and `python` in the shell blocks of the documentation: the same, in little time.

    python short_command.py pigeonhole train --data my_pictures

A training is cut to a few steps, a server is stopped as soon as it answers, and a program of the checkout is
found from any folder. Everything else is run as it stands.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STEPS = 4
START_SECONDS = 60


def main(name: str, arguments: list[str]) -> int:
    if name == "python":
        program, arguments = str(ROOT / arguments[0]), arguments[1:]
        command, subject = [sys.executable, program], Path(program).stem
    else:
        command, subject = [sys.executable, "-m", "pigeonhole"], arguments[0]
    if subject == "train":
        return subprocess.call([*command, *shortened(arguments)])
    if subject == "serve":
        return served([*command, *arguments])
    return subprocess.call([*command, *arguments])


def shortened(arguments: list[str]) -> list[str]:
    """The arguments of a training, with a length of a few steps; those of an earlier run keep its length.

    Epochs and steps that lengthen a run stay, since they must be more than it has; minutes are but a second.
    """
    kept = list(arguments)
    if {"--resume", "--repeat"} & set(arguments):
        if "--minutes" in kept:
            kept[kept.index("--minutes") + 1] = "0.02"
        return kept
    for flag in {"--epochs", "--minutes", "--steps"} & set(kept):
        position = kept.index(flag)
        del kept[position : position + 2]
    return [*kept, "--steps", str(STEPS), "--no-report"]


def served(command: list[str]) -> int:
    """The exit status of a server that is asked to stop once it is well."""
    port = os.environ["PORT"]
    with subprocess.Popen([*command, "--port", port]) as server:
        end = time.monotonic() + START_SECONDS
        while not is_well(port) and server.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
        well = is_well(port)
        server.send_signal(signal.SIGTERM)
        return server.wait(START_SECONDS) or (0 if well else 1)


def is_well(port: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, ConnectionError):
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
