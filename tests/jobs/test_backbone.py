"""`--backbone`: a run, or a network of keras.applications, in the place of EfficientNet-Lite0."""

import signal
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import onnxruntime
import pytest

from pigeonhole.commands import train
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.features import known
from pigeonhole.jobs import backbone, choosing
from pigeonhole.model.classifier import Classifier
from pigeonhole.networks import depths, registry
from pigeonhole.networks.combining import Part, combine
from pigeonhole.networks.recipes import THUMBNAIL
from pigeonhole.runs.config import TrainingConfig
from pigeonhole.runs.run import Run
from tests.support import saved_runs
from tests.support.drawn_folders import draw_patches, draw_photos
from tests.support.published_networks import SIDE, SMALL, published
from tests.support.training_program import WEIGHTS, done, stopped

PATCHES = 14  # pictures of each class


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Path:
    """A run of `standard` for thumbnails, whose weights are random: these tell colours apart, too."""
    return saved_runs.save(tmp_path_factory.mktemp("own") / "run", saved_runs.network(size=32))


@pytest.fixture(scope="module")
def learnt(own, tmp_path_factory) -> Run:
    """The first answer by that run's features, for other pictures."""
    folder = tmp_path_factory.mktemp("learnt")
    data = draw_patches(folder / "pictures", PATCHES, classes=("rosso", "verde", "blu"))
    more = ["--backbone", str(own), "--quick", "--cache-dir", str(folder / "cache")]
    assert train.main(flags(data, folder, "run", *more)) == 0
    return Run(folder / "run")


def flags(data: Path, output: Path, name: str, *more: str) -> list[str]:
    where = ["--data", data, "--output", output, "--cache-dir", output / "cache", "--name", name]
    return [*map(str, where), "--no-report", "--threads", "2", *more]


def opened(named: Path | str, **options) -> backbone.Trained:
    config = TrainingConfig(network="auto", backbone=str(named), **options)
    return backbone.read(config, backbone.find(config))


def features_of(trained: backbone.Trained, images: np.ndarray) -> np.ndarray:
    extractor = trained.extractor(images.shape[1], None)
    try:
        return extractor(images)
    finally:
        extractor.close()


def test_what_a_run_has_learnt_serves_other_pictures(learnt):
    assert learnt.is_complete and learnt.onnx_file.is_file()
    assert learnt.result()["expected_accuracy"] > 0.8
    settings = learnt.settings()
    assert settings["options"]["network"] == "auto" and len(settings["options"]["weights_digest"]) == 64
    picture = next((learnt.folder.parent / "pictures" / "verde").iterdir())
    with Classifier.load(learnt, engine="tensorflow") as classifier:
        pixels = classifier.read(picture.read_bytes())[np.newaxis]
        names = ["y_pred", "logits", "features", "certainty"]
        ours = classifier.fetch(pixels, names)
        assert {"frozen_conv1", "frozen_conv3", "frozen_fc1"} <= {each.name for each in classifier.layers}
    runtime = onnxruntime.InferenceSession(learnt.onnx_file.read_bytes())
    for mine, theirs in zip(ours, runtime.run(names, {"x": pixels.astype(np.float32)}), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-4)
    assert learnt.labels()[ours[0][0].argmax()] == "verde"
    (near,) = known.read(learnt).nearest(ours[2], 2)
    assert near[0].name == f"verde/{picture.name}" and near[0].cosine > 0.999 > near[1].cosine


def test_features_are_kept_by_the_digest_of_the_weights(own, learnt):
    (kept,) = (learnt.folder.parent / "cache").rglob("features-standard-*-plain.bin")
    trained = opened(own)
    assert trained.extractor(32, None).digest[:16] in kept.name
    values = {**trained.weights.values, "conv2/kernel": trained.weights.values["conv2/kernel"] + 1e-3}
    other = replace(trained, weights=replace(trained.weights, values=values))
    assert other.extractor(32, None).digest[:16] not in kept.name


def test_a_pictures_features_do_not_depend_on_the_others(own):
    images = np.random.default_rng(0).integers(0, 256, (37, 32, 32, 3), np.uint8)
    trained = opened(own)
    together = features_of(trained, images)
    np.testing.assert_array_equal(features_of(trained, images[33:35]), together[33:35])
    assert features_of(trained, images[:0]).shape == (0, together.shape[1])


def test_of_a_run_of_several_ways_the_first_network_that_was_trained_is_taken(tmp_path):
    tuned, standard = (saved_runs.network(seed) for seed in (2, 3))
    parts = [Part("frozen", standard, 1.0), Part("tuned", tuned, 1.0), Part("standard", standard, 1.0)]
    told = [
        {"name": name, "network": network, "recipe": {"image_size": saved_runs.SIZE}}
        for name, network in (("left_out", "deep"), ("tuned", "standard"), ("standard", "standard"))
    ]
    images = np.random.default_rng(0).integers(0, 256, (3, saved_runs.SIZE, saved_runs.SIZE, 3), np.uint8)
    by_layers = keras.Model(tuned.input, depths.pooled(tuned)[0])
    alone = by_layers(images.astype(np.float32)).numpy()
    run = Run(saved_runs.save(tmp_path / "run", combine(parts)))
    run.write_settings({"recipe": {}, "candidates": told})
    np.testing.assert_allclose(features_of(opened(run.folder), images), alone, rtol=1e-4, atol=1e-4)
    run.write_settings({"recipe": {}, "candidates": told[2:]})
    assert np.abs(features_of(opened(run.folder), images) - alone).max() > 0.1
    run.write_settings({"candidates": [{"recipe": 3}]})
    with pytest.raises(PigeonholeError, match="its settings are damaged"):
        opened(run.folder)


