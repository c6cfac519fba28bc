"""How long the labelling page takes to open with many pictures, and how much memory it takes from then on.

    python benchmarks/labelling_opening.py --scratch FOLDER              # 100,000 pictures: 3 GB
    python benchmarks/labelling_opening.py --scratch FOLDER --pictures 2000 --real

It writes that many pictures of 32x32 pixels, as million.py draws them, and keeps features of them: random
ones around a few centres, or with --real those that the pretrained network sees, some 50 pictures a second.
Then `pigeonhole label` is started anew in each round, and these are told, in seconds from its start:

    first   until the page shows groups, where the features are kept, and nothing that is made of them
    again   the same at the next start
    address until it prints where it answers, at that next start

Memory is that of the program once groups are shown, and the most by then; the same once --decisions labels
were given, one after the other, each waited for as the page does. Where Chromium and Selenium are installed,
the view of all pictures is scrolled to its end: how many elements the page has, and how much memory its
script takes, at the top and at the end. Medians over the rounds. Linux only.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import environment  # noqa: E402
import million  # noqa: E402

from pigeonhole.data import cache  # noqa: E402
from pigeonhole.features import feature_file, store  # noqa: E402
from pigeonhole.features.extractor import open_pretrained  # noqa: E402
from pigeonhole.features.feature_file import FeatureFile  # noqa: E402
from pigeonhole.labelling.collection import Collection  # noqa: E402

CENTRES, SPREAD = 10, 0.7  # of random features
BLOCK = 5_000  # pictures whose features are written at a time
PATIENCE = 600  # seconds until a page is given up
SCREENS = 100  # steps in which the list is scrolled
SIZE = "1280,900"


def main() -> None:
    options = _parser().parse_args()
    folder = options.scratch / f"{options.pictures}{'-real' if options.real else ''}"
    _prepare(folder, options.pictures, options.real)
    rounds = []
    for number in range(options.rounds):
        rounds.append(_round(folder, options.decisions))
        print(f"round {number + 1}  {json.dumps(rounds[-1])}", flush=True)
    print("\n".join(environment.lines()))
    for name in rounds[0]:
        environment.note(name, [each[name] for each in rounds], "s or MB")
        print(f"{name:36}{statistics.median(each[name] for each in rounds):12,.2f}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scratch", type=Path, required=True, help="where pictures and cache may lie")
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument(
        "--real", action="store_true", help="the network's features in the place of random ones"
    )
    parser.add_argument("--decisions", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    return parser


def _prepare(folder: Path, count: int, real: bool) -> None:
    """The pictures and all that is kept of them, but for what is made of their features."""
    if not (folder / "pictures").exists():
        shutil.rmtree(folder, ignore_errors=True)
        million.write_pictures(folder / "unfinished", count)
        (folder / "unfinished").rename(folder / "pictures")
    kept = cache.Cache(folder / "cache")
    records = Collection.open(folder / "pictures", kept, [], progress=True).records
    extractor = open_pretrained(engine="auto")
    if real:
        store.read(records, extractor, kept, progress=True)
        return
    files = [FeatureFile.of(extractor, kept.folder, mirrored) for mirrored in (False, True)]
    contents = np.unique(feature_file.digests([record.digest for record in records]))
    contents = contents[files[-1].find(contents) < 0]
    random = np.random.default_rng(0)
    centres = random.standard_normal((CENTRES, extractor.width), np.float32)
    for some in np.array_split(contents, max(1, len(contents) // BLOCK)):
        features = centres[random.integers(CENTRES, size=len(some))]
        features = features + SPREAD * random.standard_normal(features.shape, np.float32)
        for file in files:
            file.append(some, features)


def _round(folder: Path, decisions: int) -> dict[str, float]:
    for file in [*(folder / "cache").glob("*/coordinates-*"), folder / "labels.csv"]:
        file.unlink(missing_ok=True)
    with _started(folder) as page:
        found = {"first, s": page.shown()}
    with _started(folder) as page:
        found |= {"again, s": page.shown(), "address, s": page.address_seconds}
        found |= {"program, MB": page.megabytes("VmRSS"), "program at most, MB": page.megabytes("VmHWM")}
        found |= _scrolled(page)
        seconds = [page.decide(number) for number in range(decisions)]
        found |= {
            "decision, s": statistics.median(seconds),
            "decision at most, s": max(seconds),
            "program after decisions, MB": page.megabytes("VmRSS"),
            "program after decisions at most, MB": page.megabytes("VmHWM"),
        }
    return found


class _Page:
    """A program that was started, and the API of its page."""

    def __init__(self, process: subprocess.Popen, began: float):
        self._process, self._began = process, began
        for line in process.stdout:
            if line.startswith("open "):
                self.address = line.split()[1]
                break
        self.address_seconds = time.perf_counter() - began

    def ask(self, path: str, content: dict | None = None) -> dict:
        headers = {"Content-Type": "application/json", "X-Session": getattr(self, "_token", "")}
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"{self.address}api/{path}", data, headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    def shown(self) -> float:
        """Seconds from the start until groups are shown."""
        while time.perf_counter() - self._began < PATIENCE:
            state = self.ask("state")["state"]
            if state["problem"]:
                sys.exit(state["problem"])
            if state["sheets"] and self.ask("groups")["groups"]:
                self._token = state["session"]
                return time.perf_counter() - self._began
            time.sleep(0.05)
        sys.exit(f"no groups after {PATIENCE} s")

    def decide(self, number: int) -> float:
        """Seconds until a decision is on the disk and the page has the list without its picture."""
        (picture,) = self.ask("next?count=1")["pictures"]
        began = time.perf_counter()
        label = ("even", "odd")[number % 2]
        self.ask("decide", {"action": f"action-{number}", "ids": [picture["id"]], "label": label})
        self.ask("list?show=undecided&order=alike")
        return time.perf_counter() - began

    def megabytes(self, figure: str) -> float:
        """VmRSS: what the program takes now; VmHWM: the most that it has taken."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split(f"{figure}:")[1].split()[0]) / 1024


