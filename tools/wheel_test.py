"""Build the wheel and use it as a user does: in an environment of its own, outside the checkout.

With the base installation it answers for a picture and serves, by a run that is trained in the checkout
first. With the extra `train` it then trains the bundled digits. It writes nothing into the checkout.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
DIGITS = CHECKOUT / "training_data"
PICTURE = min((CHECKOUT / "testing_data" / "3").glob("*.png"))
SCRIPTS = "Scripts" if os.name == "nt" else "bin"
NOT_IN_THE_BASE = ("tensorflow", "keras", "sklearn", "scipy", "matplotlib", "onnx", "tf2onnx")
ASK = """
import sys
from pigeonhole import Run
print(Run.load(sys.argv[1]).classifier().answers(sys.argv[2])[0].class_name)
"""
TYPED = """
from importlib import resources
print((resources.files("pigeonhole") / "py.typed").is_file())
"""
# The installed package must be found, not the checkout.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def main() -> None:
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        work = scratch / "elsewhere"
        work.mkdir()
        say("build the wheel")
        wheel = build(scratch)
        say("train a run in the checkout")
        run = train_in_the_checkout(scratch)
        say("install the base")
        python = install(scratch / "environment", wheel)
        base(python, run, work)
        say("install the extra: train")
        install(scratch / "environment", f"pigeonhole[train] @ {wheel.as_uri()}")
        extra(python, work)
    say(f"passed in {time.perf_counter() - began:.0f} seconds")


def say(line: str) -> None:
    print(f"== {line}", flush=True)


def build(scratch: Path) -> Path:
    """The wheel, built from a copy: a build would also pack files that an earlier one has left behind."""
    source = scratch / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, source)
    shutil.copytree(
        CHECKOUT / "pigeonhole", source / "pigeonhole", ignore=shutil.ignore_patterns("__pycache__")
    )
    call(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", scratch, source)
    (wheel,) = scratch.glob("*.whl")
    return wheel


def train_in_the_checkout(scratch: Path) -> Path:
    command = (sys.executable, CHECKOUT / "train.py", "--data", DIGITS, "--epochs", "8", "--no-report")
    call(*command, "--no-cache", "--output", scratch / "runs", "--name", "digits")
    return scratch / "runs" / "digits"


def install(environment: Path, what: str | Path) -> Path:
    """Install it, and what it requires, into the environment, which is made if need be; its Python."""
    python = environment / SCRIPTS / "python"
    if not environment.exists():
        venv.create(environment, with_pip=True)
    call(python, "-m", "pip", "install", "--quiet", what)
    return python


def base(python: Path, run: Path, work: Path) -> None:
    """Check what the base installation is for, and what it says where it lacks something."""
    pigeonhole = python.with_name("pigeonhole")
    found = f"import importlib.util as u; print([n for n in {NOT_IN_THE_BASE} if u.find_spec(n)])"
    expect("[]", call(python, "-c", found, cwd=work))
    expect("usage: pigeonhole COMMAND", call(pigeonhole, "--help", cwd=work))
    say("answer for a picture")
    answered = json.loads(call(pigeonhole, "predict", "--json", "--model", run, PICTURE, cwd=work))
    expect("'3'", repr(answered[0]["predictions"][0]["class"]))
    say("answer from Python, with types")
    expect("3", call(python, "-c", ASK, run, PICTURE, cwd=work))
    expect("True", call(python, "-c", TYPED, cwd=work))
    say("serve")
    serve(pigeonhole, run, work)
    say("what is missing is told in one line")
    for command in (("train", "--data", DIGITS), ("evaluate", "--model", run, "--data", DIGITS)):
        done = start(pigeonhole, *command, cwd=work)
        expect("(1, 1)", str((done.returncode, len(done.stderr.splitlines()))), done)
        expect('pip install "pigeonhole[train]"', done.stderr, done)


def serve(pigeonhole: Path, run: Path, work: Path) -> None:
    with server(pigeonhole, "serve", "--port", "0", "--model", run, cwd=work) as address:
        fetch(f"{address}/healthz")
        ask(address)


def ask(address: str) -> None:
    """Check the page, its style sheet, and an answer for a picture."""
    expect("pigeonhole", fetch(f"{address}/").lower())
    for path in linked(fetch(f"{address}/")):
        fetch(f"{address}{path}")
    kind = {"Content-Type": "image/png"}
    request = urllib.request.Request(f"{address}/api/predict?top=1", PICTURE.read_bytes(), kind)
    expect("'3'", repr(json.loads(fetch(request))["results"][0]["predictions"][0]["class"]))


def linked(page: str) -> list[str]:
    """The paths of the style sheets, scripts and pictures that a page names."""
    return [part.partition('"')[0] for part in page.split('"')[1::2] if part.startswith("/static/")]


@contextlib.contextmanager
def server(*command: str | Path, cwd: Path) -> Iterator[str]:
    """A server's address, while it runs; it must end with status 0 when it is asked to."""
    with subprocess.Popen(command, cwd=cwd, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = iter(process.stdout.readline, "")
            address = next((line.split()[1] for line in lines if line.startswith("open")), None)
            if address is None:
                sys.exit("the server has ended before it listened")
            yield address.rstrip("/")
            process.send_signal(signal.SIGTERM)
            expect("0", str(process.wait(timeout=30)))
        finally:
            process.kill()


def extra(python: Path, work: Path) -> None:
    """Train in another folder than the checkout, and ask the new run."""
    pigeonhole = python.with_name("pigeonhole")
    say("train the digits from another folder")
    said = call(pigeonhole, "train", "--data", DIGITS, "--epochs", "8", "--no-cache", cwd=work)
    expect("next        pigeonhole predict", said)
    (run,) = (work / "runs").iterdir()
    for name in ("model.meta", "model.onnx", "report.html"):
        expect("True", str((run / name).is_file()))
    expect("3", call(pigeonhole, "predict", "--top", "1", PICTURE, cwd=work))
    said = call(pigeonhole, "evaluate", "--data", CHECKOUT / "testing_data", "--no-cache", cwd=work)
    expect("accuracy", said)


def call(*command: str | Path, cwd: Path = CHECKOUT) -> str:
    """What the command prints; ends this program where it fails."""
    done = start(*command, cwd=cwd)
    if done.returncode:
        report(done)
    return done.stdout


def start(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess:
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=1800)


def fetch(request: str | urllib.request.Request) -> str:
    with urllib.request.urlopen(request, timeout=30) as response:
        return response.read().decode("utf-8", "replace")


def expect(wanted: str, found: str, done: subprocess.CompletedProcess | None = None) -> None:
    """End this program unless `wanted` is in `found`."""
    if wanted not in found:
        if done:
            report(done)
        sys.exit(f"expected: {wanted}\nfound:    {found}")


def report(done: subprocess.CompletedProcess) -> None:
    sys.exit(f"{' '.join(done.args)}\nexit status {done.returncode}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
