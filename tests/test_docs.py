"""The README and docs/: every block runs, every link leads somewhere, every flag is told.

A comment right above a block says what is special about it:

    <!-- not run: why -->          it is not run here
    <!-- exit 1: why -->           it ends with this status
    <!-- with a server -->         a server answers at 127.0.0.1:8000
    <!-- before: statement -->     Python that a block builds on
    <!-- after: statement -->      Python that proves what a block has defined
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pigeonhole import cli
from pigeonhole.labelling.journal import Journal
from tests.support import short_command

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
LANGUAGES = {"sh", "python", "text", "ini", "yaml", "{toctree}"}
LANGUAGES |= {"javascript", "cpp"}  # which tests/test_rule.py runs
MOST_README_LINES = 200
# What takes more than a moment: trainings, and whatever needs TensorFlow or scikit-learn.
SLOW = re.compile(
    r"\btrain\b|\bevaluate\b|\bexport\b|\bdream\b|\bstylize\b|sklearn|pigeonhole\.art|tensorflow|keras|TrainingJob|Candidate|Extractor\.of|make_sample|runs/CUT"
)
FENCE = re.compile(r"(?:^<!-- (?P<remark>.*?) -->\n)?^```(?P<language>\S*)\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    text: str
    remark: str

    @property
    def why_not(self) -> str:
        return self._remark("not run: ")

    @property
    def status(self) -> int:
        return int(re.sub(r":.*", "", self._remark("exit ")) or 0)

    @property
    def python(self) -> str:
        before, after = self._remark("before: "), self._remark("after: ")
        return "\n".join([before, self.text, after])

    def _remark(self, kind: str) -> str:
        return self.remark.removeprefix(kind) if self.remark.startswith(kind) else ""


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text("utf-8")
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page, line, found["language"], found["text"], found["remark"] or "")


def runnable(language: str) -> list:
    """The blocks of a language as parameters of a test, the slow ones marked."""
    return [
        pytest.param(
            block,
            id=f"{block.page.stem}-{block.line}",
            marks=[pytest.mark.slow] if SLOW.search(block.text) and not block.why_not else [],
        )
        for page in PAGES
        for block in blocks(page)
        if block.language == language and not block.why_not
    ]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """A folder in which the documented commands find what they name, with a finished run."""
    folder = tmp_path_factory.mktemp("prepared")
    for source, count in (("training_data", 40), ("testing_data", 10)):
        for digit in "017":
            copy_digits(ROOT / source / digit, folder / source / digit, count)
    for digit, name in (("0", "healthy"), ("1", "rust")):
        copy_digits(ROOT / "training_data" / digit, folder / "my_pictures" / name, 24)
        copy_digits(ROOT / "testing_data" / digit, folder / "my_tests" / name, 5)
    (folder / "my_pictures" / "rust" / "notes.png").write_text("not a picture")
    copy_digits(ROOT / "testing_data" / "7", folder / "holiday", 3)
    label_heap(folder / "photos")
    wrong = next((folder / "my_pictures" / "healthy").iterdir())
    picture = next((ROOT / "testing_data" / "7").glob("*.png"))
    (folder / "key.txt").write_text("secret\n")
    for name in ("dog.jpg", "cat.png", "new_leaf.jpg"):
        shutil.copy(picture, folder / name)
    command = [sys.executable, "-m", "pigeonhole", "train", "--data", "training_data", "--name", "NAME"]
    run(folder, [*command, "--steps", "30", "--batch-size", "20", "--precision", "float32", "--no-report"])
    (folder / "runs" / "NAME" / "fixes.csv").write_text(f"file,new_label\nhealthy/{wrong.name},rust\n")
    for name in ("OLD", "leaves", "scans"):
        shutil.copytree(folder / "runs" / "NAME", folder / "runs" / name)
    return folder


def copy_digits(source: Path, target: Path, count: int) -> None:
    target.mkdir(parents=True)
    for picture in sorted(source.glob("*.png"))[:count]:
        shutil.copy(picture, target)


def label_heap(folder: Path) -> None:
    """Pictures without class folders, of which two classes have their labels in a journal."""
    for digit in "017":
        copy_digits(ROOT / "training_data" / digit, folder / digit, 24)
        for picture in (folder / digit).iterdir():
            picture.rename(folder / f"{digit}-{picture.name}")
        (folder / digit).rmdir()
    names = [path.name for path in folder.iterdir() if path.name[0] in "01"]
    Journal(folder / "labels.csv").act("a", {name: name[0] for name in names}, {})


@pytest.fixture
def place(prepared, tmp_path) -> Path:
    """The prepared folder once more, for one block alone."""
    return shutil.copytree(prepared, tmp_path / "place")


@pytest.fixture
def port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])


@pytest.fixture(scope="module")
def cut(prepared) -> Path:
    """An interrupted run of the prepared folder, once more under another name."""
    command = [sys.executable, "-u", "-m", "pigeonhole", "train", "--data", "training_data", "--name", "CUT"]
    arguments = [*command, "--steps", "400", "--batch-size", "10", "--no-report"]
    with subprocess.Popen(
        arguments, cwd=prepared, env=environment(prepared), stdout=subprocess.PIPE, text=True
    ) as training:
        for line in training.stdout:
            if line.startswith("epoch"):
                training.send_signal(signal.SIGTERM)
                break
        training.stdout.read()
        assert training.wait() == 143
    shutil.copytree(prepared / "runs" / "CUT", prepared / "runs" / "CUT_NEWER")
    os.utime(prepared / "runs" / "CUT_NEWER")
    return prepared


def environment(folder: Path, port: str = "0") -> dict[str, str]:
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    cache = str(folder / "cache")
    return {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path, "PORT": port, "XDG_CACHE_HOME": cache}


def run(folder: Path, command: list[str], status: int = 0, port: str = "0") -> None:
    done = subprocess.run(
        command, cwd=folder, env=environment(folder, port), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == status, done.stdout[-2000:] + done.stderr[-2000:]
    assert "Traceback" not in done.stderr


def stand_ins(folder: Path) -> None:
    """`pigeonhole` and `python` in front of all others in the search path."""
    (folder / "bin").mkdir()
    for name in ("pigeonhole", "python"):
        script = folder / "bin" / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{short_command.__file__}" {name} "$@"\n')
        script.chmod(0o755)


@contextlib.contextmanager
def server(folder: Path, port: str) -> Iterator[None]:
    command = [sys.executable, "-m", "pigeonhole", "serve", "--model", "NAME", "--port", port]
    with subprocess.Popen(command, cwd=folder, env=environment(folder), stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + short_command.START_SECONDS
        while not short_command.is_well(port) and time.monotonic() < end:
            time.sleep(0.1)
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def run_block(block: Block, command: list[str], folder: Path, port: str) -> None:
    with server(folder, port) if block.remark == "with a server" else contextlib.nullcontext():
        run(folder, command, block.status, port)


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
@pytest.mark.parametrize("block", runnable("sh"))
def test_shell_blocks_run(block, place, port, request):
    if "curl" in block.text and not shutil.which("curl"):
        pytest.skip("curl is not installed")
    if re.search(r"\btrain\b.*--resume|runs/CUT", block.text):
        shutil.rmtree(place)
        shutil.copytree(request.getfixturevalue("cut"), place)
    stand_ins(place)
    script = block.text.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    run_block(block, ["bash", "-ec", script], place, port)


@pytest.mark.parametrize("block", runnable("python"))
def test_python_blocks_run(block, place, port):
    code = block.python.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    run_block(block, [sys.executable, "-c", code], place, port)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_says_what_it_is(page):
    found = list(blocks(page))
    assert len(found) * 2 == len(re.findall(r"^```", page.read_text("utf-8"), re.M))
    assert {block.language for block in found} <= LANGUAGES
    for block in found:
        kinds = ("not run: ", "exit ", "with a server", "before: ", "after: ", "")
        assert block.remark.startswith(kinds), f"{page.name}:{block.line}: {block.remark}"
    indented = re.findall(r"(?<=\n\n)    \S.*", FENCE.sub("", page.read_text("utf-8")))
    assert not indented, "a block without a fence is never run"


def headings(page: Path) -> list[str]:
    """The anchors of a page's headings, as code hosting sites and `make docs` make them."""
    text = FENCE.sub("", page.read_text("utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.M)
    return [re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles]


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "CREDITS.md", ROOT / "CHANGELOG.md"], ids=lambda page: page.stem
)
def test_every_link_leads_somewhere(page):
    text = FENCE.sub("", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in headings(linked), f"{page.name}: {target}"


def test_the_readme_is_one_page_and_names_every_other():
    text = README.read_text("utf-8")
    assert len(text.splitlines()) <= MOST_README_LINES
    for page in PAGES[1:]:
        assert f"docs/{page.name}" in text


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_flag_is_told(command):
    text = "".join(page.read_text("utf-8") for page in PAGES)
    assert f"pigeonhole {command}" in text
    done = subprocess.run(
        [sys.executable, "-m", "pigeonhole", command, "--help"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", done.stdout)) - {"--help"}
    assert flags
    assert not [flag for flag in sorted(flags) if not re.search(rf"{flag}(?![\w-])", text)]


def test_every_module_that_is_named_exists_and_every_room_is_named():
    rooms = {
        path.parent.relative_to(ROOT / "pigeonhole") for path in (ROOT / "pigeonhole").rglob("__init__.py")
    }
    for page in PAGES:
        for name in re.findall(r"`((?:[\w-]+/)+(?:\w+\.py)?)`", page.read_text("utf-8")):
            in_package = name.split("/")[0] in {str(room) for room in rooms}
            if in_package or name.endswith(".py"):
                assert (ROOT / "pigeonhole" / name if in_package else ROOT / name).exists(), (
                    f"{page.name}: {name}"
                )
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    for room in rooms - {Path()}:
        assert f"`{'.'.join(room.parts)}`" in text, room


def test_the_website_builds_and_loads_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("sphinx")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-b",
        "html",
        "-d",
        str(tmp_path / "d"),
    ]
    run(tmp_path, [*command, str(ROOT / "docs"), str(tmp_path / "site")])
    for page in (tmp_path / "site").glob("*.html"):
        assert not re.findall(
            r"(?:src=|<link[^>]*href=|@import|url\()[\"']?(?:https?:)?//", page.read_text("utf-8")
        )
    for sheet in (tmp_path / "site").rglob("*.css"):
        assert not re.findall(r"(?:@import|url\()[\s\"']*(?:https?:)?//", sheet.read_text("utf-8"))
