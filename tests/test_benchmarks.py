"""The benchmarks without their trainings: what they import is there, and tables are made from outcomes."""

import ast
import importlib
import json
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
PNG = b"\x89PNG\r\n\x1a\n"


def defined(module: Path) -> set[str]:
    """The names that a module has, without importing it, and its submodules."""
    found = {path.stem for path in module.glob("*")} if module.is_dir() else set()
    file = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name)
    return found


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.name)
def test_a_benchmark_imports_what_is_there(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "pigeonhole":
            missing = {alias.name for alias in node.names} - defined(ROOT.joinpath(*node.module.split(".")))
            assert not missing, node.module


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("peers")


@pytest.fixture
def results(benchmark, tmp_path):
    """A file with the outcomes of two methods for one set: three seeds of ours, one of another."""
    file = tmp_path / "results.csv"
    for seed, right, seconds in ((0, 90, 30.04), (1, 96, 40.0), (2, 93, 35.0)):
        benchmark.append(benchmark.Outcome("ants", "pigeonhole", seed, right, 100, seconds, "here"), file)
    benchmark.append(benchmark.Outcome("ants", "standard", 0, 65, 100, 1234.5, "here"), file)
    return file


def arguments(results: Path, *more: str) -> list[str]:
    plot = results.with_name("plot.png")
    return ["--sets", f"ants=no{os.pathsep}where", "--results", str(results), "--plot", str(plot), *more]


def test_what_is_there_is_shown_and_not_trained_again(benchmark, results, capsys):
    before = results.read_bytes()
    benchmark.main(arguments(results, "--methods", "pigeonhole"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| ants | Pigeonhole, default | 93.0 % | 90.0 to 96.0 % | 35 | 3 |"
    assert not any("from nothing" in line for line in lines)
    benchmark.main(arguments(results, "--methods", "standard,pigeonhole", "--seeds", "0"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| ants | Pigeonhole, default | 90.0 % | 90.0 to 90.0 % | 30 | 1 |"
    assert lines[3].endswith("| 65.0 % | 65.0 to 65.0 % | 1,234 | 1 |")
    assert "ants: here" in lines
    assert results.with_name("plot.png").read_bytes().startswith(PNG)
    assert results.read_bytes() == before


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--sets", "ants=train"], "'ants=train' is not NAME=TRAIN"),
        (["--sets", os.pathsep.join(["train", "test"])], "is not NAME=TRAIN"),
        (["--seeds", "0,one"], "'0,one' is not a list of whole numbers"),
        (["--methods", "pigeonhole,torch"], "no method torch; there are pigeonhole, pytorch_frozen"),
    ],
)
def test_a_mistake_in_the_arguments_is_told_in_one_line(benchmark, results, capsys, more, told):
    with pytest.raises(SystemExit) as left:
        benchmark.main(arguments(results, *more))
    assert left.value.code == 2
    assert told in capsys.readouterr().err.splitlines()[-1]


def test_what_cannot_be_trained_is_told_before_anything_is(benchmark, results):
    methods = ["--methods", "pigeonhole,keras_tutorial"]
    with pytest.raises(SystemExit, match=r"^no: no such folder$"):
        benchmark.main(arguments(results, *methods))
    here = results.parent
    real = arguments(results, *methods, "--sets", f"ants={here}{os.pathsep}{here}")
    with pytest.raises(SystemExit, match=r"has outcomes for ants of another origin \(here, now"):
        benchmark.main(real)
    real = arguments(results, "--methods", "keras_tutorial", "--sets", f"bees={here}{os.pathsep}{here}")
    with pytest.raises(SystemExit, match=r"^keras_tutorial takes as long as pigeonhole with the same seed"):
        benchmark.main(real)


def test_what_lacks_its_package_is_left_out_and_said(benchmark, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "find_spec", lambda module: None if module == "fastai" else module)
    ahead = [("ants", name, 0) for name in ("pigeonhole", "pytorch_frozen", "fastai_fine_tuned")]
    assert benchmark._runnable(ahead) == ahead[:2]
    assert capsys.readouterr().err == "without fastai_fine_tuned: pip install fastai\n"


def test_the_processor_is_told_with_its_family(benchmark):
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.is_file() else ""
    family = re.search(r"^cpu family\s*: (\d+)$", text, re.MULTILINE)
    if not family:
        pytest.skip("this system does not tell the family of its processor")
    assert f", family {family[1]} (" in importlib.import_module("environment").processor()


@pytest.mark.parametrize("text", ["nonsense\n1\n", "set,method\nants,pigeonhole\n"])
def test_a_file_of_something_else_is_refused(benchmark, results, text):
    results.write_text(text)
    with pytest.raises(SystemExit, match="holds no results that this program wrote"):
        benchmark.main(arguments(results))


WITHOUT_TABLE = {  # modules of others
    "contenders", "environment", "history", "labelling_orders", "peer_recipes", "rivals", "suite", "trial"
}  # fmt: skip


def test_every_table_is_in_the_suite(benchmark):
    suite = importlib.import_module("suite")
    assert suite.ENTRIES.keys() == {path.stem for path in BENCHMARKS.glob("*.py")} - WITHOUT_TABLE


def test_the_suite_keeps_figures_that_the_history_compares(benchmark, tmp_path, monkeypatch, capsys):
    suite, history = importlib.import_module("suite"), importlib.import_module("history")
    figures, status = suite.run("start_time", "small", {"scratch": str(tmp_path)})
    assert status == 0
    by_name = {each["figure"]: each for each in figures}
    started = by_name["import pigeonhole"]
    assert started["n"] == 1 and started["median"] > 0 and by_name["python itself"]["median"] > 0
    newer = suite.keep(tmp_path / "kept", "small", {"figures": figures})
    older = {**json.loads(newer.read_text()), "day": "2000-01-01", "commit": "older"}
    older["figures"] = [{**each, "median": each["median"] / 3} for each in figures if each is started]
    earlier = newer.with_name("earlier.json")
    earlier.write_text(json.dumps(older))
    plot = tmp_path / "plot.png"
    monkeypatch.setattr("sys.argv", ["history.py", str(newer), str(earlier), "--plot", str(plot)])
    history.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("beside older of 2000-01-01")
    (line,) = lines[2:-1]
    assert line.startswith("  start_time import pigeonhole: ") and line.endswith(" s, 3.00 times")
    assert plot.read_bytes().startswith(PNG)
