"""`--network auto`: the first answer, the candidates after it, and the model that answers in the end."""

import json
import shutil
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from pigeonhole.commands import train
from pigeonhole.errors import UsageError
from pigeonhole.features import extractor, known, pretrained
from pigeonhole.jobs import auto_job, choosing, setup
from pigeonhole.model.classifier import Classifier
from pigeonhole.runs.config import TrainingConfig
from pigeonhole.runs.run import Run
from tests.support.drawn_folders import draw_patches, draw_photos
from tests.support.training_program import WEIGHTS, done, stopped

pytestmark = pytest.mark.skipif(not pretrained.available(), reason=f"needs {pretrained.REQUIREMENT}")


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return draw_photos(tmp_path_factory.mktemp("pictures") / "photos", 20)  # 40 pictures


def flags(data: Path, output: Path, name: str, *more: str) -> list[str]:
    where = ["--data", data, "--output", output, "--cache-dir", data.parent / "cache", "--name", name]
    return [*map(str, where), *more]


def test_several_ways_are_tried_unless_a_flag_is_about_one_or_they_are_grey_thumbnails(photos, tmp_path):
    for flag in ({}, {"check_unseen": True}, {"learning_curve": True}, {"workers": 2}):
        assert choosing.decided(TrainingConfig(data=photos, **flag)).network == "auto"
    for flag in ({"epochs": 3.0}, {"image_size": 64}, {"weights": "imagenet"}, {"learning_rate": 1e-3}):
        assert choosing.decided(TrainingConfig(data=photos, **flag)).network is None
    thumbnails = draw_patches(tmp_path / "thumbnails", 2)
    assert choosing.decided(TrainingConfig(data=thumbnails)).network == "auto"
    for file in thumbnails.rglob("*.png"):
        cv2.imwrite(str(file), cv2.imread(str(file), cv2.IMREAD_GRAYSCALE))
    assert choosing.decided(TrainingConfig(data=thumbnails)).network is None


def test_a_slower_machine_has_more_time_but_not_without_end(monkeypatch):
    for speed, times in ((10 * auto_job.USUAL_SPEED, 1), (auto_job.USUAL_SPEED / 2, 2), (1.0, 4)):
        monkeypatch.setattr(extractor, "pictures_per_second", lambda opened, speed=speed: speed)
        assert auto_job.slowness(1) == times
    assert auto_job.default_minutes(41) == auto_job.default_minutes(1_000) == 2
    assert 4 < auto_job.default_minutes(20_000) < 10 == auto_job.default_minutes(10**6)


@pytest.mark.parametrize(
    "wrong", [["--network", "auto", "--epochs", "3"], ["--network", "standard", "--quick"]]
)
def test_flags_that_do_not_go_together_are_refused(photos, tmp_path, wrong):
    with pytest.raises(UsageError, match=f"^{wrong[-2] if wrong[-1] == '3' else wrong[-1]}: "):
        train.main(flags(photos, tmp_path / "runs", "one", *wrong))
    assert not (tmp_path / "runs" / "one").exists()


def test_the_first_answer_is_a_finished_run(photos, tmp_path, capsys):
    assert train.main(flags(photos, tmp_path / "runs", "quick", "--quick")) == 0
    said = capsys.readouterr().out
    assert "first answer after" in said and "trying" not in said and "to show the same" not in said
    assert "(minutes:seconds) for everything\n" in said  # no network was trained
    run = Run(tmp_path / "runs" / "quick")
    assert run.is_complete and run.report_page.is_file() and run.onnx_file.is_file()
    result = run.result()
    # All pictures are judged, by answers out of fold: none is set apart.
    assert result["validation_pictures"] == 40 and result["expected_accuracy"] > 0.9
    assert result["learning_curve"]["sizes"] == [9, 18, 36] and "more data" in said
    assert "learning-curve" in run.report_page.read_text("utf-8")
    assert "unseen" not in result  # of two classes none can be left out
    assert len(known.read(run)) == 40 and len(known.read(run).thumbnail(39)) < 5_000
    both_engines_agree(run, photos / "stripes" / "000.png", "stripes")


