"""Figures of a run as files: which are written, from what, and what is refused."""

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from pigeonhole.data.augmentation import IN_NETWORK, NONE, Augmentation
from pigeonhole.errors import UsageError
from pigeonhole.evaluation import insight
from pigeonhole.evaluation.predictions import Evaluation
from pigeonhole.model.classifier import Classifier
from pigeonhole.report import figures, plots, rendering
from pigeonhole.report.plots import Chosen
from pigeonhole.runs.run import Run
from tests.support import saved_runs

ALWAYS = {"class_balance", "confusion", "reliability", "random_predictions", "network"}
OF_TRAINING = {"curves", "learning_rate", "augmented"}
OF_MISTAKES = {"mistakes", "attention"}
HISTORY = """epoch,step,learning_rate,train_loss,train_accuracy,valid_loss,valid_accuracy
1,10,0.001,1.5,0.4,1.25,0.5
2,20,0.0,1.0,0.6,0.875,0.7
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = saved_runs.ready(tmp_path_factory.mktemp("runs") / "run")
    (folder / "history.csv").write_text(HISTORY, encoding="utf-8")
    how = Augmentation(flip=True, shift=0.2).__dict__
    settings = {"recipe": {"augmentation": how}, "options": {"network": "standard"}}
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    rows = [("a.png", "cat", "train"), ("b.png", "cat", "valid"), ("c.png", "été 北", "train")]
    table = "path,class,side,digest\n" + "".join(f"{path},{name},{side},0\n" for path, name, side in rows)
    (folder / "split.csv").write_text(table, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def classifier(run):
    with Classifier.load(run) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def evaluation(classifier, tmp_path_factory) -> Evaluation:
    """Six pictures, one class each in turn, so that a random network errs."""
    pictures = np.random.default_rng(0).integers(0, 256, (6, saved_runs.SIZE, saved_runs.SIZE, 3), np.uint8)
    logits, features, probabilities = classifier.fetch(pictures, ["logits", "features", "y_pred"])
    labels = (logits.argmax(axis=1) + np.arange(6) % 2) % 3
    files = [f"{number}.png" for number in range(6)]
    unsure = np.zeros(6, bool)
    root = tmp_path_factory.mktemp("pictures")
    return Evaluation(
        root, classifier.classes, files, labels, pictures, logits, probabilities, features, unsure, [""] * 6
    )


@pytest.fixture(scope="module")
def written(run, classifier, evaluation, tmp_path_factory) -> Path:
    """A folder that holds every figure."""
    folder = tmp_path_factory.mktemp("out") / "a" / "b"
    files = plots.write(folder, Run(run), classifier, evaluation)
    assert {*files} == {*folder.iterdir()}
    return folder


def layers(*numbers: int) -> set[str]:
    kinds = ("filters_conv", "feature_maps_conv", "feature_maps_relu")
    return {f"{kind}{number}" for number in numbers for kind in kinds}


def names(folder: Path) -> set[str]:
    return {file.stem for file in folder.iterdir()}


def test_every_figure_is_written(written):
    assert names(written) == ALWAYS | OF_TRAINING | OF_MISTAKES | layers(1, 2, 3)
    for file in written.iterdir():
        assert rendering.is_own(file) and cv2.imread(str(file)).std() > 1


def test_a_model_away_from_its_run_gives_the_rest(run, classifier, evaluation, tmp_path):
    right = evaluation.select(evaluation.right)
    files = plots.write(tmp_path / "out", Run(tmp_path), classifier, right, Chosen("conv1"))
    assert {file.stem for file in files} == ALWAYS | layers(1)


@pytest.mark.parametrize(("varying", "drawn"), [(IN_NETWORK, True), (NONE, False)])
def test_what_the_networks_own_layers_vary_is_drawn(run, tmp_path, varying, drawn):
    shutil.copytree(run, tmp_path / "run")
    settings = {"recipe": {"augmentation": varying.__dict__}, "options": {"network": "classic_augmented"}}
    (tmp_path / "run" / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    drawings = dict(plots._of_training(Run(tmp_path / "run"), picture))
    assert ("augmented" in drawings) == drawn
    if drawn:
        _, *grid = drawings["augmented"]().axes
        assert [axes.images[0].get_array().shape for axes in grid] == 9 * [(24, 24, 3)]


@pytest.mark.slow
def test_smooth_figures_stand_beside_the_sharp_ones(run, classifier, evaluation, written, tmp_path):
    plots.write(tmp_path / "out", Run(run), classifier, evaluation, Chosen("conv1", smooth=True))
    sharp = ALWAYS | OF_TRAINING | OF_MISTAKES | layers(1)
    of_pixels = {"random_predictions", "mistakes", "augmented"} | layers(1)
    assert names(tmp_path / "out") == sharp | {f"{name}_smooth" for name in of_pixels}
    for name in of_pixels:
        files = [tmp_path / "out" / f"{name}{end}.png" for end in ("", "_smooth")]
        before, after = (file.read_bytes() for file in files)
        assert before == (written / f"{name}.png").read_bytes() != after


def test_the_chosen_channel_limits_the_layers(classifier):
    assert list(plots.chosen_filters(classifier, None, 2)) == ["conv1", "conv2", "conv3"]
    assert list(plots.chosen_filters(classifier, None, 3)) == ["conv2", "conv3"]
    (kernel,) = plots.chosen_filters(classifier, "conv2", 31).values()
    np.testing.assert_array_equal(kernel, insight.filters(classifier, "conv2"))


@pytest.mark.parametrize(
    ("layer", "channel", "message"),
    [
        ("conv9", 0, "--layer conv9: .*conv1, conv2, conv3"),
        ("conv1", 3, "--input-channel 3: .*conv1 0 to 2"),
        (None, 64, "--input-channel 64: .*conv1 0 to 2, conv2 0 to 31, conv3 0 to 63"),
    ],
)
def test_what_the_network_has_not_is_refused_with_the_choices(
    run, classifier, evaluation, tmp_path, layer, channel, message
):
    with pytest.raises(UsageError, match=message):
        plots.write(tmp_path / "out", Run(run), classifier, evaluation, Chosen(layer, channel))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_chosen_picture_is_drawn_and_earlier_figures_are_replaced(
    run, classifier, evaluation, written, tmp_path
):
    shutil.copytree(written, tmp_path / "out")
    picture = saved_runs.write_picture(tmp_path / "one.png", seed=5)
    files = plots.write(tmp_path / "out", Run(run), classifier, evaluation, Chosen("conv1", picture=picture))
    changed = {file.stem for file in files if file.read_bytes() != (written / file.name).read_bytes()}
    assert changed == {"augmented", "feature_maps_conv1", "feature_maps_relu1"}
    assert names(tmp_path / "out") == names(written)


@pytest.mark.parametrize("content", [None, b"", b"no picture"])
def test_a_picture_that_cannot_be_read_is_named(run, classifier, evaluation, tmp_path, content):
    picture = tmp_path / "one.png"
    if content is not None:
        picture.write_bytes(content)
    with pytest.raises(UsageError, match=r"--picture .*one\.png: "):
        plots.write(tmp_path / "out", Run(run), classifier, evaluation, Chosen(picture=picture))


def test_files_of_the_user_stay(run, classifier, evaluation, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    own = {"confusion.png": b"my own", "notes.txt": b"text"}
    for name, content in own.items():
        (folder / name).write_bytes(content)
    with pytest.raises(UsageError, match=r"confusion\.png"):
        plots.write(folder, Run(run), classifier, evaluation)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == own


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("make", [os.mkfifo, lambda file: file.symlink_to("nowhere"), Path.mkdir])
def test_what_is_no_regular_file_is_neither_opened_nor_replaced(run, classifier, evaluation, tmp_path, make):
    make(tmp_path / "class_balance.png")
    before = (tmp_path / "class_balance.png").lstat()
    with pytest.raises(UsageError, match=r"class_balance\.png there is not a figure of this program"):
        plots.write(tmp_path, Run(run), classifier, evaluation)
    assert (tmp_path / "class_balance.png").lstat() == before and len(list(tmp_path.iterdir())) == 1


def test_a_file_and_a_folder_of_pictures_are_refused(run, classifier, evaluation, tmp_path):
    file = tmp_path / "out"
    file.write_bytes(b"")
    with pytest.raises(UsageError, match="a file, not a folder"):
        plots.write(file, Run(run), classifier, evaluation)
    for inside in (evaluation.root, evaluation.root / "cat"):
        with pytest.raises(UsageError, match="among the pictures"):
            plots.write(inside, Run(run), classifier, evaluation)
    assert not list(evaluation.root.iterdir())


def test_class_balance_counts_the_split_and_the_test(run, evaluation, tmp_path):
    test = [int((evaluation.labels == label).sum()) for label in range(3)]
    assert plots._counts(Run(run), evaluation) == {
        "training": [1, 0, 1],
        "validation": [1, 0, 0],
        "test": test,
    }
    assert plots._counts(Run(tmp_path), evaluation) == {"test": test}


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "begins"), [("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_figures_that_can_be_enlarged(run, classifier, evaluation, tmp_path, suffix, begins):
    chosen = Chosen("conv1", plot_format=suffix)
    files = plots.write(tmp_path / "figures", Run(run), classifier, evaluation, chosen)
    assert len(files) > 3 and {file.suffix for file in files} == {f".{suffix}"}
    assert all(file.read_bytes().startswith(begins) and rendering.is_own(file) for file in files)


def test_the_names_of_two_curves_keep_off_the_axis():
    history = {"epoch": np.arange(1.0, 151.0)}
    for side in ("train", "valid"):
        history[f"{side}_loss"] = np.linspace(3, 0.36, 150)
        history[f"{side}_accuracy"] = np.linspace(0.2, 1, 150)
    drawn = figures.curves(history)
    drawn.canvas.draw()
    for axes in drawn.axes:
        inside = axes.get_window_extent()
        ticks = [label.get_window_extent() for label in axes.get_xticklabels()]
        ticks = [tick for tick in ticks if tick.x0 < inside.x1]  # others are not drawn
        names = [text.get_window_extent() for text in axes.texts]
        assert len(names) == 2 and not names[0].overlaps(names[1])
        assert not any(name.overlaps(tick) for name in names for tick in ticks)
        assert min(name.y0 for name in names) >= inside.y0 - 15, "no lower than the numbers of the axis"
