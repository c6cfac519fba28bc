"""An export is judged by the run's own pictures, certified, or leaves nothing."""

import hashlib
import json
import shutil

import numpy as np
import pytest

from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.jobs import export_certificate
from pigeonhole.jobs.export_certificate import certified
from pigeonhole.jobs.export_places import certificate_of
from pigeonhole.jobs.exporting import ExportJob, Form
from pigeonhole.model.export import onnx_file
from pigeonhole.model.export.replaying import Examples, Replayed
from tests.support import run_folders, saved_runs

PB = Form("pb")


@pytest.fixture
def run(tmp_path):
    return run_folders.make(tmp_path)


def test_the_certificate_says_how_the_form_answers(run):
    with ExportJob([PB], str(run)) as job:
        exported = job.export(PB)
    assert exported.place == run.exports_folder / "model.pb"
    told = json.loads(certificate_of(exported.place).read_text())
    assert told["pictures"]["n"] == told["pictures"]["equal"] == run_folders.VALIDATED
    assert told["pictures"]["kind"] == "validation pictures"
    assert told["pictures"]["accuracy"] == told["pictures"]["accuracy_of_the_run"] is not None
    assert told["pictures"]["largest_difference"] <= 1e-5 and told["golden"]["n"] == 4
    assert told["bytes"] == exported.place.stat().st_size and told["milliseconds_a_picture"] > 0
    digest = hashlib.sha256(exported.place.read_bytes()).hexdigest()
    assert told["sha256"] == {"model.pb": digest}
    assert {path.name for path in run.exports_folder.iterdir()} == {"model.pb", "model.pb.certificate.json"}


def test_pictures_that_have_changed_or_gone_are_left_out(run, tmp_path):
    pictures = sorted((tmp_path / "pictures").rglob("*.png"), key=lambda path: int(path.stem))
    pictures[-1].unlink()
    saved_runs.write_picture(pictures[-2], 999)
    with ExportJob([PB], str(run)) as job:
        assert len(job.examples.pixels) == run_folders.VALIDATED - 2
        certificate = job.export(PB).certificate
    assert certificate.content["pictures"]["missing"] == 2
    told = "2 further ones of the run's validation pictures cannot be read any more"
    assert certificate.lines()[2:] == [told]


def test_without_the_folder_thumbnails_or_the_golden_examples_alone_have_to_do(run, tmp_path):
    shutil.rmtree(tmp_path / "pictures")
    with ExportJob([PB], str(run)) as job:
        certificate = job.export(PB).certificate
        assert certificate.lines()[1].startswith("4 of 4 golden examples get the same answer")
        told = certificate.content
        assert told["pictures"]["n"] == 0 and told["golden"]["equal"] == 4
        with pytest.raises(PigeonholeError, match=r"int8: needs .* put them back: .*pictures"):
            job._places[Form("onnx", int8=True)] = tmp_path / "x.onnx"
            job.export(Form("onnx", int8=True))
    saved_runs.keep_pictures(run.folder, 5)
    with ExportJob([PB], str(run)) as job:
        told = job.export(PB).certificate.content
    assert told["pictures"]["n"] == 5 and told["pictures"]["accuracy"] is None
    assert told["pictures"]["kind"].startswith("thumbnails")


def test_a_form_that_answers_otherwise_is_not_written(run, monkeypatch):
    """The file is the ONNX file of another network."""
    form, convert = Form("onnx"), onnx_file.convert
    with ExportJob([form], str(run)) as job:
        job.export(form)
    before = {path.name: path.read_bytes() for path in run.exports_folder.iterdir()}

    def halved(session):
        model = convert(session)
        for constant in model.graph.initializer:
            if len(constant.dims) == 2:
                values = np.frombuffer(constant.raw_data, np.float32) / 2
                constant.raw_data = values.tobytes()
        return model

    monkeypatch.setattr(onnx_file, "convert", halved)
    with ExportJob([form], str(run)) as job, pytest.raises(PigeonholeError, match="other probabilities"):
        job.export(form)
    assert {path.name: path.read_bytes() for path in run.exports_folder.iterdir()} == before


def replayed(labels, model, form, difference=0.0) -> Replayed:
    """What is left of a replay where a model and a form answer these classes."""
    pixels = np.zeros((len(labels), 4, 4, 3), np.uint8)
    golden = np.full((2, 2), 0.5, np.float32)
    said = np.eye(2, dtype=np.float32)[model]
    examples = Examples(golden, golden, "validation pictures", pixels, said, np.array(labels))
    given = np.eye(2, dtype=np.float32)[form] + np.float32(difference)
    return Replayed(examples, golden, given, 1.0)


