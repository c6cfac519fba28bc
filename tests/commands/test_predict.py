import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pigeonhole import Classifier, terminal
from pigeonhole.commands import predict
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.jobs.prediction import Answer, Source
from pigeonhole.model.export import exporting
from tests.support import saved_runs

PROGRAM = Path(__file__).parents[2] / "predict.py"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return saved_runs.ready(tmp_path_factory.mktemp("home") / "runs" / "first")


@pytest.fixture(autouse=True)
def pictures(run, tmp_path, monkeypatch):
    """A folder of pictures, in which the test runs with the model at hand as `runs/first`."""
    shutil.copytree(run, tmp_path / "runs" / "first")
    folder = tmp_path / "photos"
    for seed, name in enumerate(("b.png", "a.JPG", "deep/er/c.webp", "é 1.bmp")):
        saved_runs.write_picture(folder / name, seed)
    monkeypatch.chdir(tmp_path)
    return folder


def answers(capsys, *arguments: str) -> list[dict]:
    predict.main([*arguments, "--json"])
    return json.loads(capsys.readouterr().out)


def test_one_picture_is_one_line_best_first(capsys):
    assert predict.main(["photos/b.png"]) == 0
    with Classifier.load("runs/first") as classifier:
        (shares,) = classifier.predict(["photos/b.png"])
    ranked = sorted(zip(shares, saved_runs.CLASSES, strict=True), reverse=True)
    output = capsys.readouterr()
    assert (
        output.out == "   ".join(f"{terminal.padded(name, 6)} {share:.2f}" for share, name in ranked) + "\n"
    )
    assert output.err == f"model: {Path('runs', 'first')}\n"


@pytest.mark.slow
def test_the_onnx_file_gives_the_same_answers_without_tensorflow(pictures):
    exporting.export(pictures.parent / "runs" / "first")
    command = ["-X", "importtime", str(PROGRAM), "photos", "--json", "--engine"]
    said = []
    for engine in ("tensorflow", "onnx"):
        shown = subprocess.run([sys.executable, *command, engine], capture_output=True, text=True)
        assert (" pigeonhole.model.metagraph\n" in shown.stderr) is (
            engine == "tensorflow"
        )  # which imports it
        said.append(json.loads(shown.stdout))
    for one, other in zip(*said, strict=True):
        assert one["file"] == other["file"] and one["unsure"] is other["unsure"]
        shares = [
            {each["class"]: each["probability"] for each in answer["predictions"]} for answer in (one, other)
        ]
        assert shares[0] == pytest.approx(shares[1], abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--engine", "onnx"], "model.onnx: no such file"),
        (["--engine", "onnx", "--labels", "a,b"], "--engine onnx"),
    ],
)
def test_what_the_onnx_engine_cannot_do_is_told(capsys, arguments, told):
    with pytest.raises((PigeonholeError, SystemExit)) as stopped:
        predict.main(["photos", *arguments])
    assert told in str(stopped.value) + capsys.readouterr().err


def test_several_pictures_get_a_line_each_aligned(capsys):
    predict.main(["photos/b.png", "photos/deep/er/c.webp", "--top", "2"])
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("photos/b.png           ") and second.startswith("photos/deep/er/c.webp  ")
    assert sum(first.count(name) for name in saved_runs.CLASSES) == 2


def test_folders_are_searched_at_any_depth_and_hidden_files_left(pictures, capsys):
    saved_runs.write_picture(pictures / ".hidden" / "d.png")
    saved_runs.write_picture(pictures / "._a.jpg")
    (pictures / "Thumbs.db").write_bytes(b"x")
    (pictures / "deep" / "loop").symlink_to(pictures, target_is_directory=True)
    found = [Path(answer["file"]).as_posix() for answer in answers(capsys, "photos")]
    assert found == ["photos/a.JPG", "photos/b.png", "photos/deep/er/c.webp", "photos/é 1.bmp"]


def test_patterns_work_where_the_shell_leaves_them(capsys):
    assert [answer["file"] for answer in answers(capsys, "photos/[ab].*")] == ["photos/a.JPG", "photos/b.png"]
    assert [answer["file"] for answer in answers(capsys, "photos/**/*.webp")] == ["photos/deep/er/c.webp"]


