"""The page on which a training is watched, from before its first step to its end."""

import json
import os
import re
import shutil
import time
from pathlib import Path

import pytest

from pigeonhole.web import create_app
from pigeonhole.web.charts import chart
from tests.support import saved_runs

CLASSES = list(saved_runs.CLASSES)
HISTORY = """epoch,step,train_loss,train_accuracy,valid_loss,valid_accuracy,seconds,pictures_per_second
1,10,2.5,0.25,2.25,0.375,3,1000
2,20,1.5,0.5,1.25,0.625,6,1000
"""


@pytest.fixture
def watched(tmp_path):
    """A folder with one training in progress."""
    run = tmp_path / "runs" / "training <now>"
    run.mkdir(parents=True)
    settings = {"classes": CLASSES, "total_steps": 40, "steps_per_epoch": 10}
    (run / "settings.json").write_text(json.dumps(settings))
    return run


def watch(run: Path, query: str = "") -> str:
    return create_app([], runs=run.parent).test_client().get(f"/watch{query}").text


def test_watching_before_anything_is_there(tmp_path):
    assert "No training yet" in watch(tmp_path / "none" / "x")


def test_watching_a_training_that_has_only_begun(watched):
    page = watch(watched)
    assert "training &lt;now&gt;" in page and 'max="40" value="0"' in page and "<polyline" not in page


def test_watching_a_training_by_its_history_alone(watched):
    (watched / "history.csv").write_text(HISTORY + "3,30,0.0")
    page = watch(watched)
    assert 'max="40" value="20"' in page and "62.5 %" in page and page.count("<polyline") == 4
    assert "validation 0.625" in page and "training 1.5" in page


def test_the_latest_accuracy_of_a_training_and_the_best_so_far(watched):
    (watched / "history.csv").write_text(HISTORY)
    assert "62.5 %" in watch(watched) and "best so far" not in watch(watched)
    (watched / "history.csv").write_text(HISTORY + "3,30,1.25,0.75,1.5,0.5,9,1000\n")
    assert re.search(r"50\.0 %.*at the latest.*best so far 62\.5 % at epoch 2<", watch(watched), re.DOTALL)


def test_the_corrected_accuracy_of_a_finished_training_goes_first(watched):
    (watched / "history.csv").write_text(HISTORY + "3,30,1.25,0.75,1.5,0.5,9,1000\n")
    (watched / "checkpoint").write_text('model_checkpoint_path: "model"')
    result = {"expected_accuracy": 0.8125, "interval_95": [0.75, 0.875], "validation_pictures": 1234}
    (watched / "result.json").write_text(json.dumps(result))
    page = watch(watched)
    order = ["Expected accuracy", "81.2 %", "75.0 % to 87.5 %", "50.0 %", "best 62.5 % at epoch 2<"]
    places = [page.index(part) for part in order]
    assert places == sorted(places)
    (watched / "result.json").write_text('{"expected_accuracy": 1, "interval_95": 5}')
    page = watch(watched)
    assert "50.0 %" in page and "Expected accuracy" not in page


def test_watching_a_training_with_its_progress(watched):
    (watched / "history.csv").write_text(HISTORY)
    progress = {
        "state": "training",
        "step": 25,
        "total_steps": 40,
        "epoch": 2.5,
        "epochs": 4.0,
        "pictures_per_second": 1234.5,
        "seconds": 75.0,
        "seconds_left": 45.0,
        "mistakes": [
            {
                "name": "cat/<1>.png",
                "true": "cat",
                "predicted": "dog",
                "probability": 0.875,
                "image": "data:image/webp;base64,AAAA",
            },
            {
                "name": "2",
                "true": "a",
                "predicted": "b",
                "probability": 1.0,
                "image": "https://elsewhere/x.png",
            },
        ],
    }
    (watched / "progress.json").write_text(json.dumps(progress))
    page = watch(watched)
    for part in (
        "2.5",
        "of 4",
        "step 25 of 40",
        "1,234",
        "1:15",
        "about 0:45 to go",
        "87.5 %",
        "&lt;1&gt;",
    ):
        assert part in page
    assert "elsewhere" not in page


@pytest.mark.parametrize(
    ("state", "age", "shown"),
    [
        ("training", 0, "state training"),
        ("training", 3600, "state silent"),
        ("finished", 3600, "state finished"),
        ("stopped", 3600, "state stopped"),
    ],
)
def test_the_state_of_a_training(watched, state, age, shown):
    (watched / "history.csv").write_text(HISTORY)
    (watched / "progress.json").write_text(json.dumps({"state": state}))
    for file in watched.iterdir():
        os.utime(file, (time.time() - age,) * 2)
    assert shown in watch(watched)


def test_a_saved_run_can_be_asked(watched):
    (watched / "checkpoint").write_text('model_checkpoint_path: "model"')
    assert "pigeonhole serve --model training &lt;now&gt;" in watch(watched)


def test_the_newest_training_is_watched_and_others_can_be(watched):
    other = shutil.copytree(watched, watched.with_name("older"))
    os.utime(other / "settings.json", (1, 1))
    assert "<h1>training &lt;now&gt;</h1>" in watch(watched)
    assert "<h1>older</h1>" in watch(watched, "?run=older")


def test_a_run_itself_can_be_watched(watched):
    assert "<h1>training &lt;now&gt;</h1>" in watch(watched / "x")


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "{",
        "[1]",
        '{"mistakes": 5, "step": "x", "seconds": NaN}',
        "epoch\n\0",
        '{"state": "odd"}',
        '{"mistakes": [5]}',
        '{"mistakes": [{"image": "data:image/png;base64,"}]}',
    ],
)
def test_broken_files_of_a_training_break_no_page(watched, broken):
    for name in ("progress.json", "history.csv"):
        (watched / name).write_text(broken)
    response = create_app([], runs=watched.parent).test_client().get("/watch")
    assert response.status_code == 200


def test_without_a_model_the_page_leads_to_the_training(tmp_path):
    client = create_app([], runs=tmp_path).test_client()
    assert client.get("/").location == "/watch"
    assert client.post("/api/predict", data=b"").status_code == 503
    assert client.get("/watch").status_code == 200 and client.get("/healthz").status_code == 200


def test_a_chart_places_its_values():
    drawn = chart("Accuracy", [1, 2], {"validation": [0.25, 0.75], "training": [0.5, float("nan")]}, 4)
    validation, training = drawn.lines
    assert validation.points == "115.0,201.7 230.0,18.3" and validation.last == 0.75
    assert training.points == "115.0,110.0"
    assert [text for _, text in drawn.across] == ["0", "1", "2", "3", "4"]
    assert drawn.across[-1][0] == drawn.width and drawn.up[0][0] == pytest.approx(drawn.height)


def test_a_chart_of_equal_values_can_be_drawn():
    assert chart("Loss", [1, 2], {"validation": [1.0, 1.0]}).lines[0].points
    assert chart("Loss", [], {"validation": []}).lines == []
