"""Programs in the style of the five tutorials and this one read each other's models."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from pigeonhole import Classifier
from pigeonhole.commands import evaluate, predict
from pigeonhole.data.dataset import DataSet, read_train_sets
from pigeonhole.evaluation import insight
from pigeonhole.model.interface import ForeignCheckpoint
from tests.support import saved_runs, tutorial_scripts
from tests.support.drawn_folders import draw_patches
from tests.support.tutorial_scripts import SCRIPTS, Script

ROOT = Path(__file__).parents[2]
NETWORKS = {
    "web page": "classic_tiny",
    "dropout": "classic_dropout",
    "augmented": "classic_augmented",
    "mnist": "classic_mnist",
    "dogs and cats": "tutorial",
}


@pytest.fixture(scope="module")
def colours(tmp_path_factory) -> Path:
    return draw_patches(tmp_path_factory.mktemp("colours") / "data", 30)


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("digits") / "data"
    for digit in "017":
        (folder / digit).mkdir(parents=True)
        for picture in sorted((ROOT / "training_data" / digit).glob("*.png"))[:30]:
            shutil.copy(picture, folder / digit)
    return folder


@pytest.fixture(scope="module")
def trained(colours, digits, tmp_path_factory):
    """Each script's pictures, the folder of its checkpoint and its losses, once it is asked for."""
    done = {}

    def of(name: str) -> tuple[Path, Path, list[float]]:
        if name not in done:
            script, folder = SCRIPTS[name], tmp_path_factory.mktemp("checkpoint")
            pictures = digits if script.order == "grey" else colours
            losses = tutorial_scripts.train(script, _sets(script, pictures), folder)
            done[name] = pictures, folder, losses
        return done[name]

    return of


def _sets(script: Script, pictures: Path) -> DataSet:
    sets = read_train_sets(pictures, script.size, channels=script.channels, no_cache=True, progress=False)
    return sets.train


def _answers(script: Script, folder: Path, pictures: list[Path], classes: list[str], capsys) -> np.ndarray:
    """What `predict` answers with the script's flags, float [n, K]."""
    flags = ["--labels", ",".join(classes), *script.flags.split(), "--json"]
    assert predict.main([*map(str, pictures), "--model", str(folder), *flags]) == 0
    found = [
        {entry["class"]: entry["probability"] for entry in answer["predictions"]}
        for answer in json.loads(capsys.readouterr().out)
    ]
    return np.array([[shares[name] for name in classes] for shares in found])


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("augmented", "mnist") else pytest.param(name, marks=pytest.mark.slow)
        for name in SCRIPTS
    ],
)
def test_what_a_script_trained_and_saved_is_answered_the_same_by_predict(trained, name, capsys):
    script, (data, folder, losses) = SCRIPTS[name], trained(name)
    classes = sorted(path.name for path in data.iterdir())
    pictures = [path for each in classes for path in sorted((data / each).iterdir())[:10]]
    expected = tutorial_scripts.answers(script, folder, pictures)
    answers = _answers(script, folder, pictures, classes, capsys)
    np.testing.assert_allclose(answers, expected, atol=2e-6)
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:5])
    right = answers.argmax(axis=1) == np.repeat(range(len(classes)), 10)
    assert right.mean() > 0.7, "it has learnt from next_batch"


@pytest.mark.slow
def test_evaluate_draws_the_answers_and_convolutions_of_a_script(trained, tmp_path, capsys):
    """Of one that is told wrongly how it sees, so that there are mistakes, and evaluate says so."""
    data, folder, _ = trained("dogs and cats")
    classes = ",".join(sorted(path.name for path in data.iterdir()))
    arguments = ["--data", str(data), "--model", str(folder), "--labels", classes, "--no-cache"]
    where = ["--plots", str(tmp_path / "drawn"), "--report", str(tmp_path / "report.html")]
    assert evaluate.main([*arguments, *where, "--colour-order", "rgb"]) == 0
    assert "note        with --colour-order bgr 90 of 90 pictures would be right" in capsys.readouterr().out
    drawn = {file.stem for file in (tmp_path / "drawn").iterdir()}
    of_network = {"filters_Conv2D", "feature_maps_Conv2D", "feature_maps_Conv2D.activation"}
    assert of_network | {"confusion", "mistakes", "attention", "filters_Conv2D_2"} <= drawn
    html = (tmp_path / "report.html").read_text("utf-8")
    assert all(f'id="{name}"' in html for name in ("test-confusion", "test-classes", "filters", "maps"))
    newest = tf.train.latest_checkpoint(str(folder))
    kernel = tf.train.load_variable(newest, "Variable")
    picture = next(next(data.iterdir()).iterdir())
    with Classifier.load(folder, foreign=ForeignCheckpoint(labels=classes.split(","))) as classifier:
        np.testing.assert_array_equal(insight.filters(classifier, "Conv2D"), kernel[:, :, ::-1])
        pixels = classifier.read(picture.read_bytes())[None]
        (maps,) = insight.feature_maps(classifier, pixels, ["Conv2D"])
        (behind,) = insight.mapped_layers(classifier, "Conv2D")[1:]
        (positive,) = insight.feature_maps(classifier, pixels, [behind])
    np.testing.assert_allclose(maps, tf.nn.conv2d(pixels, kernel, 1, "SAME"), rtol=1e-4, atol=1e-5)
    pooled = tf.nn.max_pool2d(maps, 2, 2, "SAME") + tf.train.load_variable(newest, "Variable_1")
    np.testing.assert_allclose(positive, tf.nn.relu(pooled), rtol=1e-4, atol=1e-5)


def test_a_script_goes_on_from_its_newest_checkpoint(trained, tmp_path):
    script, (data, folder, losses) = SCRIPTS["augmented"], trained("augmented")
    shutil.copytree(folder, tmp_path / "copy")
    more = tutorial_scripts.train(script, _sets(script, data), tmp_path / "copy")
    newest = tf.train.latest_checkpoint(str(tmp_path / "copy"))
    assert newest.endswith(f"-{2 * script.steps}")
    assert tf.train.load_variable(newest, "global_step") == 2 * script.steps
    assert np.mean(more[:10]) < 0.7 * np.mean(losses[:5])


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_scripts_second_program_reads_a_run(name, tmp_path):
    """By its own names but for MNIST's, in RGB and 0..255, with pictures of the network's own size."""
    script = SCRIPTS[name]
    if name == "mnist":
        script = replace(script, input="x:0", output="logits:0")
    model = saved_runs.network(name=NETWORKS[name], size=script.size, channels=script.channels)
    run = saved_runs.save(tmp_path / "run", model)
    pictures = [
        saved_runs.write_picture(tmp_path / f"{seed}.png", seed, height=script.size, width=script.size)
        for seed in range(6)
    ]
    if script.order == "grey":
        for file in pictures:
            cv2.imwrite(str(file), cv2.imread(str(file))[..., 0])
    prepared = [tutorial_scripts.prepared(script, each) * np.float32(255) for each in pictures]
    if script.order == "bgr":
        prepared = [pixels[..., ::-1] for pixels in prepared]
    batches = [{script.input: pixels, **script.feeds} for pixels in prepared]
    checkpoint = tf.train.latest_checkpoint(str(run))
    found = tutorial_scripts.asked(checkpoint, script.output, batches)
    if script.logits:
        found = tf.nn.softmax(found).numpy()
    with Classifier.load(run, engine="tensorflow") as classifier:
        expected = classifier.predict(pictures)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert expected.std(axis=0).max() > 1e-3
