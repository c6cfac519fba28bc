"""The evaluation program on small drawn pictures and networks with random weights."""

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pigeonhole import Classifier, extras
from pigeonhole.commands import evaluate, predict
from pigeonhole.data import cache, folders
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.evaluation import evaluation, leakage
from pigeonhole.model.export import exporting
from pigeonhole.networks import building
from pigeonhole.pictures import images
from pigeonhole.runs.run import Run
from tests.support import saved_runs

PROGRAM = Path(__file__).parents[2] / "evaluate.py"
CLASSES = saved_runs.CLASSES
PER_CLASS = 5


def photo(seed: int, side: int = 40) -> np.ndarray:
    """Random colours with fine detail: no two are alike."""
    random = np.random.default_rng(seed)
    image = sum(
        cv2.resize(random.normal(0, 130 / cells, (cells, cells, 3)), (side, side)) for cells in (3, 6, 12)
    )
    return np.clip(128 + 2 * image, 0, 255).astype(np.uint8)


def save(file: Path, image: np.ndarray) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(cv2.imencode(file.suffix, image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())
    return file


def draw(folder: Path, first_seed: int, classes=CLASSES) -> Path:
    for label, name in enumerate(classes):
        for number in range(PER_CLASS):
            save(folder / name / f"{number}.png", photo(first_seed + 100 * label + number))
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """Training pictures, test pictures, a run that remembers the former, and one that remembers nothing."""
    home = tmp_path_factory.mktemp("home")
    draw(home / "training", 0)
    draw(home / "testing", 10_000)
    run = saved_runs.ready(home / "runs" / "new")
    wanted = images.Preprocessing(saved_runs.SIZE)
    records, rows = cache.Cache(None).survey(folders.scan(home / "training"), wanted)
    leakage.write(Run(run), records, rows, {record.entry.name: "train" for record in records})
    saved_runs.save(home / "runs" / "old", saved_runs.network(seed=1, size=24))
    return home


@pytest.fixture(autouse=True)
def testing(home, tmp_path, monkeypatch) -> Path:
    """A copy of all that, where the test runs; gives the test folder."""
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "testing"


def ask(*flags: str, model: str = "new", data: str = "testing", report: bool = False) -> int:
    quiet = [] if report else ["--no-report"]
    return evaluate.main(["--data", data, "--model", model, "--cache-dir", "cache", *quiet, *flags])


def answers(capsys, *flags: str, **options) -> dict:
    capsys.readouterr()
    ask("--json", *flags, **options)
    return json.loads(capsys.readouterr().out)


def rows(file: str) -> list[dict[str, str]]:
    with open(file, encoding="utf-8-sig", newline="") as opened:
        return list(csv.DictReader(opened))


def right_by_hand(testing: Path) -> int:
    with Classifier.load("runs/new") as classifier:
        files = [(name, file) for name in CLASSES for file in sorted((testing / name).iterdir())]
        best = classifier.predict([file for _, file in files]).argmax(axis=1)
    return sum(CLASSES[answer] == name for answer, (name, _) in zip(best, files, strict=True))


def test_the_figures_are_those_of_asking_for_each_picture(testing, capsys):
    found = answers(capsys)
    right, total = right_by_hand(testing), 3 * PER_CLASS
    assert (found["found"], found["used"], found["skipped"]) == (total, total, [])
    assert (found["right"], found["total"], found["accuracy"]) == (right, total, right / total)
    assert sum(map(sum, found["confusion"])) == total
    assert [each["name"] for each in found["classes"]] == list(CLASSES)
    assert found["majority"] == {"class": "cat", "share": 1 / 3}
    assert found["copies"] == [] and found["unknown_classes"] == [] and found["missing_classes"] == []
    assert found["without_copies"]["accuracy"] == right / total
    assert found["comparison"] is None and found["written"] == {}


def test_each_answer_goes_with_its_file(testing):
    (testing / "cat" / "2.png").write_bytes(b"")
    tree = folders.scan(testing)
    with Classifier.load("runs/new") as classifier:
        judged = evaluation.judge(classifier, Run(Path("runs/new")), tree, cache.Cache(None)).evaluation
        files = [testing / name for name in judged.names]
        assert len(files) == 14
        assert np.allclose(classifier.predict(files), judged.probabilities, atol=1e-6)
    assert [judged.classes[label] for label in judged.labels] == [file.parent.name for file in files]
    assert judged.digests == [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    assert np.array_equal(judged.logits.argmax(axis=1), judged.predicted)


def test_people_read_the_same(testing, capsys):
    assert ask() == 0
    text = capsys.readouterr().out
    assert f"{right_by_hand(testing)} of 15 right" in text
    for part in ("model       runs/new, 3 classes", "testing: 15 files found = 15 used + 0 skipped"):
        assert part.replace("runs/new", str(Path("runs/new"))) in text
    for part in ("95 % interval", "precision", "confidence", "copies      none", "training thumbnail"):
        assert part in text


def test_the_table_has_the_probabilities_that_predict_gives(testing):
    (testing / "dog" / "broken.png").write_bytes(b"\x89PNG")
    ask("--csv", "table.csv")
    assert predict.main(["testing", "--csv", "predicted.csv", "--model", "new"]) == 1
    ours, theirs = rows("table.csv"), {row["file"]: row for row in rows("predicted.csv")}
    assert list(ours[0]) == [
        "file", "true_class", "prediction", "confidence", "right", "unsure", "copy_of", "error",
        *(f"p:{name}" for name in CLASSES), "doubt",
    ]  # fmt: skip
    assert len(ours) == len(theirs) == 16
    for row in ours:
        other = theirs[row["file"]]
        assert [row[name] for name in ("prediction", "unsure", "doubt", "error")] == [
            other[name] for name in ("prediction", "unsure", "doubt", "error")
        ]
        assert row["true_class"] == Path(row["file"]).parent.name
        if not row["error"]:
            assert row["right"] == ("yes" if row["true_class"] == row["prediction"] else "no")
            for name in ("confidence", *(f"p:{name}" for name in CLASSES)):
                assert float(row[name]) == pytest.approx(float(other[name]), abs=2e-6)
    (broken,) = [row for row in ours if row["error"]]
    assert Path(broken["file"]).name == "broken.png"
    assert {broken[name] for name in broken if name not in ("file", "true_class", "error")} == {""}


def test_a_table_of_labels_is_tested_as_folders_are(testing, capsys):
    before = answers(capsys)
    Path("flat/images").mkdir(parents=True)
    lines = ["label,file"]
    for file in sorted(testing.rglob("*.png")):
        name = f"{file.parent.name}_{file.name}"
        shutil.copy(file, Path("flat/images", name))
        lines.append(f"{file.parent.name},{name}")
    Path("flat/labels.csv").write_text("\n".join(lines), "utf-8")
    after = answers(capsys, data="flat")
    assert [after[name] for name in ("right", "total", "confusion")] == [
        before[name] for name in ("right", "total", "confusion")
    ]


def test_the_run_keeps_the_figures_of_its_last_test(testing, capsys):
    found = answers(capsys, report=True)
    low, high = found["interval"]
    kept = Run(Path("runs/new")).result()["test"]
    assert kept == {"accuracy": found["accuracy"], "interval_95": [low, high], "pictures": found["total"]}


def test_skipped_files_are_named_with_their_reason(testing, capsys):
    (testing / "dog" / "empty.png").touch()
    (testing / "dog" / "notes.txt").write_text("no picture")
    found = answers(capsys)
    assert (found["found"], found["used"]) == (17, 15)
    reasons = {each["name"]: each["reason"] for each in found["skipped"]}
    assert reasons.keys() == {"dog/empty.png", "dog/notes.txt"} and reasons["dog/empty.png"] == "empty"
    ask()
    text = capsys.readouterr().out
    assert "17 files found = 15 used + 2 skipped" in text
    assert "dog/empty.png   empty" in text


def test_unknown_and_missing_classes_are_named_and_not_guessed(testing, capsys):
    shutil.rmtree(testing / "dog")
    draw(testing, 20_000, ("Cat", "zebra"))
    save(testing / "beside.png", photo(0))
    found = answers(capsys)
    assert found["unknown_classes"] == [{"class": "Cat", "files": 5}, {"class": "zebra", "files": 5}]
    assert found["missing_classes"] == ["dog"]
    assert found["strays"] == ["beside.png"]
    assert found["total"] == found["found"] == 10
    assert found["classes"][1]["support"] == 0 and found["classes"][1]["recall"] is None
    ask()
    text = capsys.readouterr().out
    for part in ("10 files of classes that the model does not know", "zebra   5 files", "no folder for dog"):
        assert part in text
    assert "1 file outside the class folders (beside.png)" in text


def test_class_names_are_compared_in_one_unicode_form(testing, capsys):
    (testing / "été 北").rename(testing / "e\N{COMBINING ACUTE ACCENT}te\N{COMBINING ACUTE ACCENT} 北")
    found = answers(capsys)
    assert found["unknown_classes"] == [] and found["missing_classes"] == []


def test_nothing_that_the_model_knows(tmp_path):
    draw(tmp_path / "others", 0, ("horse", "zebra"))
    with pytest.raises(PigeonholeError, match="others: holds horse, zebra, and the model knows none"):
        ask(data="others")


def test_nothing_that_can_be_read(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "texts" / name).mkdir(parents=True)
        (tmp_path / "texts" / name / "a.txt").write_text("no picture")
    with pytest.raises(PigeonholeError, match="texts: none of 2 files is a picture"):
        ask(data="texts")
    (tmp_path / "bare").mkdir()
    with pytest.raises(PigeonholeError, match="bare: no class folders"):
        ask(data="bare")


def test_copies_of_training_pictures_are_named_and_counted_apart(testing, capsys):
    before = right_by_hand(testing)
    shutil.copy("training/cat/0.png", testing / "dog" / "exact.png")
    save(testing / "cat" / "near.jpg", cv2.resize(photo(101), (55, 55)))
    found = answers(capsys, "--csv", "table.csv")
    assert found["copies"] == [
        {"name": "cat/near.jpg", "training_name": "dog/1.png", "side": "train", "exact": False},
        {"name": "dog/exact.png", "training_name": "cat/0.png", "side": "train", "exact": True},
    ]
    assert found["total"] == 17
    assert (found["without_copies"]["right"], found["without_copies"]["total"]) == (before, 15)
    copied = {Path(row["file"]).name: row["copy_of"] for row in rows("table.csv") if row["copy_of"]}
    assert copied == {"near.jpg": "dog/1.png", "exact.png": "cat/0.png"}
    ask()
    text = capsys.readouterr().out
    for part in (
        "the model learnt from 2 of the 17 pictures (1 equal in content, 1 by appearance)",
        "cat/near.jpg    ~ dog/1.png",
        "dog/exact.png   = cat/0.png",
        f"without them {before} of 15 right",
    ):
        assert part in text


def test_the_training_folder_itself_says_nothing(capsys):
    assert ask(data="training") == 0
    text = capsys.readouterr().out
    assert "learnt from 15 of the 15 pictures" in text
    assert "... and 5 more" in text
    assert "says nothing about new pictures" in text
    assert answers(capsys, data="training")["without_copies"] == {
        "right": 0, "total": 0, "accuracy": None, "interval": None
    }  # fmt: skip


def test_the_nearest_thumbnail_is_looked_for_among_training_pictures(testing, capsys):
    assert answers(capsys, data="training")["nearest_thumbnail"] == 1.0
    for name in CLASSES:
        shutil.rmtree(testing / name)
    for number, (true, source) in enumerate([("cat", "cat"), ("cat", "dog"), ("dog", "dog"), ("dog", "dog")]):
        bright = cv2.convertScaleAbs(cv2.imread(f"training/{source}/{number}.png"), alpha=1, beta=3)
        save(testing / true / f"{number}.png", bright)
    assert answers(capsys)["nearest_thumbnail"] == 0.75


def test_an_older_run_is_tested_too(capsys):
    """Without fingerprints and without `unsure`."""
    with Classifier.load("runs/old") as classifier:
        assert not classifier.has("unsure")
    found = answers(capsys, model="old")
    assert found["copies"] is None and found["without_copies"] is None and found["nearest_thumbnail"] is None
    assert found["unsure"] == 0.0
    assert ask(model="old") == 0
    assert "copies      could not be searched for" in capsys.readouterr().out


@pytest.mark.parametrize(("least", "status"), [(None, 0), ("right", 0), ("above", 1), ("1", 1)])
def test_fail_under(least, status, testing, capsys):
    accuracy = right_by_hand(testing) / 15
    assert 0 < accuracy < 0.99
    share = {"right": str(accuracy), "above": str(accuracy + 1e-9)}.get(least, least)
    assert ask(*(["--fail-under", share] if share else [])) == status
    output = capsys.readouterr()
    assert "of 15 right" in output.out
    assert output.err.count("\n") == status
    if status:
        assert output.err.startswith(f"failed: the accuracy {accuracy:.4f} is below --fail-under")
    assert ask("--json", *(["--fail-under", share] if share else [])) == status
    json.loads(capsys.readouterr().out)


def test_two_models_on_the_same_pictures(testing, capsys):
    found = answers(capsys, "--csv", "new.csv", "--compare", "old")
    ask("--csv", "old.csv", model="old")
    compared = found["comparison"]
    both = list(zip(rows("new.csv"), rows("old.csv"), strict=True))
    right = [(first["right"], second["right"]) for first, second in both]
    assert compared["both"] == right.count(("yes", "yes"))
    assert compared["only_first"] == right.count(("yes", "no"))
    assert compared["only_second"] == right.count(("no", "yes"))
    assert [each["name"] for each in compared["changed"]] == [
        Path(first["file"]).relative_to("testing").as_posix()
        for first, second in both
        if first["prediction"] != second["prediction"]
    ]
    assert compared["changed"] and compared["second"]["right"] == sum(second == "yes" for _, second in right)
    capsys.readouterr()
    assert ask("--compare", "old") == 0
    assert "McNemar" in capsys.readouterr().out


def test_what_is_wrong_with_the_other_model_is_told_before_any_test(capsys):
    saved_runs.save(Path("runs/two"), building.build("standard", saved_runs.SIZE, 3, 2))
    next(Path("runs/old").glob("model.data*")).write_bytes(b"damaged")
    for other, why in (("two", "only one of the two models knows"), ("old", "old")):
        with pytest.raises(PigeonholeError, match=why):
            ask("--compare", other)
    assert capsys.readouterr().out == "" and not Path("cache").exists()


def test_what_figures_need_is_told_before_any_test(capsys, monkeypatch):
    if Path("/proc/self").exists():
        with pytest.raises(UsageError, match=r"^--plots /proc/x: .*not writable"):
            ask("--plots", "/proc/x")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(extras.MissingExtra, match=r"^--plots needs Matplotlib"):
        ask("--plots", "figures")
    with pytest.raises(extras.MissingExtra, match=r"^the report .*needs Matplotlib"):
        ask(report=True)
    assert capsys.readouterr().out == "" and not Path("cache").exists()
    assert ask() == 0


def test_the_run_that_answers_is_named_before_the_test(testing, capsys):
    shutil.rmtree(testing)
    (testing / "bird").mkdir(parents=True)
    shutil.copy("training/cat/0.png", testing / "bird")
    with pytest.raises(PigeonholeError, match="knows none of these"):
        ask()
    assert capsys.readouterr().out == f"model       {Path('runs/new')}, 3 classes\n"
    with pytest.raises(PigeonholeError, match="knows none of these"):
        ask("--json")
    assert capsys.readouterr().out == ""


def test_what_the_other_model_has_learnt_from_is_said(testing, capsys):
    shutil.copy("training/cat/0.png", testing / "cat" / "exact.png")
    ask("--compare", "new", model="old")
    assert f"{Path('runs/new')} learnt from 1 of the pictures" in capsys.readouterr().out


def test_the_report_gets_its_part(capsys):
    assert ask(report=True) == 0
    page = Path("runs/new/report.html")
    assert f"report      {page}" in capsys.readouterr().out
    assert "of 15" in page.read_text("utf-8")
    ask()
    assert "report.html" not in capsys.readouterr().out


def test_a_run_that_cannot_be_written_is_tested_all_the_same(capsys):
    Path("runs/new/report.html").mkdir()
    assert ask(report=True) == 0
    output = capsys.readouterr()
    assert "of 15 right" in output.out and "report " not in output.out
    assert output.err.startswith(f"no report: {Path('runs/new')} cannot be written")


@pytest.mark.slow
def test_figures_as_files(capsys):
    found = answers(capsys, "--plots", "figures", "--layer", "conv1", "--picture", "testing/cat/0.png")
    assert found["written"] == {"figures": "figures"}
    names = {file.name for file in Path("figures").iterdir()}
    assert "confusion.png" in names and "filters_conv1.png" in names and "filters_conv2.png" not in names


def test_either_engine_gives_the_same_figures_and_report(testing, capsys):
    exporting.export(Path("runs/new"))
    found = []
    for engine in ("tensorflow", "onnx"):
        found.append(answers(capsys, "--engine", engine, report=True))
        assert "attention" in Path("runs/new/report.html").read_text("utf-8")
    one, other = found
    assert other["accuracy"] == one["accuracy"] and other["confusion"] == one["confusion"]
    with pytest.raises(UsageError, match=r"--plots: .*engine onnx does not have; add --engine tensorflow"):
        ask("--engine", "onnx", "--plots", "figures")
    assert not Path("figures").exists()


def _classic_checkpoint(folder: Path) -> None:
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        pixels = v1.placeholder(tf.float32, [None, 8, 8, 3], "x")
        flat = tf.matmul(tf.reshape(pixels, [-1, 192]), v1.get_variable("w", [192, 2], use_resource=False))
        tf.nn.softmax(flat, name="y_pred")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(folder / "classic"))


def test_checkpoints_of_other_programs_are_refused(tmp_path):
    _classic_checkpoint(tmp_path)
    with pytest.raises(UsageError, match=r"classic: the checkpoint does not name .*--labels"):
        ask(model="classic.meta")


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--data", "testing", "--fail-under", "90"],
        ["--data", "testing", "--fail-under", "0"],
        ["--data", "testing", "--layer", "conv1"],
        ["--data", "testing", "--input-channel", "0"],
        ["--data", "testing", "--plots", "p", "--input-channel", "-1"],
        ["--data", "testing", "--picture", "testing/cat/0.png"],
        ["--data", "testing", "--smooth"],
    ],
)
def test_wrong_flags_are_usage(flags):
    with pytest.raises(SystemExit) as caught:
        evaluate.main(flags)
    assert caught.value.code == 2


