"""Coordinates of a folder's pictures: found once, kept, and the same for pictures that were there before."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from pigeonhole.data import cache, folders
from pigeonhole.data.folders import Record
from pigeonhole.features import store
from pigeonhole.labelling import coordinates
from pigeonhole.pictures.images import Preprocessing
from tests.support.numbered_pictures import draw_tree
from tests.support.small_extractor import SmallExtractor


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return draw_tree(tmp_path / "pictures", 12)


@pytest.fixture
def kept(tmp_path: Path) -> cache.Cache:
    return cache.Cache(tmp_path / "cache")


def records_of(tree: Path, kept: cache.Cache) -> list[Record]:
    return kept.survey(folders.scan(tree), Preprocessing(8), progress=False)[0]


def file_of(kept: cache.Cache) -> Path:
    (file,) = kept.folder.glob("coordinates-*.npz")
    return file


def test_they_are_computed_once_and_in_the_order_of_the_records(tree, kept):
    records, extractor = records_of(tree, kept), SmallExtractor()
    told = []
    first = coordinates.read(records, extractor, kept, lambda *numbers: told.append(numbers))
    assert (
        first.dtype == np.float32
        and len(first) == len(records)
        and 1 < first.shape[1] <= SmallExtractor.width
    )
    assert told[0] == (0, told[-1][1]) and told[-1][0] == told[-1][1]
    seen, written = extractor.seen, file_of(kept).stat().st_mtime_ns
    again = coordinates.read(records[::-1], extractor, kept)
    np.testing.assert_array_equal(again[::-1], first)
    assert extractor.seen == seen and file_of(kept).stat().st_mtime_ns == written


def test_added_pictures_leave_the_others_where_they_are(tree, kept, monkeypatch):
    monkeypatch.setattr(coordinates, "FEW", 1)
    records, extractor = records_of(tree, kept), SmallExtractor()
    first, second = np.array_split(np.arange(len(records)), [2 * len(records) // 3])
    before = coordinates.read([records[row] for row in first], extractor, kept)
    after = coordinates.read(records, extractor, kept)
    np.testing.assert_array_equal(after[first], before)
    assert np.isfinite(after[second]).all()


@pytest.mark.parametrize(("few", "earlier"), [(1, 5), (coordinates.FEW, 11)])
def test_axes_are_found_anew_for_twice_as_many_pictures_and_whenever_they_were_of_few(
    tree, kept, monkeypatch, few, earlier
):
    monkeypatch.setattr(coordinates, "FEW", few)
    records, extractor = records_of(tree, kept), SmallExtractor()
    coordinates.read(records[:earlier], extractor, kept)
    found = coordinates.read(records, extractor, kept)
    fresh = cache.Cache(kept.directory.parent / "other")
    np.testing.assert_allclose(found, coordinates.read(records, extractor, fresh), atol=1e-4)


def test_a_damaged_file_is_made_again(tree, kept):
    records = records_of(tree, kept)
    first = coordinates.read(records, SmallExtractor(), kept)
    whole = file_of(kept).read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], whole[:400] + b"\xff" + whole[401:]):
        file_of(kept).write_bytes(damaged)
        np.testing.assert_array_equal(coordinates.read(records, SmallExtractor(), kept), first)


def test_copies_have_the_same_place_and_no_pictures_have_none(tree, kept):
    picture = next(tree.rglob("*.png"))
    shutil.copy(picture, picture.with_name("copy of it.png"))
    records = records_of(tree, kept)
    found = coordinates.read(records, SmallExtractor(), kept)
    by_digest = {}
    for record, place in zip(records, found, strict=True):
        np.testing.assert_array_equal(by_digest.setdefault(record.digest, place), place)
    assert len(by_digest) < len(records)
    assert coordinates.read([], SmallExtractor(), kept).shape == (0, 0)


def test_who_stops_it_loses_nothing(tree, kept, monkeypatch):
    monkeypatch.setattr(store, "TASK_PICTURES", 6)
    records, extractor = records_of(tree, kept), SmallExtractor()

    def stop(done: int, total: int) -> None:
        if done >= total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        coordinates.read(records, extractor, kept, stop)
    seen = extractor.seen
    coordinates.read(records, extractor, kept)
    assert seen and extractor.seen <= 2 * len({record.digest for record in records})