def judged(tmp_path, replay, int8=False):
    (tmp_path / "m").write_bytes(b"12345")
    return certified({"form": "x", "int8": int8}, tmp_path / "m", tmp_path / "model", replay)


def test_one_other_answer_is_too_many_in_float(tmp_path):
    labels = [0, 1] * 100
    certificate = judged(tmp_path, replayed(labels, labels, labels, 1e-6))
    assert certificate.content["pictures"]["equal"] == 200 and certificate.bytes == 5
    with pytest.raises(PigeonholeError, match="other probabilities"):
        judged(tmp_path, replayed(labels, labels, labels, 1e-3))
    tie = replayed([0], [0], [0])
    tie.examples.probabilities[:] = 0.5, 0.499999
    tie.probabilities[:] = 0.499999, 0.5
    with pytest.raises(PigeonholeError, match="answers 1 of 1 pictures otherwise"):
        judged(tmp_path, tie)


@pytest.mark.parametrize("lost, is_written", [(0, True), (2, True), (3, False)])
def test_int8_may_lose_one_percent(tmp_path, lost, is_written):
    labels = np.array([0, 1] * 100)
    form = labels.copy()
    form[:lost] = 1 - form[:lost]
    if is_written:
        certificate = judged(tmp_path, replayed(labels, labels, form), int8=True)
        assert certificate.content["loss"]["only_the_run_is_right"] == lost
        assert len(certificate.lines()) == 4
    else:
        with pytest.raises(PigeonholeError, match="loses 3 of 200 validation pictures"):
            judged(tmp_path, replayed(labels, labels, form), int8=True)


@pytest.mark.parametrize("total, lost, at_most", [(1, 0, 0.7935), (2, 1, 0.9055), (40, 1, 0.1288)])
def test_int8_says_how_little_a_few_pictures_show(tmp_path, total, lost, at_most):
    """The upper ends of Wilson's 95 % intervals of 0 of 1, 1 of 2 and 1 of 40."""
    labels = np.arange(total) % 2
    form = labels.copy()
    form[:lost] = 1 - form[:lost]
    certificate = judged(tmp_path, replayed(labels, labels, form), int8=True)
    assert certificate.content["loss"]["at_most"] == pytest.approx(at_most, abs=1e-4)
    word = "picture" if total == 1 else "pictures"
    assert certificate.lines()[3] == (
        f"{total} {word} can show this much: of new ones, int8 has at most {100 * at_most:.1f} % wrong that "
        "the run has right (95 % interval)"
    )


def test_int8_may_not_lose_what_is_no_chance(tmp_path):
    """6 of 1,000 are within the bound, but none is won: p = 0.03."""
    labels = np.array([0, 1] * 500)
    form = labels.copy()
    form[:6] = 1 - form[:6]
    assert export_certificate.MOST_LOST * 1000 >= 6
    with pytest.raises(PigeonholeError, match="not chance"):
        judged(tmp_path, replayed(labels, labels, form), int8=True)
    form[6:16] = labels[6:16]
    model = labels.copy()
    model[6:11] = 1 - model[6:11]
    assert judged(tmp_path, replayed(labels, model, form), int8=True).content["loss"]["p_value"] > 0.05


def test_a_users_file_is_never_overwritten(run, tmp_path):
    mine = tmp_path / "out" / "model.pb"
    mine.parent.mkdir()
    mine.write_text("mine")
    for output in (mine.parent, mine):
        with pytest.raises(UsageError, match="no earlier export"):
            ExportJob([PB], str(run), output)
    assert mine.read_text() == "mine"


def test_the_place_is_a_folder_or_the_file_itself(run, tmp_path):
    with ExportJob([PB], str(run), tmp_path / "leaves.pb") as job:
        assert job.export(PB).place == tmp_path / "leaves.pb"
        assert job.export(PB).place.is_file()  # an earlier export gives way
    with ExportJob([PB], str(run), tmp_path / "forms") as job:
        assert job.export(PB).place == tmp_path / "forms" / "model.pb"
    for output in (tmp_path / "no" / "where", tmp_path / "no" / "where.pb"):
        with pytest.raises(UsageError, match="does not exist"):
            ExportJob([PB], str(run), output)
    with pytest.raises(UsageError, match="not a folder"):
        ExportJob([PB], str(run), run.labels_file)