def test_file_whose_name_looks_like_a_pattern(pictures, capsys):
    (pictures / "b.png").rename(pictures / "[b].png")
    assert [answer["file"] for answer in answers(capsys, "photos/[b].png")] == ["photos/[b].png"]


def test_json_holds_every_probability_in_full(capsys):
    (answer,) = answers(capsys, "photos/a.JPG")
    with Classifier.load("runs/first") as classifier:
        (shares,) = classifier.predict(["photos/a.JPG"])
    expected = dict(zip(saved_runs.CLASSES, shares, strict=True))
    assert [entry["class"] for entry in answer["predictions"]] == sorted(expected, key=expected.get)[::-1]
    for entry in answer["predictions"]:
        assert entry["probability"] == pytest.approx(expected[entry["class"]], abs=1e-6)
    assert len(answers(capsys, "photos/a.JPG", "--top", "1")[0]["predictions"]) == 1


def test_csv_is_a_table_of_all_classes(pictures, capsys):
    (pictures / "broken.png").write_bytes((pictures / "b.png").read_bytes()[:-20])
    assert predict.main(["photos", "--csv", "out.csv"]) == 1
    capsys.readouterr()
    with open("out.csv", encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    shares = [f"p:{name}" for name in saved_runs.CLASSES]
    assert header == ["file", "prediction", "confidence", "unsure", "error", *shares, "doubt", "model"]
    table = {Path(row[0]).name: row for row in rows}
    assert len(rows) == 5 and table["broken.png"][4]
    assert [text for text in table["broken.png"][1:-1] if text] == [table["broken.png"][4]]
    assert len({row[-1] for row in rows}) == 1 and rows[0][-1]
    for answer in json.loads(_run_json(capsys)):
        row, best = table[Path(answer["file"]).name], answer["predictions"][0]
        assert row[1] == best["class"] and row[-2] == (answer["doubt"] or "")
        assert row[2] == row[5 + saved_runs.CLASSES.index(best["class"])]
        assert float(row[2]) == pytest.approx(best["probability"], abs=1e-6)
    assert predict.main(["photos/b.png", "--csv", "out.csv"]) == 0  # its own earlier output
    assert len(Path("out.csv").read_text("utf-8").splitlines()) == 2
    assert not [name for name in os.listdir() if name.startswith(".")]


def test_torn_and_unsure_are_said_in_words(capsys):
    def said(shares: list[float], unsure: bool) -> str:
        ranked = list(zip(("cat", "dog"), shares, strict=True))
        predict.print_lines([Answer("a.png", ranked, unsure)], 2, [Source("a.png", "a.png")], ["cat", "dog"])
        return capsys.readouterr().out

    assert said([0.6, 0.4], False) == "cat 0.60   dog 0.40   torn between cat and dog\n"
    assert said([0.6, 0.4], True) == "cat 0.60   dog 0.40   unsure: perhaps none of these\n"
    assert said([0.9, 0.1], False) == "cat 0.90   dog 0.10\n"


def test_the_table_says_how_many_were_answered(pictures, capsys):
    (pictures / "broken.png").write_bytes(b"x")
    predict.main(["photos", "--csv", "out.csv"])
    assert capsys.readouterr().out == "out.csv: 4 pictures answered, 1 could not be read\n"


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
def test_hostile_names_reach_neither_terminal_nor_spreadsheet(pictures, capsys):
    (pictures / "=1+1.png").write_bytes((pictures / "b.png").read_bytes())
    for name in ("\x1b[31mred.png", "two\nlines.png"):
        (pictures / name).write_bytes(b"x")
    assert predict.main(["photos"]) == 1
    output = capsys.readouterr()
    assert "\x1b" not in output.out + output.err
    assert len(output.out.splitlines()) == 5 and len(output.err.splitlines()) == 3
    os.chdir(pictures)
    predict.main(["=1+1.png", "--csv", "out.csv", "--model", "../runs/first"])
    assert Path("out.csv").read_bytes().splitlines()[1].startswith(b"'=1+1.png,")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_csv_into_a_pipe(pictures):
    os.mkfifo("pipe")
    reader = subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE, text=True)
    assert predict.main(["photos", "--csv", "pipe"]) == 0
    assert len(reader.communicate()[0].splitlines()) == 5 and Path("pipe").is_fifo()


