"""`pigeonhole export`: its flags, what it says, and its exit status."""

import importlib.util

import pytest

from pigeonhole import extras
from pigeonhole.commands import export
from pigeonhole.errors import UsageError
from pigeonhole.model import metagraph
from tests.support import run_folders


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_folders.make(tmp_path_factory.mktemp("trained"))


def test_forms_are_written_and_put_into_a_table(run, capsys):
    assert export.main([str(run), "--to", "pb", "onnx", "pb", "--benchmark"]) == 0
    said = capsys.readouterr().out
    assert "18 of 18 validation pictures and 4 of 4 golden examples get the same answer" in said
    lines = [line for line in said.splitlines() if line.endswith("%")]
    assert [line.split("  ")[0].strip() for line in lines] == ["the run itself", "pb", "onnx"]
    assert len({line.split()[-2] for line in lines}) == 1  # the accuracy
    files = {"model.pb", "model.onnx", "model.pb.certificate.json", "model.onnx.certificate.json"}
    assert {path.name for path in run.exports_folder.iterdir()} == files


def test_a_package_that_is_missing_is_one_line_and_the_others_are_written(run, tmp_path, capsys, monkeypatch):
    real = importlib.util.find_spec

    def missing(name: str):
        return None if name == "openvino" else real(name)

    monkeypatch.setattr(extras.importlib.util, "find_spec", missing)
    assert export.main([str(run), "--to", "openvino", "pb", "--output", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert 'exporting to OpenVINO needs OpenVINO: pip install "pigeonhole[openvino]"' in captured.err
    assert (tmp_path / "out" / "model.pb").is_file() and not (tmp_path / "out" / "openvino").exists()


@pytest.mark.parametrize("flags", [[], ["--to"], ["--to", "word"], ["--int8"]])
def test_what_is_wanted_must_be_said(flags, capsys):
    with pytest.raises(SystemExit) as left:
        export.main(["somewhere", *flags])
    assert left.value.code == 2
    assert "--to" in capsys.readouterr().err


def test_not_every_form_has_int8(run):
    with pytest.raises(UsageError, match="no pb in int8; there are onnx, litert, openvino"):
        export.main([str(run), "--to", "onnx", "pb", "--int8"])


def test_a_run_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UsageError, match="no such run"):
        export.main([str(tmp_path / "nowhere"), "--to", "pb"])


def test_a_web_page_without_its_runtime_is_told_before_the_model_is_restored(run, tmp_path, monkeypatch):
    monkeypatch.setattr(metagraph, "restore", lambda prefix: pytest.fail("restored"))
    gone, output = str(tmp_path / "gone.tgz"), tmp_path / "out"
    with pytest.raises(UsageError, match=rf"^{gone}: .*npm install onnxruntime-web@"):
        export.main([str(run), "--to", "onnx", "web", "--runtime", gone, "--output", str(output)])
    assert not output.exists()


def test_the_comparison_leaves_out_what_this_installation_cannot_make(monkeypatch, capsys):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        extras.importlib.util, "find_spec", lambda name: None if name == "openvino" else real(name)
    )
    forms = export.wanted(export.parse(["--benchmark"]))
    assert {form.name for form in forms} == {"onnx", "litert", "savedmodel", "pb", "keras", "bundle"}
    assert capsys.readouterr().out == (
        'openvino        left out: exporting to OpenVINO needs OpenVINO: pip install "pigeonhole[openvino]"\n'
    )
    with pytest.raises(extras.MissingExtra):
        export.wanted(export.parse(["--to", "openvino"]))
