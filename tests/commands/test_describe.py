"""A checkpoint of another program, described once: predict, evaluate and serve answer without a flag."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from pigeonhole.commands import describe, evaluate, predict
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.model.classifier import Classifier
from pigeonhole.runs import search
from pigeonhole.web import create_app, models

v1 = tf.compat.v1
SIZE = 8
LABELS = ["--labels", "blue,red", "--output-tensor", "scores", "--logits", "--feed", "keep=1.0"]


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    """A network that says by the pictures' own colour, blue first, which of both it is."""
    folder = tmp_path / "old"
    folder.mkdir()
    with tf.Graph().as_default(), v1.Session() as session:
        x, keep = (
            v1.placeholder(tf.float32, [None, SIZE, SIZE, 3], "x"),
            v1.placeholder(tf.float32, [], "keep"),
        )
        weights = v1.Variable(np.array([[1, 0], [0, 0], [0, 1]], np.float32))
        tf.matmul(tf.reduce_mean(x, [1, 2]), weights * 5 * keep, name="scores")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(folder / "net"))
    return folder


@pytest.fixture
def pictures(tmp_path) -> Path:
    for number in range(8):
        for name, channel in (("blue", 0), ("red", 2)):
            pixels = np.full((12, 12, 3), 10 * number, np.uint8)
            pixels[..., channel] = 200 + number
            (tmp_path / "pictures" / name).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "pictures" / name / f"{number}.png"), pixels)
    return tmp_path / "pictures"


def test_described_once_every_command_answers(checkpoint, pictures, capsys):
    others = {path: path.read_bytes() for path in checkpoint.iterdir()}
    assert describe.main([str(checkpoint), *LABELS]) == 0
    said = capsys.readouterr().out
    assert "8 x 8 pixels, bgr, times 0.003922" in said and "blue, red" in said
    assert others.items() <= {path: path.read_bytes() for path in checkpoint.iterdir()}.items()
    assert evaluate.main(["--model", str(checkpoint), "--data", str(pictures), "--no-cache", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["accuracy"] == 1 and told["written"] == {}
    red = pictures / "red" / "1.png"
    assert predict.main([str(red), "--model", str(checkpoint), "--top", "1"]) == 0
    assert " red " in f" {capsys.readouterr().out} ".replace("\n", " ")
    client = create_app(models.load([search.find(str(checkpoint))])).test_client()
    answer = client.post("/api/predict?top=1", data=red.read_bytes(), content_type="image/png")
    assert answer.status_code == 200 and "red" in answer.get_data(as_text=True)


def test_flags_count_more_than_what_was_kept_and_evaluate_takes_them(checkpoint, pictures, capsys):
    arguments = ["--model", str(checkpoint), "--data", str(pictures), "--no-cache", "--json"]
    assert evaluate.main([*arguments, *LABELS, "--colour-order", "rgb"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["accuracy"] == 0
    assert told["better_way"] == {
        "flags": "--colour-order bgr", "right": 16, "right_as_told": 0, "total": 16
    }  # fmt: skip
    describe.main([str(checkpoint), *LABELS, "--colour-order", "rgb"])
    capsys.readouterr()
    assert evaluate.main([*arguments, "--colour-order", "bgr"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["accuracy"] == 1 and told["better_way"] is None
    assert evaluate.main([*arguments[:-1], "--no-report", "--scale", "1"]) == 0
    line = "note        with --colour-order bgr 16 of 16 pictures would be right, not 0: was it trained so?"
    assert line in capsys.readouterr().out.splitlines()


@pytest.mark.slow
def test_plots_and_a_report_of_a_graph_without_convolutions_show_its_answers(checkpoint, pictures, capsys):
    arguments = ["--model", str(checkpoint), "--data", str(pictures), "--no-cache", *LABELS]
    drawing = [*arguments, "--plots", str(pictures.parent / "figures")]
    with pytest.raises(UsageError, match="--layer conv1: the network has no such convolution"):
        evaluate.main([*drawing, "--layer", "conv1"])
    before = {file: file.read_bytes() for file in checkpoint.iterdir()}
    page = pictures.parent / "tested.html"
    assert evaluate.main([*drawing, "--report", str(page)]) == 0
    drawn = {file.stem for file in (pictures.parent / "figures").iterdir()}
    assert drawn == {"class_balance", "confusion", "reliability", "random_predictions"}
    html = page.read_text("utf-8")
    assert all(f'id="test-{name}"' in html for name in ("confusion", "mistakes", "classes", "random"))
    assert 'id="layers"' not in html and 'id="filters"' not in html and "old/net" in html
    assert {file: file.read_bytes() for file in checkpoint.iterdir()} == before
    assert f"report      {page}" in capsys.readouterr().out


def test_what_does_not_fit_is_not_kept(checkpoint):
    with pytest.raises(UsageError, match="--labels: 3 given, but scores has 2 outputs"):
        describe.main([str(checkpoint), *LABELS[2:], "--labels", "a,b,c"])
    with pytest.raises(UsageError, match="--labels is required"):
        describe.main([str(checkpoint)])
    file = checkpoint / "contract.json"
    assert not file.exists()
    for content in ("{}", "[1]", '{"foreign_checkpoint": {"net": {"scale": "x"}}}', "no JSON"):
        file.write_text(content)
        with pytest.raises(PigeonholeError, match=r"contract\.json: not what pigeonhole describe writes"):
            Classifier.load(checkpoint)
        with pytest.raises(PigeonholeError, match="not what pigeonhole describe writes"):
            describe.main([str(checkpoint), *LABELS])
        assert file.read_text() == content
