"""The training pictures that a run keeps: what is written is read again, and nothing else is believed."""

import os
import zipfile
from dataclasses import fields

import cv2
import numpy as np
import pytest

from pigeonhole.data.dataset import DataSet
from pigeonhole.errors import PigeonholeError
from pigeonhole.features import known
from pigeonhole.features.known import KnownPictures
from pigeonhole.runs import archives, seals
from pigeonhole.runs.run import Run

COUNT, LAST = 30, slice(4, 12)
NAMES = [f"cat/ü {number}\udcff.jpg" for number in range(COUNT)]
DIGESTS = [f"{number:064x}" for number in range(COUNT)]
FEATURES = np.random.default_rng(0).normal(3, 1, (COUNT, 16)).astype(np.float32)


@pytest.fixture
def run(tmp_path) -> Run:
    images = np.random.default_rng(1).integers(0, 256, (COUNT, 80, 80, 3), np.uint8)
    pictures = DataSet(images, np.arange(COUNT) % 2, NAMES, ["cat", "été 北"])
    known.write(Run(tmp_path), pictures, DIGESTS, FEATURES, LAST)
    return Run(tmp_path)


def rewrite(run: Run, **changed: np.ndarray) -> None:
    """The archive with other arrays in it, whole by its checksums, as a stranger might make it."""
    arrays = archives.read(run.known_file) | changed
    seals.forget(run.known_file)
    with zipfile.ZipFile(run.known_file, "w") as archive:
        for name, array in arrays.items():
            archives.add(archive, name, array)


def test_the_nearest_are_those_of_the_highest_cosine_in_the_columns(run):
    kept = known.read(run)
    assert list(kept.names) == NAMES and kept.classes[1] == "été 北"
    centred = FEATURES[:, LAST] - FEATURES[:, LAST].mean(axis=0)
    directions = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    cosines = directions[:3] @ directions.T
    # A model may have further features behind those, which play no part.
    wider = np.concatenate([FEATURES, np.ones((COUNT, 5), np.float32)], axis=1)
    for row, near in enumerate(kept.nearest(wider[:3], 4)):
        expected = np.argsort(-cosines[row])[:4]
        assert [each.name for each in near] == [NAMES[place] for place in expected]
        assert [each.cosine for each in near] == pytest.approx(cosines[row, expected], abs=2e-3)
        assert near[0].name == NAMES[row] and near[0].cosine <= 1
    others = kept.nearest(FEATURES[:3], COUNT, DIGESTS[:3])
    assert [len(near) for near in others] == [COUNT - 1] * 3
    assert all(NAMES[row] not in {each.name for each in near} for row, near in enumerate(others))


def test_thumbnails_are_small_jpegs(run):
    kept = known.read(run)
    for row in (0, COUNT - 1):
        image = cv2.imdecode(np.frombuffer(kept.thumbnail(row), np.uint8), cv2.IMREAD_COLOR)
        assert image.shape == (known.SIDE, known.SIDE, 3) and kept.thumbnail(row).startswith(b"\xff\xd8")


def test_of_many_pictures_a_part_is_kept_and_the_same_pictures_make_the_same_file(run, monkeypatch):
    first = run.known_file.read_bytes()
    pictures = DataSet(np.zeros((COUNT, 8, 8, 1), np.uint8), np.zeros(COUNT, int), NAMES, ["cat"])
    monkeypatch.setattr(known, "MOST_KEPT", 7)
    for _ in range(2):
        known.write(run, pictures, DIGESTS, FEATURES, LAST)
        seals.check(run.known_file)
        kept = known.read(run)
        assert len(kept) == 7 and len(set(kept.names)) == 7
        assert kept.digests[0].tobytes().hex() == DIGESTS[NAMES.index(kept.names[0])]
        contents = [run.known_file.read_bytes(), first]
        first = contents[0]
    assert contents[0] == contents[1]


def test_a_run_without_the_file_keeps_none(tmp_path):
    assert known.read(Run(tmp_path)) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"directions": np.zeros((COUNT, 8), np.float32)},
        {"directions": np.full((COUNT, 8), np.nan, np.float16)},
        {"directions": np.zeros((COUNT - 1, 8), np.float16)},
        {"centre": np.zeros((2, 4), np.float32)},
        {"columns": np.array([-4, 4])},
        {"columns": np.array([0, 1 << 40])},
        {"names": archives.packed(NAMES[1:])},
        {"classes": np.array([object()])},
        {"ends": np.arange(COUNT)[::-1].copy()},
        {"ends": np.full(COUNT, 1 << 40)},
        {"digests": np.zeros((COUNT, 31), np.uint8)},
        {"thumbnails": np.zeros((2, 3), np.uint8)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_what_does_not_fit_is_refused(run, changed):
    if any(array.dtype == object for array in changed.values()):
        with zipfile.ZipFile(run.known_file, "a") as archive, archive.open("x.npy", "w") as file:
            np.lib.format.write_array(file, changed["classes"], allow_pickle=True)
        seals.forget(run.known_file)
    else:
        rewrite(run, **changed)
    with pytest.raises(PigeonholeError, match=r"known_pictures.npz: damaged \(") as stopped:
        known.read(run)
    assert "\n" not in str(stopped.value) and "remove it" in str(stopped.value)


def test_a_file_that_lacks_a_part_or_was_changed_is_refused(run):
    with zipfile.ZipFile(run.known_file, "w") as archive:
        archives.add(archive, fields(KnownPictures)[0].name, archives.packed(NAMES))
    with pytest.raises(PigeonholeError, match="it is not what the training wrote"):
        known.read(run)
    seals.forget(run.known_file)
    with pytest.raises(PigeonholeError, match="damaged"):
        known.read(run)


def test_a_model_with_fewer_features_is_refused(run):
    with pytest.raises(PigeonholeError, match="features up to 12, and the model 8"):
        known.read(run).nearest(FEATURES[:, :8], 1)


@pytest.mark.skipif(os.name != "posix", reason="links need no rights on POSIX alone")
def test_a_link_is_not_followed_out_of_the_run(run, tmp_path):
    outside = tmp_path / "outside.npz"
    run.known_file.rename(outside)
    run.known_file.symlink_to(outside)
    with pytest.raises(PigeonholeError, match="cannot be read"):
        known.read(run)