def test_a_run_in_which_no_network_was_trained_is_refused(learnt):
    with pytest.raises(PigeonholeError, match=f"^--backbone {learnt}: .* nothing else in it was trained"):
        opened(learnt.folder)


def test_a_run_of_grey_pictures_is_refused(tmp_path):
    run = saved_runs.save(tmp_path / "grey", saved_runs.network(channels=1))
    with pytest.raises(PigeonholeError, match=r"grey pictures, of 1 channel, .* --channels 3"):
        opened(run)


def test_a_damaged_run_is_refused(tmp_path):
    run = saved_runs.save(tmp_path / "run")
    (run / WEIGHTS).write_bytes((run / WEIGHTS).read_bytes()[:-9])
    with pytest.raises(PigeonholeError, match=WEIGHTS):
        opened(run)


@pytest.mark.parametrize(
    "named, told",
    [
        ("nowhere", "--backbone nowhere: no such run"),
        ("mobilenet_v3_smal", "--backbone mobilenet_v3_smal: .* did you mean mobilenet_v3_small"),
        ("standard", "--backbone standard: has no published weights; name a run of it"),
        ("some.weights.h5", "--backbone some.weights.h5: name the file's network, .* --weights"),
    ],
)
def test_what_is_no_backbone_is_refused(named, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=f"^{told}"):
        backbone.find(TrainingConfig(network="auto", backbone=named))


def test_weights_that_cannot_be_downloaded_are_named_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(registry, "_WEIGHTS_URL", "http://127.0.0.1:9/")
    with pytest.raises(PigeonholeError, match=r"no_top_v2\.h5 cannot be reached .*add --weights FILE"):
        backbone.find(TrainingConfig(network="auto", backbone=SMALL))
    with pytest.raises(UsageError, match=r"--weights lost\.h5: no such file"):
        backbone.find(TrainingConfig(network="auto", backbone=SMALL, weights="lost.h5"))


def test_it_belongs_to_several_ways(own, tmp_path):
    data = draw_patches(tmp_path / "pictures", 2)
    assert choosing.decided(TrainingConfig(data=data, backbone=str(own))).network == "auto"
    for wrong, told in (
        (["--network", "standard"], "^--backbone .*: belongs to --network auto"),
        (["--epochs", "3"], "^--epochs: is about one training"),
        (["--weights", str(own)], "^--weights: is about one training"),
    ):
        with pytest.raises(UsageError, match=told):
            train.main(flags(data, tmp_path, "one", "--backbone", str(own), *wrong))
    assert not (tmp_path / "one").exists()


@pytest.mark.slow
def test_a_run_is_trained_further_and_resumed_and_repeated_to_the_same_bits(tmp_path):
    thumbnails = draw_patches(tmp_path / "thumbnails", 20)
    assert train.main(flags(thumbnails, tmp_path, "own", "--network", "standard", "--steps", "60")) == 0
    data = draw_photos(tmp_path / "photos", 24, wrong=4)
    arguments = flags(data, tmp_path, "cut", "--backbone", str(tmp_path / "own"), "--minutes", "2")
    status, said = stopped([*arguments, "--precision", "float32"], signal.SIGTERM, after="epoch")
    assert status == 128 + signal.SIGTERM, said
    cut = Run(tmp_path / "cut")
    resumed = done("--resume", cut.folder)
    assert resumed.returncode == 0, resumed.stderr
    settings = cut.settings()
    assert [each["network"] for each in settings["candidates"]] == ["standard", "standard"]
    assert settings["candidates"][0]["recipe"]["image_size"] == 32 <= THUMBNAIL
    again = done("--repeat", cut.folder, "--output", tmp_path, "--name", "again")
    assert "identical to" in again.stdout and again.returncode == 0, again.stdout + again.stderr
    assert (tmp_path / "again" / WEIGHTS).read_bytes() == (cut.folder / WEIGHTS).read_bytes()


@pytest.mark.slow
def test_a_network_of_keras_applications_serves_by_its_weights_file(tmp_path, capsys):
    file = tmp_path / "small.weights.h5"
    theirs = published(SMALL)
    theirs.save_weights(file)
    data = draw_photos(tmp_path / "photos", 24, wrong=4)
    more = ["--backbone", SMALL, "--weights", str(file), "--minutes", "8"]
    assert train.main(flags(data, tmp_path, "run", *more)) == 0
    run, said = Run(tmp_path / "run"), capsys.readouterr().out
    assert f"auto: {SMALL} as it comes" in said and f"trying      {SMALL}, trained further" in said
    assert run.settings()["candidates"][0]["network"] == SMALL
    picture = next((data / "spots").iterdir())
    with Classifier.load(run, engine="tensorflow") as classifier:
        pixels = classifier.read(picture.read_bytes())[np.newaxis]
        ours = classifier.fetch(pixels, ["y_pred", "features"])
    runtime = onnxruntime.InferenceSession(run.onnx_file.read_bytes())
    for mine, other in zip(
        ours, runtime.run(["y_pred", "features"], {"x": pixels.astype(np.float32)}), strict=True
    ):
        np.testing.assert_allclose(mine, other, rtol=1e-3, atol=1e-3)
    images = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    extractor = replace(opened(SMALL, weights=str(file)), image_size=SIDE).extractor(SIDE, None)
    np.testing.assert_allclose(
        extractor(images)[:, extractor.last], theirs(images.astype(np.float32)), rtol=1e-3, atol=1e-4
    )
