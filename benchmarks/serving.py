"""How many requests per second the server answers, and with other ways to share one model among threads.

python benchmarks/serving.py --model runs/NAME
python benchmarks/serving.py --model runs/NAME --picture photo.jpg --connections 1

Every server runs in a process of its own, with the same WSGI server, app and upload; they differ in the model
behind them and take turns under the load, so that a computer that slows down slows all of them:

    ours       as serve.py loads it: model.onnx in ONNX Runtime, one thread for each answer
    tensorflow one TensorFlow session, shared, one thread for each answer: serve.py --engine tensorflow
    default    one session with TensorFlow's own choice of threads, shared
    locked     the same behind a lock
    no model   a constant answer, without even decoding the picture

Needs wrk (Debian: apt-get install wrk).
"""

import argparse
import math
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import environment
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from pigeonhole.model.classifier import Answer, Classifier  # noqa: E402
from pigeonhole.pictures import images  # noqa: E402
from pigeonhole.runs import search  # noqa: E402
from pigeonhole.web import Model, create_app  # noqa: E402
from pigeonhole.web.models import restore  # noqa: E402
from pigeonhole.web.server import Server  # noqa: E402

KINDS = ("ours", "tensorflow", "default", "locked", "no model")
THREADS = 8
KINDS_OF_FILES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}


class Other:
    """A classifier of which some things are done in another way."""

    def __init__(self, classifier: Classifier):
        self._classifier = classifier

    def __getattr__(self, name: str):
        return getattr(self._classifier, name)


class Constant(Other):
    """Answers always the same."""

    def __init__(self, classifier: Classifier):
        super().__init__(classifier)
        self._facts = images.Facts("png", 32, 32, ())
        self._pixels = np.zeros((1, 1, 3), np.uint8)
        self._answer = Answer(np.full(len(self.classes), 1 / len(self.classes), np.float32), False)

    def inspect(self, data: bytes) -> images.Facts:
        return self._facts

    def read(self, data: bytes) -> np.ndarray:
        return self._pixels

    def answer(self, pixels: np.ndarray, with_features: bool = False) -> Answer:
        return self._answer


class Locked(Other):
    """Answers one after the other."""

    def __init__(self, classifier: Classifier):
        super().__init__(classifier)
        self._lock = threading.Lock()

    def answer(self, pixels: np.ndarray, with_features: bool = False) -> Answer:
        with self._lock:
            return self._classifier.answer(pixels, with_features)


def classifier_of(kind: str, run: str):
    """A classifier of that kind."""
    if kind in ("ours", "tensorflow"):
        return restore(search.find(run), "auto" if kind == "ours" else "tensorflow")
    classifier = Classifier.load(run, engine="tensorflow")
    if kind == "locked":
        return Locked(classifier)
    return Constant(classifier) if kind == "no model" else classifier


def serve(kind: str, run: str) -> None:
    """Serve until standard input ends; the first line that is printed is the address."""
    model = Model(kind, classifier_of(kind, run), search.find(run))
    server = Server(create_app([model]), "127.0.0.1", 0, THREADS)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    print(server.urls[0], flush=True)
    server.run(ended.is_set)


