"""One ONNX file takes pictures of the network's size and whole ones, and answers both as the tool does."""

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest

from pigeonhole import Classifier
from pigeonhole.model import metagraph
from pigeonhole.model.export import exporting
from pigeonhole.networks.resizing import weights, whole_picture
from pigeonhole.runs import search
from tests.support import saved_runs

SIZES = [(40, 30), (16, 16), (16, 40), (7, 5), (5, 60), (1, 1), (300, 201)]


@pytest.fixture(scope="module", params=[(3, 16), (1, 16), (3, (48, 16))], ids=["rgb", "grey", "resized"])
def run(request, tmp_path_factory):
    channels, size = request.param
    model = saved_runs.network(channels=channels, size=size)
    run = saved_runs.save(tmp_path_factory.mktemp("runs") / "run", model)
    exporting.export(run)
    return run


@pytest.fixture(scope="module")
def session(run):
    onnx.checker.check_model(onnx.load(run / "model.onnx"), full_check=True)
    return onnxruntime.InferenceSession(run / "model.onnx")


@pytest.fixture(scope="module")
def classifier(run):
    with Classifier.load(run, engine="onnx") as classifier:
        yield classifier


def given(session, pictures: np.ndarray) -> np.ndarray:
    return session.run(["y_pred"], {"x": pictures.astype(np.float32)})[0]


@pytest.mark.parametrize("height, width", SIZES)
def test_a_whole_picture_is_answered_as_its_square_is(session, classifier, height, width):
    size, channels = classifier.preprocessing.image_size, classifier.preprocessing.channels
    image = np.random.default_rng(height + width).integers(0, 256, (height, width, 3), np.uint8)
    square = whole_picture(image, size, channels).numpy()
    # A mean at a half of a level may go either way, as the processor adds up.
    rows, columns = (weights(side, size).astype(np.float64) for side in (height, width))
    means = np.einsum("ah,hwc,bw->abc", rows, image, columns)
    has_halves = (np.abs(means % 1 - 0.5) < 1e-4).any()
    tolerance = 1e-4 if has_halves else 1e-6
    np.testing.assert_allclose(given(session, image[np.newaxis]), given(session, square), atol=tolerance)


def test_the_tools_answers_are_those_of_a_client_that_only_decodes(session, classifier):
    for seed, (height, width) in enumerate(SIZES * 3):
        data = cv2.imencode(".jpg", saved_runs.picture(seed, height, width))[1]
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
        answer = given(session, decoded[np.newaxis])
        np.testing.assert_allclose(answer, classifier.predict([data.tobytes()]), atol=0.01)


def test_several_pictures_of_one_size_are_taken_at_once(session):
    images = np.random.default_rng(0).integers(0, 256, (3, 50, 20, 3), np.uint8)
    one_by_one = np.concatenate([given(session, image[np.newaxis]) for image in images])
    np.testing.assert_allclose(given(session, images), one_by_one, atol=1e-6)


def test_pictures_of_the_networks_size_are_taken_as_they_are(run, session, classifier):
    size, channels = classifier.preprocessing.image_size, classifier.preprocessing.channels
    pixels = np.random.default_rng(1).uniform(0, 255, (5, size, size, channels)).astype(np.float32)
    with metagraph.restore(search.find(run).prefix) as restored:
        expected = restored.run("y_pred:0", {"x:0": pixels})
    np.testing.assert_allclose(given(session, pixels), expected, atol=1e-5)


def test_a_grey_model_takes_grey_pictures_of_any_size_too(session, classifier):
    image = np.random.default_rng(2).integers(0, 256, (30, 70, 1), np.uint8)
    if classifier.preprocessing.channels == 1:
        answer = given(session, image[np.newaxis])
        np.testing.assert_allclose(answer, given(session, image.repeat(3, 2)[np.newaxis]), atol=1e-6)
    else:
        with pytest.raises(Exception, match="x"):
            given(session, image[np.newaxis])
