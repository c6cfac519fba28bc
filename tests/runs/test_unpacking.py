"""A model without its run's folder: a lone ONNX file, and a zip archive, which may be of a stranger."""

import json
import shutil
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pigeonhole import Classifier
from pigeonhole.commands import evaluate, predict
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.jobs import trained
from pigeonhole.runs import search, unpacking
from tests.support import saved_runs

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = saved_runs.ready(tmp_path_factory.mktemp("runs") / "pets", onnx=True)
    saved_runs.keep_pictures(run)
    return run


@pytest.fixture
def lone(run, tmp_path):
    return shutil.copy(run / "model.onnx", tmp_path / "pets.onnx")


@pytest.fixture
def packed(run, tmp_path):
    return shutil.make_archive(str(tmp_path / "pets"), "zip", run.parent, "pets")


def answers(model, engine="auto"):
    with Classifier.load(model, engine=engine) as classifier:
        return classifier.engine, classifier.classes, classifier.predict_pixels(PIXELS)


def test_a_lone_file_and_an_archive_answer_as_the_run_does(run, lone, packed):
    expected = answers(run)
    for model in (lone, packed):
        engine, classes, shares = answers(model)
        assert (engine, classes) == ("onnx", saved_runs.CLASSES)
        np.testing.assert_array_equal(shares, expected[2])
    np.testing.assert_allclose(answers(packed, "tensorflow")[2], expected[2], atol=1e-5)


def test_they_are_called_what_the_user_called_them(lone, packed):
    assert [search.find(model).name for model in (lone, packed)] == ["pets", "pets"]
    assert [search.find(model).describe() for model in (lone, packed)] == [str(lone), str(packed)]


def test_a_run_in_an_archive_keeps_its_name_in_python_and_in_errors(run, packed, lone, tmp_path):
    assert str(trained.Run.load(packed)) == str(packed)
    bad = tmp_path / "bad.zip"
    for name, content in (("model.onnx", b"\0" * (8 << 20)), ("checkpoint", b"x")):
        with zipfile.ZipFile(bad, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, content)
        with pytest.raises(PigeonholeError) as caught:
            Classifier.load(bad)
        assert str(caught.value).startswith(f"{bad}"), caught.value
    with pytest.raises(PigeonholeError, match=r"result\.json: no such file"):
        trained.Run.load(lone).result()
    saved_runs.write_picture(tmp_path / "test" / "cat" / "1.png", 1)
    for model, engine, told in ((lone, "tensorflow", "is an ONNX file"), (run, "foo", "no such engine")):
        with pytest.raises(UsageError, match=f"--engine {engine}: .*{told}"):
            trained.Run.load(model).evaluate(tmp_path / "test", engine=engine)


def test_an_archive_of_the_onnx_file_alone(run, tmp_path):
    with zipfile.ZipFile(tmp_path / "small.zip", "w") as archive:
        archive.write(run / "model.onnx", "deep/below/model.onnx")
    assert answers(tmp_path / "small.zip")[0] == "onnx"


def test_a_lone_file_is_told_apart(lone, tmp_path):
    with pytest.raises(UsageError, match=r"--engine tensorflow: .*pets\.onnx is an ONNX file"):
        Classifier.load(lone, engine="tensorflow")
    lone.write_bytes(lone.read_bytes()[:1000])
    with pytest.raises(PigeonholeError, match=r"pets\.onnx: "):
        Classifier.load(lone)
    with pytest.raises(UsageError, match=r"gone\.onnx: no such run; give .*\.zip file"):
        search.find(tmp_path / "gone.onnx")


def test_predict_and_evaluate_take_them_and_leave_everything_as_it_was(run, lone, packed, tmp_path, capsys):
    for number, name in enumerate(saved_runs.CLASSES):
        saved_runs.write_picture(tmp_path / "tests" / name / "a.png", number)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    told = []
    for model in (run, lone, packed):
        assert predict.main([str(tmp_path / "tests"), "--model", str(model), "--json"]) == 0
        told.append(json.loads(capsys.readouterr().out))
    assert told[0] == told[1] == told[2]
    for model in (lone, packed):
        arguments = ["--data", str(tmp_path / "tests"), "--model", str(model), "--no-cache"]
        assert evaluate.main(arguments) == 0
        assert "is no run's folder" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_why_finds_the_training_pictures_of_an_archive(packed, tmp_path, capsys):
    picture = saved_runs.write_picture(tmp_path / "a.png")
    assert predict.main([str(picture), "--model", str(packed), "--why"]) == 0
    assert "nearest" in capsys.readouterr().out


def test_nothing_is_written_outside(run, tmp_path):
    link = zipfile.ZipInfo("pets/labels.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.write(run / "model.onnx", "pets/model.onnx")
        archive.writestr("../../../../tmp/model.meta", "x")
        archive.writestr("/tmp/model.index", "x")
        archive.writestr("pets/evil.py", "x")
        archive.writestr(link, "/etc/passwd")
    unpacked = search.find(tmp_path / "bad.zip").folder.parent
    assert sorted(path.name for path in unpacked.iterdir()) == ["labels.txt", "model.onnx"]
    assert not (unpacked / "labels.txt").is_symlink()


def test_what_is_refused(run, tmp_path, monkeypatch):
    def told(match, *entries):
        with zipfile.ZipFile(tmp_path / "bad.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in entries:
                archive.writestr(name, content)
        with pytest.raises(PigeonholeError, match=match) as caught:
            search.find(tmp_path / "bad.zip")
        assert str(caught.value).startswith(str(tmp_path / "bad.zip")) and "\n" not in str(caught.value)

    told("holds no run", ("readme.txt", "x"))
    told("holds no run")
    with pytest.warns(UserWarning, match="Duplicate"):
        told("two files of one name", ("model.onnx", "x"), ("model.onnx", "y"))
    monkeypatch.setattr(unpacking, "MOST_BYTES", 1000)
    told("larger than a run can be", ("model.onnx", b"\0" * 1001))
    monkeypatch.setattr(unpacking, "MOST_ENTRIES", 2)
    told("3 entries", *((str(number), "") for number in range(3)))
    (tmp_path / "bad.zip").write_bytes((run / "model.onnx").read_bytes()[:5000])
    with pytest.raises(PigeonholeError, match=r"bad\.zip: damaged or no zip archive"):
        search.find(tmp_path / "bad.zip")


def test_every_flipped_bit_of_an_archive_is_one_line_or_the_same_answer(packed, tmp_path):
    whole, random = Path(packed).read_bytes(), np.random.default_rng(3)
    expected = answers(packed)[2]
    for place in [*random.integers(0, len(whole), 8), *range(len(whole) - 300, len(whole), 40)]:
        data = bytearray(whole)
        data[place] ^= 1 << int(random.integers(8))
        (tmp_path / "flipped.zip").write_bytes(data)
        try:
            shares = answers(tmp_path / "flipped.zip", "onnx")[2]
        except PigeonholeError as error:
            assert "\n" not in str(error)
        else:
            np.testing.assert_array_equal(shares, expected)