@pytest.mark.parametrize("table", ["testing/cat/0.png", "nowhere/out.csv", "testing"])
def test_table_that_cannot_or_must_not_be_written(table, testing):
    before = (testing / "cat" / "0.png").read_bytes()
    with pytest.raises(UsageError, match=f"--csv {table}"):
        ask("--csv", table)
    assert (testing / "cat" / "0.png").read_bytes() == before


def test_a_folder_that_is_split_already_is_asked_about(tmp_path):
    for side in ("train", "valid", "test"):
        draw(tmp_path / "ready" / side, 0)
    with pytest.raises(UsageError, match=r"name the one to test on, such as .*test"):
        ask(data="ready")


def test_mistakes_and_help_come_before_tensorflow(testing):
    program = (
        "import sys; from pigeonhole.commands import evaluate; from pigeonhole.errors import UsageError\n"
        "bad = (['--data', 'nothing'], ['--data', 'testing', '--model', 'nothing'],\n"
        "       ['--data', 'testing', '--compare', 'nothing'], ['--data', 'testing', '--csv', 'testing'],\n"
        "       ['--data', 'testing', '--plots', 'testing/cat/0.png'], ['--help'],\n"
        "       ['--data', 'testing', '--plots', 'p', '--picture', 'nothing'])\n"
        "for arguments in bad:\n"
        "    try: evaluate.main(arguments)\n"
        "    except (UsageError, SystemExit): print('tensorflow' in sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(PROGRAM.parent)},
        capture_output=True,
        text=True,
    )
    assert done.stderr.split() == ["False"] * 7
    assert "--fail-under" in done.stdout


@pytest.mark.slow
def test_the_program_prints_json_and_no_noise(testing):
    flags = ["--data", "testing", "--model", "new", "--cache-dir", "cache", "--json", "--no-report"]
    done = subprocess.run(
        [sys.executable, PROGRAM, *flags, "--fail-under", "1"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["total"] == 15
    assert done.stderr.startswith("failed: ") and done.stderr.count("\n") == 1
