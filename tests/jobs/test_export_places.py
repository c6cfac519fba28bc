"""Where exports go: nothing of the user's is ever overwritten, and what cannot be written is told at once."""

import json
import os
import zipfile
from pathlib import Path

import pytest

from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.jobs import export_places
from pigeonhole.jobs.export_places import certificate_of
from pigeonhole.jobs.exporting import ExportJob, Form
from pigeonhole.runs import search
from pigeonhole.runs.run import Run
from tests.support import run_folders


def certify(place, *files):
    certificate_of(place).write_text(json.dumps({"sha256": dict.fromkeys(files, "0" * 64)}))


def test_a_file_in_the_folder_of_an_earlier_export_is_not_lost(tmp_path):
    web = tmp_path / "web"
    (web / "sub").mkdir(parents=True)
    (web / "index.html").touch()
    certify(web, "index.html")
    assert export_places.find(["web"], Run(tmp_path), tmp_path) == [web]
    (web / "sub" / "CNAME").write_text("mine")
    with pytest.raises(UsageError, match=r"CNAME: lies in an earlier export"):
        export_places.find(["web"], Run(tmp_path), tmp_path)


@pytest.mark.parametrize("text", ["mine", "[]", '{"sha256": 3}'])
def test_what_is_no_certificate_marks_no_earlier_export_and_is_kept(tmp_path, text):
    place = tmp_path / "model.pb"
    certificate_of(place).write_text(text)
    for _ in range(2):
        with pytest.raises(UsageError, match="never overwritten"):
            export_places.find(["model.pb"], Run(tmp_path), tmp_path)
        place.touch()


def test_a_link_is_not_replaced(tmp_path):
    place = tmp_path / "model.pb"
    certify(place, "model.pb")
    os.symlink("nowhere", place)
    for output in (tmp_path, place):
        with pytest.raises(UsageError):
            export_places.find(["model.pb"], Run(tmp_path), output)


@pytest.mark.parametrize(
    "output, names, told",
    [
        ("-", ["model.pb"], "standard output"),
        ("/dev/null", ["model.pb"], "not a folder"),
        ("/proc/out", ["model.pb"], r"^/proc/out: cannot be written to \("),
        ("/proc", ["model.pb"], r"^/proc: cannot be written to \("),
        ("x.tflite", ["model.onnx"], "not the place for model.onnx; name a folder"),
        ("x.pb", ["model.pb", "model.onnx"], "not the place for model.pb and model.onnx"),
    ],
)
def test_an_output_that_will_not_do_is_told_before_any_work(output, names, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=told):
        export_places.find(names, Run(tmp_path), Path(output))
    assert list(tmp_path.iterdir()) == []


def test_an_archive_has_no_folder_for_exports(tmp_path):
    run = run_folders.make(tmp_path)
    archive = tmp_path / "run.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in run.folder.iterdir():
            file.write(path, path.name)
    with pytest.raises(UsageError, match=r"run\.zip: an archive; say with --output"):
        export_places.find(["model.pb"], search.find(str(archive)))


def test_an_onnx_file_alone_is_not_exported(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"any")
    for output in (None, tmp_path):
        with pytest.raises(UsageError, match=r"model\.onnx: an ONNX file alone; name the folder of the run"):
            ExportJob([Form("pb")], str(file), output)


def test_a_folder_that_was_made_for_nothing_is_gone(tmp_path):
    run = run_folders.make(tmp_path)
    run.settings_file.write_text('{"options": {}}')
    with ExportJob([Form("onnx", int8=True)], str(run)) as job, pytest.raises(PigeonholeError) as error:
        job.export(Form("onnx", int8=True))
    assert str(error.value).endswith("which are not where the run found them")
    place = tmp_path / "out" / "model.pb"
    with pytest.raises(ValueError), export_places.folder_of(place):
        assert place.parent.is_dir()
        raise ValueError
    assert not place.parent.exists() and not run.exports_folder.exists()


def test_a_full_disk_is_told_by_the_name_of_the_form(tmp_path):
    place = tmp_path / "model.pb"
    for name in (None, str(tmp_path / ".pigeonhole-export.abc" / "model.pb")):
        error = OSError(28, "No space left on device", name)
        assert export_places.reason(error, place) == f"No space left on device: {place}"
    assert export_places.reason(PermissionError(13, "Denied", "/a"), place) == "Denied: /a"