@contextmanager
def served(kind: str, run: str) -> Iterator[str]:
    """The address of a server of that kind in another process."""
    command = [sys.executable, __file__, "--model", run, "--serve", kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process.stdout.readline().strip()
        process.stdin.close()


@dataclass(frozen=True)
class Load:
    """What one round of load showed: latencies in milliseconds."""

    per_second: float
    p50: float
    p99: float
    failed: int


def load(url: str, seconds: float, connections: int, script: Path) -> Load:
    """So many clients that ask again as soon as they are answered."""
    command = ["wrk", f"-t{min(2, connections)}", f"-c{connections}", f"-d{seconds:g}s"]
    command += ["--latency", "-s", str(script)]
    shown = subprocess.run(
        [*command, f"{url}/api/predict"], capture_output=True, text=True, check=True
    ).stdout
    factors = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    latency = {
        share: float(value) * factors[unit]
        for share, value, unit in re.findall(r"^ +(\d+)% +([\d.]+)(us|ms|s)$", shown, re.MULTILINE)
    }
    errors = re.findall(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", shown)
    refused = re.findall(r"Non-2xx or 3xx responses: (\d+)", shown)
    failed = sum(int(number) for number in [*(errors[0] if errors else ()), *refused])
    per_second = float(re.search(r"Requests/sec: +([\d.]+)", shown)[1])
    return Load(per_second, latency.get("50", math.inf), latency.get("99", math.inf), failed)


def draw_picture(folder: Path) -> Path:
    """A PNG of 32 by 32 pixels."""
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    picture = cv2.imencode(".png", cv2.resize(noise, (32, 32), interpolation=cv2.INTER_CUBIC))[1].tobytes()
    (folder / "picture.png").write_bytes(picture)
    return folder / "picture.png"


def write_script(folder: Path, picture: Path) -> Path:
    """What wrk sends."""
    script = folder / "post.lua"
    script.write_text(
        f'local file = io.open("{picture.resolve().as_posix()}", "rb")\n'
        'wrk.method = "POST"\n'
        'wrk.body = file:read("*a")\n'
        f'wrk.headers["Content-Type"] = "{KINDS_OF_FILES[picture.suffix.lower()]}"\n'
    )
    return script


def measure(options: argparse.Namespace) -> dict[str, list[Load]]:
    """Every kind's rounds; the kinds take turns."""
    measured: dict[str, list[Load]] = {kind: [] for kind in options.kinds}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        script = write_script(folder, options.picture or draw_picture(folder))
        urls = {kind: stack.enter_context(served(kind, options.model)) for kind in options.kinds}
        for url in urls.values():
            load(url, 1, options.connections, script)
        for _ in range(options.rounds):
            for kind, url in urls.items():
                measured[kind].append(load(url, options.seconds, options.connections, script))
    return measured


def report(measured: dict[str, list[Load]]) -> None:
    """Medians of the rounds, and the first kind as a multiple of each other, round by round."""
    print("\n".join(environment.lines()))
    print(f"{'':10} {'requests/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'failed':>7} {'1st row is':>10}")
    for kind, loads in measured.items():
        middle = [
            statistics.median(getattr(each, name) for each in loads) for name in ("per_second", "p50", "p99")
        ]
        pairs = zip(next(iter(measured.values())), loads, strict=True)
        ratio = statistics.median(first.per_second / each.per_second for first, each in pairs)
        failed = sum(each.failed for each in loads)
        print(f"{kind:10} {middle[0]:10.0f} {middle[1]:8.1f} {middle[2]:8.1f} {failed:7d} {ratio:9.2f}x")
        environment.note(kind, [each.per_second for each in loads], "requests/s")
        environment.note(f"{kind}, p50", [each.p50 for each in loads], "ms")


def _picture(text: str) -> Path:
    if Path(text).suffix.lower() not in KINDS_OF_FILES:
        raise argparse.ArgumentTypeError(f"{text!r} is not a {' or '.join(KINDS_OF_FILES)} file")
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"{text!r}: no such file")
    return Path(text)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, metavar="RUN", help="a run's folder or name")
    parser.add_argument("--seconds", type=float, default=60, metavar="N", help="of each round (60)")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="how often each has its turn (1)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, metavar="KIND", help="(all)")
    parser.add_argument("--picture", type=_picture, metavar="FILE", help="JPEG or PNG (a drawn thumbnail)")
    parser.add_argument("--connections", type=int, default=50, metavar="N", help="clients at a time (50)")
    parser.add_argument("--serve", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.model)
        return
    if not shutil.which("wrk"):
        sys.exit("wrk is needed: apt-get install wrk, brew install wrk, or https://github.com/wg/wrk")
    measured = measure(options)
    report(measured)
    if failed := [kind for kind, loads in measured.items() if any(each.failed for each in loads)]:
        sys.exit(f"requests failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