@pytest.fixture
def explained(pictures) -> str:
    """The name of a run that keeps its pictures; `photos/known.png` is one of them, of the class "dog"."""
    folder = shutil.copytree("runs/first", Path("runs", "explained"))
    known = saved_runs.keep_pictures(folder)
    cv2.imwrite("photos/known.png", known[4][..., ::-1])
    return "explained"


def test_the_nearest_training_pictures_are_named(explained, capsys):
    assert predict.main(["photos/known.png", "--why", "--model", explained]) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and lines[0] == "    nearest     dog    1.00   dog/4.png"
    assert all(line.startswith(" " * 16) for line in lines[1:])
    _, answer = answers(capsys, "photos/b.png", "photos/known.png", "--why", "--model", explained)
    first, *others = answer["nearest"]
    assert (first["file"], first["class"]) == ("dog/4.png", "dog") and len(others) == 4
    assert first["cosine"] == pytest.approx(1, abs=1e-3) and others[0]["cosine"] < 0.999
    assert "heatmap" not in answer
    predict.main(["photos", "--why", "--csv", "out.csv", "--model", explained])
    with open("out.csv", encoding="utf-8-sig", newline="") as file:
        rows = {Path(row["file"]).name: row for row in csv.DictReader(file)}
    assert rows["known.png"]["nearest_1"] == "dog/4.png" and rows["known.png"]["nearest_1_class"] == "dog"
    assert float(rows["a.JPG"]["nearest_5_cosine"]) <= float(rows["a.JPG"]["nearest_1_cosine"])


def test_a_run_without_training_pictures_says_so_and_answers(pictures, capsys):
    assert predict.main(["photos/b.png", "--why"]) == 0
    output = capsys.readouterr()
    assert "note: this run keeps no training pictures to name; add --heatmaps FOLDER" in output.err
    assert len(output.out.splitlines()) == 1
    Path("runs/first", "known_pictures.npz").write_bytes(b"PK")
    with pytest.raises(PigeonholeError, match=r"known_pictures.npz: damaged"):
        predict.main(["photos/b.png", "--why"])


