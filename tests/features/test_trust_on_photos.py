"""Copies and strangers among real photos, by the real network. The bars are for all 1,400 photos of dogs and
cats; here is a part of them."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pigeonhole.features import copies, extractor, pretrained, strangers
from pigeonhole.features.store import Features
from pigeonhole.pictures.images import Preprocessing, decode, preprocess, resize

DATA = Path(__file__).parents[3] / "shared" / "data"
PHOTOS, WEATHER = DATA / "dogs_cats" / "training_data", DATA / "photo_sets" / "weather" / "train"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (PHOTOS.is_dir() and WEATHER.is_dir()), reason="needs photos in ../shared/data"),
    pytest.mark.skipif(not pretrained.available(), reason="needs the weights of EfficientNet-Lite0"),
]


@pytest.fixture(scope="module")
def network():
    found = extractor.open_pretrained(engine=extractor.AUTO)
    yield found
    found.close()


def read(folder: Path, every: int) -> tuple[np.ndarray, list[Path]]:
    files = sorted(folder.rglob("*.jpg"))[::every]
    return np.stack(
        [preprocess(file.read_bytes(), Preprocessing(extractor.IMAGE_SIZE)) for file in files]
    ), files


@pytest.fixture(scope="module")
def photos(network):
    """Every fourth photo of dogs and cats, files, labels and features."""
    images, files = read(PHOTOS, 4)
    labels = np.array([file.parent.name == "dogs" for file in files]).astype(int)
    return images, files, labels, network(images), network(images[:, :, ::-1])


def cropped(file: Path, random: np.random.Generator) -> np.ndarray:
    """80 % of each side, anywhere."""
    image = decode(file.read_bytes())
    height, width = (int(0.8 * side) for side in image.shape[:2])
    top, left = (
        random.integers(0, image.shape[0] - height + 1),
        random.integers(0, image.shape[1] - width + 1),
    )
    return resize(np.ascontiguousarray(image[top : top + height, left : left + width]), extractor.IMAGE_SIZE)


def test_mirrored_and_cropped_photos_are_found_and_nothing_else(network, photos):
    images, files, labels, plain, mirrored = photos
    random = np.random.default_rng(0)
    rows = random.permutation(len(images))[:20]
    made = np.concatenate([images[rows[:10], :, ::-1], [cropped(files[row], random) for row in rows[10:]]])
    features = Features(
        np.concatenate([plain, network(made)]), np.concatenate([mirrored, network(made[:, :, ::-1])])
    )
    found = copies.find(features, np.concatenate([images, made]), np.concatenate([labels, labels[rows]]))
    expected = {(row, len(images) + number) for number, row in enumerate(rows.tolist())}
    assert set(map(tuple, found.pairs.tolist())) == expected
    assert found.mirrored.sum() == 10


def test_pictures_of_something_else_are_strangers(network, photos):
    _, _, labels, plain, _ = photos
    fitted = strangers.fit(plain, labels, np.arange(len(labels)) % 5, network.last)
    others = fitted.certainty(network(read(WEATHER, 20)[0]))
    known = np.repeat([1, 0], [len(fitted.known), len(others)])
    assert roc_auc_score(known, np.concatenate([fitted.known, others])) > 0.98
    assert np.mean(others < fitted.limit) > 0.8
    assert np.mean(fitted.known < fitted.limit) <= 0.01