@contextlib.contextmanager
def _started(folder: Path) -> Iterator[_Page]:
    command = [
        sys.executable,
        "-m",
        "pigeonhole",
        "label",
        str(folder / "pictures"),
        "--heap",
        "--no-browser",
    ]
    command += ["--port", "0", "--labels", str(folder / "labels.csv"), "--cache-dir", str(folder / "cache")]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)
    try:
        yield _Page(process, began)
    finally:
        process.terminate()
        process.communicate()


def _scrolled(page: _Page) -> dict[str, float]:
    """Elements and megabytes of the page in Chromium, at the top of all pictures and at their end."""
    try:
        from selenium import webdriver

        from tests.support.browsing import CHROMIUM, DRIVER, FLAGS
    except ImportError:
        return {}
    if not (CHROMIUM and DRIVER):
        return {}
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--window-size={SIZE}"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    try:
        began = time.perf_counter()
        browser.get(f"{page.address}#all/all")
        while not browser.execute_script("return document.querySelector('.canvas img')?.complete"):
            time.sleep(0.02)
        found = {"pictures in a browser, s": time.perf_counter() - began, **_taken(browser, "top")}
        for step in range(1, SCREENS + 1):
            browser.execute_script(
                "const list = document.querySelector('.scroller');"
                f"list.scrollTop = list.scrollHeight * {step / SCREENS};"
            )
            time.sleep(0.1)
        return {**found, **_taken(browser, "end")}
    finally:
        browser.quit()


def _taken(browser, place: str) -> dict[str, float]:
    time.sleep(1)
    browser.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    heap = browser.execute_cdp_cmd("Runtime.getHeapUsage", {})["usedSize"]
    elements = browser.execute_script("return document.getElementsByTagName('*').length")
    return {f"elements, {place}": elements, f"script, {place}, MB": heap / 2**20}


if __name__ == "__main__":
    main()
