"""progress.json: the figures of the latest validation, and its worst mistakes."""

import base64
import json

import cv2
import numpy as np

from pigeonhole.runs import live
from pigeonhole.runs.run import Run
from tests.support.small_trainings import stripes, trainer


def test_progress_follows_the_training_to_its_end(tmp_path):
    run = trainer()
    states = []
    for validation in run.run():
        live.write(Run(tmp_path), validation, run)
        states.append(json.loads(Run(tmp_path).progress_file.read_text()))
    assert [state["step"] for state in states] == [6, 12, 18, 24]
    assert [state["epoch"] for state in states] == [1, 2, 3, 4] and states[0]["epochs"] == 4
    assert states[0]["seconds_left"] > states[-1]["seconds_left"] == 0
    assert all(state["total_steps"] == 24 and state["state"] == "training" for state in states)
    live.end(Run(tmp_path), "finished")
    assert json.loads(Run(tmp_path).progress_file.read_text())["state"] == "finished"
    assert [file.name for file in tmp_path.iterdir()] == ["progress.json"]


def test_mistakes_are_the_most_confident_wrong_answers():
    data = stripes(6)  # labels 0 1 0 1 0 1
    logits = np.array([[1, 0], [0, 9], [0, 3], [5, 0], [9, 0], [1, 0]], np.float32)
    found = live.mistakes(logits, data)
    assert [mistake["name"] for mistake in found] == ["3.png", "2.png", "5.png"]
    assert (found[0]["true"], found[0]["predicted"]) == ("upright", "across")
    np.testing.assert_allclose(found[0]["probability"], 1 / (1 + np.exp(-5)), rtol=1e-5)
    assert len(live.mistakes(logits, data, most=1)) == 1


def test_a_mistake_carries_its_picture():
    data = stripes(2)
    (mistake,) = live.mistakes(np.array([[1, 0], [1, 0]], np.float32), data)
    encoded = mistake["image"].removeprefix("data:image/webp;base64,")
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(shown.astype(int) - data.images[1]).mean() < 25
