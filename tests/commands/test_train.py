"""The training program from its command line to a restored model, on small drawn pictures."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pigeonhole.commands import train
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.model.classifier import Classifier
from pigeonhole.runs.run import Run
from tests.support.drawn_folders import draw_patches
from tests.support.published_networks import SMALL, published

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return draw_patches(tmp_path_factory.mktemp("pictures") / "training data", 30)


@pytest.fixture
def arguments(data, tmp_path) -> list[str]:
    flags = ["--output", tmp_path / "runs", "--cache-dir", tmp_path / "cache", "--precision", "float32"]
    flags += ["--no-report"]
    return ["--data", str(data), *map(str, flags)]


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory) -> tuple[Path, str]:
    """A run by the default recipe but for its length, and what it printed."""
    folder = tmp_path_factory.mktemp("finished")
    test = draw_patches(folder / "testing data", 5, seed=1)
    (test / "blau" / "broken.png").write_bytes(b"")
    command = [sys.executable, ROOT / "train.py", "--data", data, "--test", test, "--epochs", "12"]
    command += ["--output", folder / "runs", "--name", "first", "--cache-dir", folder / "cache"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder / "runs" / "first", done.stdout


def test_a_finished_run_holds_what_it_promises(finished):
    run, _ = finished
    promised = {"model.meta", "model.index", "model.data-00000-of-00001", "checkpoint", "labels.txt"}
    promised |= {"settings.json", "history.csv", "split.csv", "model.onnx", "fingerprints.npz"}
    promised |= {
        "judged.csv",
        "last_state.npz",
        "progress.json",
        "result.json",
        "fixes.csv",
        "report.html",
        "report.json",
        "sha256.txt",
    }
    assert {path.name for path in run.iterdir()} == promised
    assert (run / "labels.txt").read_text("utf-8").splitlines() == ["blau", "grün", "rot"]


def test_it_says_what_it_will_do_before_and_how_good_it_is_after(finished):
    run, text = finished
    before, _, after = text.partition("epoch   1.0/12.0")
    for part in ("parameters", "network", "pictures to learn from", "muon", "threads", str(run)):
        assert part in before
    assert "conv1" not in before, "the table of layers is for --verbose"
    assert "pictures/s" in after and "left" in after
    for part in (
        "validation",
        "right:",
        "95 % interval",
        "always answering",
        "time",
        "next        ",
    ):
        assert part in after


def test_test_accuracy_counts_readable_pictures_and_names_the_rest(finished):
    run, text = finished
    assert "testing data: 16 files found = 15 used + 1 skipped" in text and "blau/broken.png" in text
    (line,) = [line for line in text.splitlines() if line.startswith("accuracy ")]
    with Classifier.load(run) as classifier:
        paths = sorted((run.parents[1] / "testing data").glob("*/*[0-9].png"))
        named = [classifier.classes[index] for index in classifier.predict(paths).argmax(1)]
    right = sum(name == path.parent.name for name, path in zip(named, paths, strict=True))
    assert f"{right} of 15 right" in line and right >= 13


def test_history_has_a_row_for_each_validation(finished):
    run, _ = finished
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["epoch"]) for row in rows] == list(range(1, 13))
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    settings = json.loads((run / "settings.json").read_text("utf-8"))
    assert int(rows[-1]["step"]) == settings["total_steps"]
    assert settings["recipe"]["epochs"] == 12 and not settings["recipe"]["brief"]
    assert settings["classes"] == ["blau", "grün", "rot"]
    assert settings["machine"]["precision"] in ("float32", "bfloat16")


def test_the_validation_figure_is_the_saved_models_own(finished, data):
    run, text = finished
    with (run / "split.csv").open(encoding="utf-8") as file:
        valid = [row for row in csv.DictReader(file) if row["side"] == "valid"]
    with Classifier.load(run) as classifier:
        answers = classifier.predict([data / row["path"] for row in valid]).argmax(1)
        named = [classifier.classes[answer] for answer in answers]
    right = sum(name == row["class"] for name, row in zip(named, valid, strict=True))
    assert f" {right} of {len(valid)} right" in text[text.index("\nvalidation ") :]


def test_the_epoch_whose_network_was_kept_is_named(finished):
    run, text = finished
    with Classifier.load(run, engine="tensorflow") as classifier:
        step = int(classifier.constant("global_step"))
    with (run / "history.csv").open(encoding="utf-8") as file:
        (kept,) = [row for row in csv.DictReader(file) if int(row["step"]) == step]
    assert (
        f"\n            the network of epoch {float(kept['epoch']):.1f}, chosen by its validation\n" in text
    )


def test_what_was_reached_is_there_for_programs(finished):
    run, _ = finished
    result = json.loads((run / "result.json").read_text("utf-8"))
    with (run / "split.csv").open(encoding="utf-8") as file:
        assert result["validation_pictures"] == sum(row["side"] == "valid" for row in csv.DictReader(file))
    low, high = result["interval_95"]
    assert low <= result["expected_accuracy"] <= high
    assert result["validations"] == 12 and result["optimism"] >= 0
    assert result["shortcuts"]["fires"]  # the colour alone is the class
    assert result["suspects"] == {"pictures": 0, "among_all": False}
    progress = json.loads((run / "progress.json").read_text("utf-8"))
    assert progress["state"] == "finished" and progress["step"] == progress["total_steps"]


def test_the_saved_model_is_calibrated_and_knows_when_it_is_unsure(finished, tmp_path):
    run, _ = finished
    with Classifier.load(run, engine="tensorflow") as classifier:
        contract = json.loads(classifier.constant("contract"))
        noise = [np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8) for seed in range(20)]
        flat = [np.full((32, 32, 3), value, np.uint8) for value in range(0, 256, 16)]
        said = classifier.fetch(np.stack(noise + flat), ["logits", "y_pred", "certainty", "unsure"])
    logits, shares, certainty, unsure = said
    scaled = np.exp(logits / contract["temperature"])
    np.testing.assert_allclose(shares, scaled / scaled.sum(1, keepdims=True), rtol=1e-4)
    assert contract["temperature"] != 1 and contract["rejection"]["false_rejection"] == 0.05
    np.testing.assert_array_equal(unsure, certainty < (contract["rejection"]["threshold"] or -np.inf))


def test_the_report_is_about_this_training_and_its_test(finished):
    run, text = finished
    page = (run / "report.html").read_text("utf-8")
    (right,) = [line.split()[1] for line in text.splitlines() if line.startswith("accuracy ")]
    assert f"{right} of 15" in page and "grün" in page and "conv3" in page
    assert f"report      {run / 'report.html'}" in text


def test_copies_of_training_pictures_in_the_test_folder_are_named(finished, data):
    from pigeonhole.evaluation import leakage

    run, _ = finished
    known = leakage.read(Run(run))
    paths = sorted(path.relative_to(data).as_posix() for path in data.glob("*/*.png"))
    assert sorted(known.names) == paths and set(known.sides) == {"train", "valid"}


@pytest.mark.slow
def test_edited_fixes_change_labels_and_no_file(arguments, data, tmp_path):
    before = {path: path.read_bytes() for path in data.glob("*/*.png")}
    fixes = tmp_path / "fixes.csv"
    fixes.write_text("file,new_label\nrot/000.png,blau\nrot/001.png,remove\n", "utf-8")
    assert train.main([*arguments, "--steps", "2", "--name", "fixed", "--fixes", str(fixes)]) == 0
    with (tmp_path / "runs" / "fixed" / "split.csv").open(encoding="utf-8") as file:
        class_of = {row["path"]: row["class"] for row in csv.DictReader(file)}
    assert class_of["rot/000.png"] == "blau" and "rot/001.png" not in class_of and len(class_of) == 89
    assert {path: path.read_bytes() for path in data.glob("*/*.png")} == before


# --- from an earlier run or published weights ---


@pytest.mark.slow
def test_a_training_begins_with_the_network_of_an_earlier_run(finished, tmp_path, capsys):
    run, _ = finished
    data = draw_patches(tmp_path / "pictures", 20, seed=2, classes=("rot", "gelb"))
    flags = ["--output", str(tmp_path), "--no-cache", "--precision", "float32", "--no-report"]
    begun = [
        "--data",
        str(data),
        "--weights",
        str(run),
        "--freeze",
        "0.5",
        "--steps",
        "4",
        "--name",
        "second",
    ]
    assert train.main([*begun, *flags]) == 0
    said = capsys.readouterr().out
    assert f"starts from {run}, which knows 1 of the 2 classes" in said
    assert "only the head learns in the first 2" in said
    settings = json.loads((tmp_path / "second" / "settings.json").read_text("utf-8"))
    assert settings["options"]["network"] == "standard" and settings["recipe"]["image_size"] == 32
    assert len(settings["options"]["weights_digest"]) == 64 and settings["recipe"]["freeze"] == 0.5
    first = json.loads((run / "settings.json").read_text("utf-8"))
    assert settings["recipe"]["learning_rate"] < first["recipe"]["learning_rate"], "what was learnt is kept"
    assert train.main(["--repeat", str(tmp_path / "second"), "--name", "third", *flags]) == 0
    assert "repeated    identical" in capsys.readouterr().out
    with Classifier.load(tmp_path / "third") as classifier:
        assert classifier.classes == ("gelb", "rot")


@pytest.mark.slow
def test_starting_weights_that_have_changed_are_told(finished, tmp_path):
    run = shutil.copytree(finished[0], tmp_path / "first")
    data = draw_patches(tmp_path / "pictures", 10, seed=2)
    flags = ["--output", str(tmp_path), "--no-cache", "--precision", "float32", "--no-report"]
    begun = ["--data", str(data), "--weights", str(run), "--steps", "1", "--name", "second"]
    assert train.main([*begun, *flags]) == 0
    again = ["--repeat", str(tmp_path / "second"), *flags]
    with (run / "model.index").open("ab") as file:
        file.write(b"more")
    with pytest.raises(UsageError, match=f"what --weights {run} holds has changed"):
        train.main(again)
    shutil.rmtree(run)
    with pytest.raises(UsageError, match="no such run"):
        train.main(again)


def test_without_a_network_connection_imagenet_is_one_line_that_says_what_to_fetch(data, tmp_path):
    usual = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    nowhere = {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "no_proxy": ""}
    command = [sys.executable, ROOT / "train.py", "--data", data, "--network", "mobilenet_v3_small"]
    done = subprocess.run(
        [*command, "--weights", "imagenet", "--output", tmp_path / "runs"],
        capture_output=True,
        text=True,
        timeout=120,
        env={**usual, **nowhere, "KERAS_HOME": str(tmp_path)},
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: https://storage.googleapis.com/") and " cannot be reached (" in line
    assert "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5" in line and "--weights FILE" in line
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "more, told",
    [
        (["--freeze", "0.2"], "--freeze belongs to --weights"),
        (["--weights", "nowhere"], "--weights nowhere: no such run"),
        (["--weights", "imagenet"], "--weights imagenet: choose a --network from"),
    ],
)
def test_starting_weights_that_cannot_be_are_refused_at_once(arguments, more, told):
    with pytest.raises(UsageError, match=told):
        train.main([*arguments, *more])


@pytest.mark.slow
def test_a_published_network_goes_from_a_weights_file_to_a_report(data, tmp_path):
    published(SMALL).save_weights(tmp_path / "start.weights.h5")
    flags = ["--network", SMALL, "--weights", tmp_path / "start.weights.h5", "--image-size", "32"]
    where = ["--output", tmp_path, "--name", "run", "--no-cache", "--epochs", "2", "--precision", "float32"]
    assert train.main(["--data", str(data), *map(str, [*flags, *where])]) == 0
    assert {"model.onnx", "report.html"} <= {path.name for path in (tmp_path / "run").iterdir()}
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "expanded_conv_" in page and "avg_pool" in page
    with Classifier.load(tmp_path / "run") as classifier:
        assert classifier.predict([data / "rot" / "000.png"]).shape == (1, 3)


@pytest.mark.slow
def test_further_trainings_tell_their_time_and_what_they_found(data, tmp_path):
    checks = ["--check-labels", "--check-unseen", "--learning-curve", "--validation-size", "0.4"]
    command = [
        sys.executable,
        ROOT / "train.py",
        "--data",
        data,
        "--steps",
        "12",
        "--batch-size",
        "30",
        *checks,
    ]
    done = subprocess.run([*command, "--no-cache"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and not done.stderr, done.stderr
    for title, networks in (("label check", 5), ("unseen classes", 3), ("learning curve", 4)):
        assert f"{title}: {networks} more networks, about 0:" in done.stdout
    (run,) = (tmp_path / "runs").iterdir()
    result = json.loads((run / "result.json").read_text("utf-8"))
    assert result["suspects"]["among_all"] and len(result["unseen"]["classes"]) == 3
    assert len(result["learning_curve"]["sizes"]) >= 3
    page = (run / "report.html").read_text("utf-8")
    assert 'id="unseen"' in page and 'id="learning-curve"' in page


def test_the_next_command_works_as_printed(finished):
    _, text = finished
    (line,) = [line for line in text.splitlines() if line.startswith("next ")]
    command = line.removeprefix("next").strip().replace("python ", f'"{sys.executable}" ', 1)
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert any(name in done.stdout for name in ("rot", "grün", "blau"))


@pytest.mark.slow
def test_same_seed_gives_the_same_model_and_another_another(arguments, tmp_path):
    def weights(name: str, *more: str) -> bytes:
        assert train.main([*arguments, "--epochs", "2", "--name", name, *more]) == 0
        return (tmp_path / "runs" / name / "model.data-00000-of-00001").read_bytes()

    assert weights("a") == weights("b") != weights("c", "--seed", "1")
    assert (tmp_path / "runs/a/split.csv").read_text() != (tmp_path / "runs/c/split.csv").read_text()
    assert json.loads((tmp_path / "runs/a/settings.json").read_text("utf-8"))["recipe"]["brief"]


@pytest.mark.slow
def test_flags_reach_the_training(data, tmp_path):
    flags = "--name flags --steps 7 --batch-size 9 --learning-rate 0.002 --image-size 20 --channels 1 "
    flags += "--no-augment --classes rot,blau --class-weights balanced --threads 1 "
    flags += (
        "--validation-size 0.3 --fraction 0.8 --optimizer momentum --schedule exponential --decay-steps 3 "
    )
    flags += "--weight-decay 0.02 --label-smoothing 0.2 --dropout 0.4 --no-report "
    flags += "--flip-average --shift-average --verbose"
    command = [sys.executable, ROOT / "train.py", "--data", data, *flags.split(), "--no-cache"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "flags"
    settings = json.loads((run / "settings.json").read_text("utf-8"))
    assert settings["total_steps"] == 7 and settings["machine"]["threads"] == 1
    recipe = settings["recipe"]
    assert (recipe["batch_size"], recipe["learning_rate"], recipe["image_size"]) == (9, 0.002, 20)
    assert (recipe["optimizer"], recipe["schedule"], recipe["decay_steps"]) == ("momentum", "exponential", 3)
    assert (recipe["weight_decay"], recipe["label_smoothing"], recipe["dropout"]) == (0.02, 0.2, 0.4)
    assert settings["options"]["dropout"] == 0.4 and settings["options"]["optimizer"] == "momentum"
    with (run / "history.csv").open() as file:
        assert float(list(csv.DictReader(file))[-1]["learning_rate"]) == pytest.approx(0.002 / 100)
    assert not recipe["augmentation"]["flip"] and not recipe["augmentation"]["colour"]
    with Classifier.load(run, engine="tensorflow") as classifier:
        assert list(classifier.classes) == ["rot", "blau"]
        assert (classifier.preprocessing.image_size, classifier.preprocessing.channels) == (20, 1)
        pixels = np.random.default_rng(0).integers(0, 256, (4, 20, 20, 1), np.uint8)
        (shown,) = classifier.fetch(pixels, ["views/output"])
    np.testing.assert_array_equal(shown[0], pixels[0])
    np.testing.assert_array_equal(shown[1, :-1, :-1], pixels[0, 1:, 1:])
    np.testing.assert_array_equal(shown[3], pixels[0, :, ::-1])
    assert len(shown) == 4 * 6 and "and the mirror images of all three" in done.stdout
    assert (
        "conv1" in done.stdout
        and "this program's defaults, except batch size 9, optimizer momentum" in done.stdout
    )


@pytest.mark.slow
def test_class_weights_change_what_is_learnt_from_unequal_classes(tmp_path, data):
    shutil.copytree(data, tmp_path / "data")
    for path in sorted((tmp_path / "data" / "rot").iterdir())[10:]:
        path.unlink()
    flags = [
        "--data",
        tmp_path / "data",
        "--output",
        tmp_path / "runs",
        "--precision",
        "float32",
        "--steps",
        "2",
    ]
    for kind in ("none", "balanced"):
        train.main([*map(str, flags), "--cache-dir", str(tmp_path), "--name", kind, "--class-weights", kind])
    weights = [
        (tmp_path / "runs" / k / "model.data-00000-of-00001").read_bytes() for k in ("none", "balanced")
    ]
    assert weights[0] != weights[1]


@pytest.mark.slow
def test_the_tutorial_network_trains_and_restores(arguments, tmp_path):
    assert train.main([*arguments, "--network", "tutorial", "--steps", "3", "--name", "classic"]) == 0
    with Classifier.load(tmp_path / "runs" / "classic") as classifier:
        assert classifier.preprocessing.image_size == 128


@pytest.mark.slow
def test_an_earlier_split_is_taken_over(arguments, tmp_path):
    train.main([*arguments, "--steps", "2", "--name", "first"])
    split = tmp_path / "runs" / "first" / "split.csv"
    train.main([*arguments, "--steps", "2", "--name", "second", "--seed", "5", "--split", str(split)])
    assert (tmp_path / "runs" / "second" / "split.csv").read_text() == split.read_text()


@pytest.mark.parametrize(
    "minutes, side, batch, brief",
    [
        pytest.param("0.1", "96", "2", True, id="few epochs", marks=pytest.mark.slow),
        pytest.param("0.2", "8", "72", False, id="many epochs", marks=pytest.mark.slow),
    ],
)
def test_minutes_bound_the_training(arguments, tmp_path, capsys, minutes, side, batch, brief):
    started = time.perf_counter()
    length = ["--minutes", minutes, "--image-size", side, "--batch-size", batch]
    train.main([*arguments, *length, "--name", "short"])
    assert time.perf_counter() - started < 60  # compiling and saving included: it must not run on
    settings = json.loads((tmp_path / "runs" / "short" / "settings.json").read_text("utf-8"))
    assert settings["total_steps"] > 10
    assert settings["recipe"]["brief"] is brief
    assert ("this program's defaults for a short training" in capsys.readouterr().out) is brief


@pytest.mark.slow
def test_ctrl_c_saves_the_best_so_far(data, tmp_path):
    command = [
        sys.executable,
        "-u",
        ROOT / "train.py",
        "--data",
        data,
        "--epochs",
        "100000",
        "--name",
        "long",
    ]
    command += ["--output", tmp_path / "runs", "--no-cache", "--log-every", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("step 5/"):
                process.send_signal(signal.SIGINT)
                break
        rest, errors = process.communicate(timeout=120)
    assert process.returncode == 130 and "Traceback" not in errors
    assert "stopped; saving the best network so far" in rest
    assert Run(tmp_path / "runs" / "long").has_model
    with Classifier.load(tmp_path / "runs" / "long") as classifier:
        assert len(classifier.classes) == 3


@pytest.mark.parametrize(
    "flags, named",
    [
        (["--data", "nowhere"], "--data nowhere"),
        (["--test", "nowhere"], "--test nowhere"),
        (["--split", "nowhere.csv"], "--split nowhere.csv"),
        (["--name", "a/b"], "--name"),
        (["--classes", "rot,gelb"], "gelb"),
    ],
)
def test_mistakes_are_named(arguments, flags, named):
    with pytest.raises(UsageError, match=named):
        train.main([*arguments, *flags])


def test_a_run_is_never_trained_over(arguments, finished):
    run, _ = finished
    before = {file: file.stat().st_mtime_ns for file in run.iterdir()}
    with pytest.raises(UsageError, match=run.name):
        train.main([*arguments, "--steps", "1", "--output", str(run.parent), "--name", run.name])
    assert {file: file.stat().st_mtime_ns for file in run.iterdir()} == before


def test_no_usable_picture_is_one_clear_error(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "x.jpg").write_bytes(b"no picture")
    with pytest.raises(PigeonholeError) as caught:
        train.main(["--data", str(tmp_path / "data"), "--no-cache", "--output", str(tmp_path / "runs")])
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "runs").glob("*"))


@pytest.mark.parametrize(
    "flags",
    [
        "--epochs 0",
        "--epochs 2 --steps 3",
        "--batch-size -1",
        "--channels 2",
        "--validation-size 1",
        "--network big",
        "--optimizer newton",
        "--schedule never",
        "--decay-steps 0",
        "--weight-decay -0.1",
        "--label-smoothing 1",
        "--dropout 1",
    ],
)
def test_wrong_values_are_usage_errors(flags, capsys):
    with pytest.raises(SystemExit) as caught:
        train.main(["--data", os.curdir, *flags.split()])
    assert caught.value.code == 2
    assert flags.split()[0] in capsys.readouterr().err.replace("argument", "")