@pytest.mark.slow
def test_a_picture_and_its_mirror_image_are_judged_together(photos, tmp_path, capsys):
    data = shutil.copytree(photos, tmp_path / "photos")
    image = cv2.imread(str(data / "spots" / "003.png"))
    cv2.imwrite(str(data / "spots" / "mirrored.png"), image[:, ::-1])
    assert train.main(flags(data, tmp_path / "runs", "quick", "--quick")) == 0
    said = capsys.readouterr().out
    run = Run(tmp_path / "runs" / "quick")
    result = run.result()
    assert result["validation_pictures"] == 41 and result["expected_accuracy"] > 0.9
    assert result["copies_by_features"] == [["spots/003.png", "spots/mirrored.png"]]
    assert "1 pair of pictures seems to show the same; with these judged together: " in said
    assert "1 more pair of pictures seems to show the same" in said
    assert "spots/003.png ~ spots/mirrored.png" in run.report_page.read_text("utf-8")
    with Classifier.load(run) as classifier:
        pixels = classifier.read((data / "spots" / "mirrored.png").read_bytes())
        (features,) = classifier.fetch(pixels[None], ["features"])
    (near,) = known.read(run).nearest(features, 3)
    assert {each.name for each in near[:2]} == {"spots/mirrored.png", "spots/003.png"}
    assert [each.class_name for each in near] == ["spots"] * 3
    assert near[0].cosine > 0.98 > near[2].cosine  # in int8 the kept one is not quite the same


@pytest.mark.slow
def test_a_repetition_reads_pictures_at_the_size_of_the_run_that_it_repeats(tmp_path, monkeypatch):
    data, output = draw_photos(tmp_path / "photos", 8, times=5), tmp_path / "runs"
    monkeypatch.setattr(setup, "MOST_LARGER", 1)  # as an earlier version, which knew one size
    assert train.main(flags(data, output, "before", "--quick")) == 0
    before = Run(output / "before")
    monkeypatch.undo()
    assert before.settings()["image_size"] == 224 < setup.LARGER_SIZE
    repeated = ["--repeat", str(before.folder), "--output", str(output), "--name"]
    assert train.main([*repeated, "again"]) == 0
    settings = before.settings()
    del settings["image_size"]
    before.write_settings(settings)
    assert train.main([*repeated, "of an old one"]) == 0
    weights = [(output / name / WEIGHTS).read_bytes() for name in ("before", "again", "of an old one")]
    assert weights[0] == weights[1] == weights[2]


def both_engines_agree(run: Run, picture: Path, class_name: str) -> None:
    """A stranger is told from a picture of a class, too."""
    by_engine = []
    for engine in ("onnx", "tensorflow"):
        with Classifier.load(run, engine=engine) as classifier:
            known = classifier.read(picture.read_bytes())
            pixels = np.stack([known, np.zeros_like(known)])
            by_engine.append(classifier.fetch(pixels, ["y_pred", "certainty", "unsure"]))
    for one, other in zip(*by_engine, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)
    probabilities, certainty, unsure = by_engine[0]
    assert probabilities[0].argmax() == run.labels().index(class_name)
    assert certainty[1] < certainty[0] and unsure.tolist() == [False, True]


@pytest.mark.slow
def test_a_stopped_one_is_resumed_and_repeated_to_the_same_bits(tmp_path):
    """Labels that are partly wrong leave mistakes, by which further ways are tried."""
    data = draw_photos(tmp_path / "photos", 24, wrong=4)
    output = tmp_path / "runs"
    arguments = flags(data, output, "cut", "--minutes", "3", "--threads", "2", "--precision", "float32")
    status, said = stopped(arguments, signal.SIGTERM, after="epoch")
    assert status == 128 + signal.SIGTERM and "go on with" in said
    cut = Run(output / "cut")
    assert cut.has_model and not cut.is_complete
    assert Classifier.load(cut).predict(next(data.glob("*/*.png"))).shape == (1, 2)
    resumed = done("--resume", cut.folder)
    assert resumed.returncode == 0, resumed.stderr
    assert "absl" not in resumed.stderr  # TensorFlow greets there unless it is imported quietly
    assert cut.is_complete and [each["name"] for each in cut.settings()["candidates"]] == [
        "tuned",
        "standard",
    ]
    with Classifier.load(cut) as classifier:  # whose features begin with those of the pretrained network
        picture = data / "spots" / "020.png"
        (features,) = classifier.fetch(classifier.read(picture.read_bytes())[None], ["features"])
    (near,) = known.read(cut).nearest(features, 1)
    assert near[0].name == "spots/020.png" and near[0].cosine > 0.98
    again = done("--repeat", cut.folder, "--output", output, "--name", "again")
    assert "identical to" in again.stdout and again.returncode == 0, again.stdout + again.stderr
    assert (output / "again" / WEIGHTS).read_bytes() == (cut.folder / WEIGHTS).read_bytes()


@pytest.mark.slow
def test_ctrl_c_keeps_the_best_so_far(tmp_path):
    data = draw_photos(tmp_path / "photos", 24, wrong=4)
    arguments = flags(data, tmp_path / "runs", "one", "--minutes", "3")
    status, said = stopped(arguments, signal.SIGINT, after="epoch")
    run = Run(tmp_path / "runs" / "one")
    assert status == 128 + signal.SIGINT and "--resume" in said, said
    assert run.has_model and json.loads(run.result_file.read_text())["expected_accuracy"] > 0.5
