import numpy as np
import pytest

from pigeonhole.features import cells, copies
from pigeonhole.features.store import Features
from tests.support.made_photos import as_jpeg, cropped, photo, scaled, square

SIDE = 96


def seen(images: np.ndarray) -> np.ndarray:
    """Stands for a network: how frequent each of 16 values is in each channel of the left and right half."""
    halves = images[:, :, : SIDE // 2], images[:, :, SIDE // 2 :]
    counts = [
        [np.bincount(half[..., channel].ravel() // 16, minlength=16) for half in pair for channel in range(3)]
        for pair in zip(*halves, strict=True)
    ]
    return np.array(counts, np.float32).reshape(len(images), 6 * 16)


def find(images: list[np.ndarray], labels: np.ndarray | None = None) -> copies.Copies:
    pictures = np.stack([square(np.ascontiguousarray(image), SIDE) for image in images])
    features = Features(seen(pictures), seen(pictures[:, :, ::-1]))
    return copies.find(features, pictures, np.arange(len(images)) % 2 if labels is None else labels)


PHOTOS = [photo(seed) for seed in range(30)]
CHANGES = {
    "mirrored": lambda image: image[:, ::-1],
    "cropped": lambda image: cropped(image, 0.2),
    "small jpeg": lambda image: as_jpeg(scaled(image, 0.5), 30),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_and_nothing_else(change):
    found = find([*PHOTOS, *(CHANGES[change](image) for image in PHOTOS[:10])])
    assert sorted(map(tuple, found.pairs.tolist())) == [(row, 30 + row) for row in range(10)]
    assert np.all(found.correlations >= found.limit) and np.all(np.diff(found.correlations) <= 0)
    assert np.all(found.mirrored == (change == "mirrored"))
    names = [f"{40 - row:02d}.png" for row in range(40)]
    assert found.named(names)[0] == ("01.png", "31.png")


def test_without_features_of_mirror_images_changed_copies_are_found_too():
    made = [cropped(image, 0.2) for image in PHOTOS[:10]]
    pictures = np.stack([square(np.ascontiguousarray(image), SIDE) for image in [*PHOTOS, *made]])
    found = copies.find(Features(seen(pictures)), pictures, np.arange(40) % 2)
    assert sorted(map(tuple, found.pairs.tolist())) == [(row, 30 + row) for row in range(10)]


def test_among_very_many_pictures_changed_copies_are_found_too(monkeypatch):
    searched = []

    def by_cells(*arguments):
        searched.append(arguments)
        return cells.nearest_in_cells(*arguments)

    monkeypatch.setattr(copies, "MANY", 37)
    monkeypatch.setattr(cells, "CELL", 5)
    monkeypatch.setattr(copies, "nearest_in_cells", by_cells)
    found = find([*PHOTOS, *(image[:, ::-1] for image in PHOTOS[:8])])
    assert sorted(map(tuple, found.pairs.tolist())) == [(row, 30 + row) for row in range(8)]
    assert len(searched) == 2  # among the pictures, and among their mirror images
    find([*PHOTOS, *(image[:, ::-1] for image in PHOTOS[:7])])
    assert len(searched) == 2  # so few are compared all with all


def test_the_search_ends_where_no_copies_come_any_more(monkeypatch):
    monkeypatch.setattr(copies, "AT_ONCE", 10)
    found = find([*PHOTOS, *(image[:, ::-1] for image in PHOTOS[:8])])
    assert sorted(map(tuple, found.pairs.tolist())) == [(row, 30 + row) for row in range(8)]
    assert found.compared == 20  # the copies are among the first ten, of some ninety pairs


def test_different_photos_are_no_copies():
    found = find(PHOTOS)
    assert not len(found.pairs) and found.limit == copies.LIMIT and found.compared > 30


def test_pictures_that_all_look_alike_raise_the_limit():
    """One scene with a little of another in each: all pairs agree in most of their detail."""
    scene = photo(99).astype(np.float32)
    alike = [(0.8 * scene + 0.2 * image).astype(np.uint8) for image in PHOTOS]
    found = find([*alike, alike[3][:, ::-1]])
    assert found.limit > 0.9
    assert found.pairs[0].tolist() == [3, 30]
    assert found.compared > 30 and len(found.pairs) < 0.05 * found.compared


@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_pictures_have_no_copies(count):
    images = np.stack([square(image, SIDE) for image in PHOTOS])[:count]
    features = Features(seen(images), seen(images))
    assert not len(copies.find(features, images, np.zeros(count, np.int64)).pairs)


def test_a_search_can_be_stopped():
    def stop() -> None:
        raise KeyboardInterrupt

    images = np.stack([square(image, SIDE) for image in PHOTOS])
    with pytest.raises(KeyboardInterrupt):
        copies.find(Features(seen(images), seen(images)), images, np.zeros(30, np.int64), stop)
