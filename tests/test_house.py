"""The plan of the house: who imports whom, what stays cheap, and what is done in one place only."""

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pigeonhole"
PROGRAMS = sorted(path for path in ROOT.glob("*.py") if "__main__" in path.read_text("utf-8"))
SOURCES = [*PACKAGE.rglob("*.py"), *PROGRAMS]
# Each may import those before it, never those after it.
ORDER = ["images", "folders", "cache", ("training", "classifier"), ("report", "web")]
SLOW_IMPORTS = {"tensorflow", "keras", "sklearn", "scipy", "matplotlib", "onnx", "onnxruntime", "tf2onnx"}
DECODERS = {"imdecode", "imdecodemulti", "imdecodeanimation", "imread", "imreadmulti", "imreadanimation"}
RESIZERS = {"images", "duplicates"}  # duplicates compares thumbnails: none of their pixels reaches a network


def module_name(path: Path) -> str:
    """ "images" for pigeonhole/images.py, "formats" for pigeonhole/formats/png.py, "train" for train.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py") if PACKAGE in path.parents else path.stem


def imported(path: Path) -> Iterator[str]:
    """The dotted names that a file imports when it runs, at its top or later; not those for type checkers."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # "from pigeonhole import images" imports a module, "from os import path" need not.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms() -> dict[str, set[str]]:
    """For each module of the package, those that it imports."""
    graph: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        names = {name.split(".")[1] for name in imported(path) if name.startswith("pigeonhole.")}
        graph.setdefault(module_name(path), set()).update(names - {module_name(path)})
    graph.pop("__init__")  # it only forwards to the classifier
    return {room: names & graph.keys() for room, names in graph.items()}


def reachable(room: str, graph: dict[str, set[str]]) -> set[str]:
    found, waiting = set(), [room]
    while waiting:
        new = graph.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def test_the_package_imports_no_program():
    programs = {path.stem for path in PROGRAMS}
    for path in PACKAGE.rglob("*.py"):
        assert not {name.split(".")[0] for name in imported(path)} & programs, path


def test_imports_point_one_way():
    graph = rooms()
    later: set[str] = set()
    for floor in reversed(ORDER):
        floor = {floor} if isinstance(floor, str) else set(floor)
        for room in floor & graph.keys():
            assert not reachable(room, graph) & later, room
        later |= floor


def test_no_module_imports_itself_in_a_circle():
    graph = rooms()
    assert not [room for room in graph if room in reachable(room, graph)]


def test_images_know_nothing_but_formats():
    assert rooms()["images"] <= {"errors", "formats"}


@pytest.mark.skipif(not (PACKAGE / "networks.py").exists(), reason="there are no networks")
def test_networks_know_no_files():
    assert not reachable("networks", rooms()) & {"images", "folders", "cache", "formats"}


@pytest.mark.skipif(not (PACKAGE / "web").exists(), reason="there is no web room")
def test_the_web_knows_only_the_classifier():
    assert rooms()["web"] <= {"classifier", "errors"}


def called(path: Path) -> Iterator[tuple[str, str]]:
    """Module and attribute of each `module.attribute` in a file, whatever is done with it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.value.id, node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pictures_are_decoded_and_resized_in_one_place(path):
    for module, name in called(path):
        assert not (name in DECODERS and module_name(path) != "images"), f"{module}.{name}"
        assert not (module == "cv2" and name == "resize" and module_name(path) not in RESIZERS)
        assert (module, name) not in {("PIL", "Image"), ("image", "decode_image"), ("image", "resize")}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_unpickles_or_evaluates(path):
    modules = {name.split(".")[0] for name in imported(path)}
    assert not modules & {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"eval", "exec"}
        assert not (isinstance(node, ast.keyword) and node.arg == "allow_pickle")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_one_word_for_each_thing(path):
    assert path.stem not in {"utils", "util", "helpers", "misc"}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            assert node.id not in {"cls", "img", "imgs", "pp"}
        assert not (isinstance(node, ast.arg) and node.arg in {"img", "imgs", "pp"})


def modules_after(*command: str | Path) -> set[str]:
    """Run a Python command somewhere else and return the top-level modules that it imported."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command],
        cwd=ROOT.parent,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return set(re.findall(r"^import time:.*\| +(\w+)", done.stderr, re.MULTILINE))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_help_comes_without_the_slow_imports(program):
    assert not modules_after(program, "--help") & SLOW_IMPORTS


def test_the_package_comes_without_the_slow_imports():
    assert not modules_after("-c", "import pigeonhole; pigeonhole.__version__") & {
        *SLOW_IMPORTS,
        "numpy",
        "cv2",
    }


def test_the_package_offers_the_classifier():
    import pigeonhole

    assert "Classifier" in pigeonhole.__all__
    assert pigeonhole.Classifier.__name__ == "Classifier"
    with pytest.raises(AttributeError, match="Clasifier"):
        _ = pigeonhole.Clasifier


def pins(file: str) -> dict[str, str]:
    """Package to version of a requirements file."""
    lines = [line.split(";")[0].strip() for line in (ROOT / file).read_text().splitlines()]
    return dict(line.split("==") for line in lines if line and not line.startswith(("#", "-r")))


def test_everything_imported_is_pinned_and_nothing_else():
    own = {"pigeonhole", *(path.stem for path in PROGRAMS)}
    modules = {name.split(".")[0] for path in SOURCES for name in imported(path)}
    providers = importlib.metadata.packages_distributions()
    needed = [set(providers[module]) for module in modules - own - sys.stdlib_module_names]
    pinned = {name.lower().replace("_", "-") for name in pins("requirements.txt")}
    for distributions in needed:
        assert {name.lower().replace("_", "-") for name in distributions} & pinned, distributions
    every = {name.lower().replace("_", "-") for distributions in needed for name in distributions}
    assert pinned - {"tensorflow", "tensorflow-cpu", "onnx"} <= every
    assert {"pytest", "ruff"} <= pins("requirements-dev.txt").keys()


def test_the_metadata_agrees():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "MIT"
    assert project["requires-python"] == ">=3.11"
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    assert "CC BY 4.0" in (ROOT / "CREDITS.md").read_text()


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_alone_lists_the_commands():
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    for command in ("demo", "test", "lint", "help"):
        assert f"make {command} " in done.stdout


@pytest.mark.skipif(os.name != "posix", reason="the mode of a file is a matter of POSIX")
def test_the_checks_can_be_run():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