def test_heatmaps_are_written_and_replace_nothing(pictures, capsys):
    Path("seen").mkdir()
    Path("seen/b.png").write_bytes(b"mine")
    predict.main(["photos/b.png", "photos/deep", "--heatmaps", "seen"])
    output = capsys.readouterr().out
    assert "    heatmap     seen/b-2.png\n" in output.replace(os.sep, "/")
    assert Path("seen/b.png").read_bytes() == b"mine"
    for name in ("b-2", "c"):
        pair = cv2.imread(f"seen/{name}.png")
        assert pair.shape[1] > 2 * pair.shape[0] * 0.7  # two pictures side by side
        left, right = np.split(pair[:, : pair.shape[1] // 2 * 2], 2, axis=1)
        assert not np.array_equal(left, right)


@pytest.mark.parametrize("folder", ["photos", "photos/b.png"])
def test_heatmaps_keep_away_from_the_pictures(pictures, folder):
    before = sorted(pictures.rglob("*"))
    with pytest.raises(UsageError, match=f"--heatmaps {folder}: "):
        predict.main(["photos", "--heatmaps", folder])
    assert sorted(pictures.rglob("*")) == before


@pytest.mark.parametrize("address", ["https://example.org/cat.jpg", "s3://a/b.png", "HTTP://x"])
def test_an_address_is_told_that_files_are_taken(address):
    with pytest.raises(UsageError, match=f"{address}: an address; predict takes files"):
        predict.main([address])


def test_a_path_that_was_cut_at_its_space_is_recognised(pictures):
    for words in (["photos/é", "1.bmp"], ["photos/b.png", "photos/é", "1.bmp"]):
        with pytest.raises(UsageError, match=r"^photos/é 1.bmp: a path with a space needs quotes$"):
            predict.main(words)


def _run_json(capsys) -> str:
    predict.main(["photos/a.JPG", "photos/b.png", "--json"])
    return capsys.readouterr().out


@pytest.mark.parametrize("table", ["photos/b.png", "nowhere/out.csv", "photos"])
def test_csv_that_cannot_or_must_not_be_written(pictures, table):
    before = (pictures / "b.png").read_bytes()
    with pytest.raises(UsageError, match=f"--csv {table}"):
        predict.main(["photos/b.png", "--csv", table])
    assert (pictures / "b.png").read_bytes() == before


def test_unreadable_pictures_are_named_and_the_others_answered(pictures, capsys):
    (pictures / "empty.png").touch()
    (pictures / "notes.txt").write_text("no picture")
    status = predict.main(["photos", "missing.jpg"])
    output = capsys.readouterr()
    assert status == 1
    assert len(output.out.splitlines()) == 4
    assert sorted(line.split(":")[0] for line in output.err.splitlines()) == [
        "missing.jpg",
        "model",
        "photos/empty.png",
        "photos/notes.txt",
    ]
    assert "photos/empty.png: empty\n" in output.err
    by_file = {Path(answer["file"]).name: answer for answer in answers(capsys, "photos")}
    assert by_file["empty.png"]["error"] == "empty" and "error" not in by_file["b.png"]


def test_nothing_to_answer_for(pictures):
    for arguments in (["missing.jpg"], ["photos/*.gif"]):
        with pytest.raises(UsageError, match="no such file"):
            predict.main(arguments)
    (pictures.parent / "bare").mkdir()
    with pytest.raises(UsageError, match="bare: "):
        predict.main(["bare"])


def test_model_may_be_named_in_every_way(capsys):
    expected = answers(capsys, "photos/b.png")
    for named in ("first", "runs/first", "runs/first/model.meta"):
        assert answers(capsys, "photos/b.png", "--model", named) == expected


@pytest.mark.parametrize(
    "flags",
    [
        ["--top", "0"],
        ["--scale", "big"],
        ["--feed", "keep_prob"],
        ["--resize", "cubic"],
        ["--json", "--csv", "x"],
        [],
    ],
)
def test_wrong_flags_are_usage(flags, capsys):
    with pytest.raises(SystemExit) as caught:
        predict.main([*flags, *(["photos/b.png"] if flags else [])])
    assert caught.value.code == 2


def _program(*arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, str(PROGRAM), *arguments], capture_output=True, **options)


def test_new_process_elsewhere_reads_stdin_and_prints_no_noise(run, pictures, tmp_path, capsys):
    (expected,) = answers(capsys, "photos/a.JPG")
    content = (pictures / "a.JPG").read_bytes()
    shutil.rmtree(pictures)
    (tmp_path / "elsewhere").mkdir()
    done = _program("-", "--json", "--model", str(run), input=content, cwd=tmp_path / "elsewhere")
    assert done.stderr.decode().splitlines() == [f"model: {run}"] and done.returncode == 0
    (answer,) = json.loads(done.stdout)
    assert answer["file"] == "-"
    for entry, wanted in zip(answer["predictions"], expected["predictions"], strict=True):
        assert entry["class"] == wanted["class"]
        assert entry["probability"] == pytest.approx(wanted["probability"], abs=1e-6)


def test_bad_paths_and_help_come_before_tensorflow(tmp_path):
    program = (
        "import sys; from pigeonhole.commands import predict; from pigeonhole.errors import UsageError\n"
        "bad = (['nothing'], ['photos', '--model', 'nothing'], ['photos', '--csv', 'photos'], ['--help'])\n"
        "for arguments in bad:\n"
        "    try: predict.main(arguments)\n"
        "    except (UsageError, SystemExit): print('tensorflow' in sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(PROGRAM.parent)},
        capture_output=True,
        text=True,
    )
    assert done.stderr.split() == ["False"] * 4
    assert "checkpoints of other programs" in done.stdout
