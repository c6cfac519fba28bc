"""Do what the Dockerfile says, without Docker: install, then serve as its user with a read-only root.

The instructions are read from the Dockerfile and carried out in a folder of their own, with this Python in
place of the image's. The server runs in a mount namespace in which nothing can be written, without
capabilities, as compose.yaml and deploy/kubernetes.yaml ask for. What only Docker can show is left out: the
base image and its layers.

Needs Linux, root, and `unshare` and `setpriv` of util-linux.
"""

import json
import os
import re
import shlex
import shutil
import socket
import tempfile
import time
import venv
from pathlib import Path

import wheel_test
from wheel_test import CHECKOUT, SCRIPTS, call, expect, say, start

SECONDS = 60  # until it must be well
NOT_HERE = {"useradd"}  # the user's number is enough
# Each in turn: nothing can be written; another user without any privilege; then the server.
READ_ONLY = 'mount --make-rprivate / && mount -o remount,ro,bind / && exec "$@"'
UNPRIVILEGED = ["--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]


def main() -> None:
    instructions = read((CHECKOUT / "Dockerfile").read_text("utf-8"))
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        image = Path(folder)
        image.chmod(0o755)
        say("train a run in the checkout")
        run = wheel_test.train_in_the_checkout(image / "trained")
        python = build(image, instructions)
        runs = image / value(instructions, "WORKDIR").lstrip("/") / "runs"
        shutil.copytree(run, runs / run.name)
        lacks(python)
        say("serve, as another user, where nothing can be written")
        serve(image, python, instructions)
    say("passed")


def read(text: str) -> list[tuple[str, str]]:
    """The instructions and their values, in order."""
    lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.M)).splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines if line.strip())]


def value(instructions: list[tuple[str, str]], name: str) -> str:
    (found,) = (rest for instruction, rest in instructions if instruction == name)
    return found


def build(image: Path, instructions: list[tuple[str, str]]) -> Path:
    """Carry out COPY, RUN and WORKDIR, with `image` as the root; the Python that RUN has installed into."""
    python = image / "python" / SCRIPTS / "python"
    venv.create(image / "python", with_pip=True)
    for name, rest in instructions:
        if name == "COPY":
            *sources, target = rest.split()
            copy(sources, image / target.lstrip("/"))
        elif name == "RUN":
            for command in rest.split(" && "):
                first, *words = shlex.split(command)
                if first not in NOT_HERE:
                    say(f"RUN {command}")
                    found = shutil.which(first, path=f"{python.parent}:{os.environ['PATH']}")
                    call(found, *(f"{image}{word}" if word.startswith("/") else word for word in words))
        elif name == "WORKDIR":
            (image / rest.lstrip("/")).mkdir()
    return python


def copy(sources: list[str], target: Path) -> None:
    """As COPY does, without what .dockerignore leaves out."""
    target.mkdir(parents=True, exist_ok=True)
    for source in sources:
        if source.endswith("/"):
            unwanted = shutil.ignore_patterns("__pycache__")
            shutil.copytree(CHECKOUT / source, target, ignore=unwanted, dirs_exist_ok=True)
        else:
            shutil.copy(CHECKOUT / source, target)


def lacks(python: Path) -> None:
    """The image holds the base requirements alone."""
    found = f"import importlib.util as u; print([n for n in {wheel_test.NOT_IN_THE_BASE} if u.find_spec(n)])"
    expect("[]", call(python, "-c", found, cwd=python.parent))


def serve(image: Path, python: Path, instructions: list[tuple[str, str]]) -> None:
    """Start the entry point as the image's user, wait for its health check, ask it, and stop it."""
    user, group = value(instructions, "USER").split(":")
    inside = ["setpriv", f"--reuid={user}", f"--regid={group}", *UNPRIVILEGED]
    confined = ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", *inside]
    place = image / value(instructions, "WORKDIR").lstrip("/")
    entry, *flags = json.loads(value(instructions, "ENTRYPOINT"))
    port = free_port()
    flags = [port if flag == value(instructions, "EXPOSE") else flag for flag in flags]
    expect(f"uid={user} gid={group} groups={group}", call(*confined, "id", cwd=place))
    for path in (place, Path(tempfile.gettempdir())):
        done = start(*confined, "sh", "-c", f"touch {shlex.quote(str(path))}/written", cwd=place)
        expect("Read-only file system", done.stderr, done)
    with wheel_test.server(*confined, python.with_name(entry), *flags, cwd=place) as address:
        is_well(python, value(instructions, "HEALTHCHECK").replace(value(instructions, "EXPOSE"), port))
        wheel_test.ask(address)


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])


def is_well(python: Path, check: str) -> None:
    """Wait until the health check succeeds."""
    first, *words = json.loads(check.partition("CMD ")[2])
    end = time.monotonic() + SECONDS
    while (done := start(python.with_name(first), *words, cwd=python.parent)).returncode:
        if time.monotonic() > end:
            wheel_test.report(done)
        time.sleep(0.5)


if __name__ == "__main__":
    main()
