"""The features store: each content computed once, nothing stale or damaged read, safe to kill and share."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pigeonhole.data import cache, dataset, folders
from pigeonhole.data.folders import Record
from pigeonhole.errors import PigeonholeError
from pigeonhole.features import feature_file, store
from pigeonhole.features.store import Features
from pigeonhole.locks import exclusive
from pigeonhole.pictures import images
from pigeonhole.pictures.images import Preprocessing
from tests.support.numbered_pictures import draw, draw_tree
from tests.support.small_extractor import SmallExtractor

REPOSITORY = Path(__file__).parents[2]
SIDES = "plain", "mirrored"
FILES = f"features-small-16px-{SmallExtractor().digest[:16]}-plain.{{}}"
READ = """
import sys
from pathlib import Path
from pigeonhole.data import cache, folders
from pigeonhole.features import store
from pigeonhole.pictures.images import Preprocessing
from tests.support.small_extractor import SmallExtractor
root, directory, size = sys.argv[1:]
kept = cache.Cache(Path(directory))
records, _ = kept.survey(folders.scan(root), Preprocessing(8))
features = store.read(records, SmallExtractor(image_size=int(size)), kept)
print(len(features), features.plain[:].sum(dtype=float), features.mirrored[:].sum(dtype=float), sep="|")
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return draw_tree(tmp_path / "pictures", 20)


@pytest.fixture
def kept(tmp_path: Path) -> cache.Cache:
    return cache.Cache(tmp_path / "cache")


def records_of(tree: Path, kept: cache.Cache) -> list[Record]:
    records, _ = kept.survey(folders.scan(tree), Preprocessing(8))
    return [record for record in records if not record.skipped]


def read(tree: Path, kept: cache.Cache, extractor: SmallExtractor | None = None) -> Features:
    return store.read(records_of(tree, kept), extractor or SmallExtractor(), kept)


def pictures_of(records: list[Record], size: int) -> np.ndarray:
    """By the one decode path, from the bytes that are in the files now."""
    return np.stack([images.preprocess(r.entry.path.read_bytes(), Preprocessing(size)) for r in records])


def assert_right(features: Features, records: list[Record], size: int = 16) -> None:
    """They are those of the pictures as they are now, in float16."""
    extractor, pictures = SmallExtractor(size), pictures_of(records, size)
    for rows, expected in ((features.plain, pictures), (features.mirrored, pictures[:, :, ::-1])):
        assert rows.shape == (len(records), extractor.width) and rows.dtype == rows[:].dtype == np.float32
        np.testing.assert_array_equal(rows[:], extractor(expected).astype(np.float16).astype(np.float32))


def run_read(tree: Path, kept: cache.Cache, size: int = 16) -> subprocess.Popen:
    command = [sys.executable, "-c", READ, str(tree), str(kept.directory), str(size)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=REPOSITORY, text=True, stdout=pipe, stderr=pipe)


def test_features_of_pictures_and_mirror_images(tree, kept):
    features = read(tree, kept)
    assert_right(features, records_of(tree, kept))
    assert np.abs(features.plain[:] - features.mirrored[:]).max() > 0.1


def test_rows_read_like_an_array(tree, kept):
    features = read(tree, kept)
    every = np.asarray(features.plain)
    np.testing.assert_array_equal(features.plain[3], every[3])
    np.testing.assert_array_equal(features.plain[[5, 2, 5]], every[[5, 2, 5]])
    np.testing.assert_array_equal(features.plain[every[:, 0] > 0], every[every[:, 0] > 0])
    part = features.select([4, 1])
    assert len(part) == 2
    np.testing.assert_array_equal(part.plain[1], every[1])
    np.testing.assert_array_equal(part.mirrored[:], features.mirrored[[4, 1]])
    with pytest.raises(ValueError, match="without a copy"):
        np.array(features.plain, copy=False)


def test_no_pictures(kept):
    features = store.read([], SmallExtractor(), kept)
    assert len(features) == 0 and features.plain[:].shape == (0, SmallExtractor().width)


def test_each_content_is_computed_once(tree, kept):
    extractor = SmallExtractor()
    read(tree, kept, extractor)
    assert extractor.seen == 2 * 20
    read(tree, kept, extractor)
    assert extractor.seen == 2 * 20
    draw(tree / "cats" / "new.png", 50)
    draw(tree / "cats" / "copy_of_new.png", 50)
    draw(tree / "dogs" / "0002.png", 51)
    features = read(tree, kept, extractor)
    assert extractor.seen == 2 * 22
    assert_right(features, records_of(tree, kept))


def test_mirror_images_are_looked_at_where_they_are_wanted(tree, kept):
    extractor, records = SmallExtractor(), records_of(tree, kept)
    plain = store.read(records, extractor, kept, mirrored=False)
    assert plain.mirrored is None and plain.select([3, 1]).mirrored is None and extractor.seen == 20
    draw(tree / "cats" / "new.png", 50)
    records = records_of(tree, kept)
    features = store.read(records, extractor, kept)
    assert extractor.seen == 20 + 2 + 20
    assert_right(features, records)


def test_extractors_do_not_mix(tree, kept):
    for size, digest in ((16, "1" * 64), (24, "1" * 64), (16, "2" * 64), (16, "1" * 64)):
        extractor = SmallExtractor(size, digest)
        features = read(tree, kept, extractor)
        pictures = [
            images.preprocess(r.entry.path.read_bytes(), Preprocessing(size)) for r in records_of(tree, kept)
        ]
        expected = extractor(np.stack(pictures)).astype(np.float16)
        np.testing.assert_array_equal(features.plain[:], expected)


def test_values_too_large_for_the_disk_become_the_largest(tree, kept):
    features = read(tree, kept, SmallExtractor(factor=1e6))
    assert np.isfinite(features.plain[:]).all() and np.abs(features.plain[:]).max() == 65504


def test_features_of_a_training_and_a_validation_side(tree, kept, monkeypatch):
    sets = dataset.read_train_sets(tree, 16, cache_dir=kept.directory, progress=False)
    monkeypatch.setattr(Path, "read_bytes", None)  # decoded already, at this size
    features = store.of_sets(sets, SmallExtractor(), kept)
    monkeypatch.undo()
    record_of = {record.entry.name: record for record in sets.records}
    assert_right(features, [record_of[name] for name in sets.everything.names])


@pytest.mark.parametrize("size, channels", [(24, 3), (16, 1)])
def test_pixels_that_do_not_fit_are_not_taken(tree, kept, size, channels):
    records, pixels = kept.survey(folders.scan(tree), Preprocessing(size, channels))
    assert_right(store.read(records, SmallExtractor(), kept, pixels), records)


def test_without_a_cache(tree):
    temporary = cache.Cache(None)
    features = read(tree, temporary)
    assert_right(features, records_of(tree, temporary))


@pytest.mark.parametrize(
    "harm", [Path.unlink, lambda path: draw(path, 90), lambda path: path.write_bytes(b"no")]
)
def test_a_picture_that_has_changed_since_it_was_surveyed(tree, kept, harm):
    records = records_of(tree, kept)
    harm(tree / "cats" / "0001.png")
    with pytest.raises(PigeonholeError, match=r"0001.png: (changed meanwhile|vanished); start again"):
        store.read(records, SmallExtractor(), kept)
    assert len(read(tree, kept)) == len(records_of(tree, kept))


def test_a_cache_that_cannot_be_used_is_one_line(tree, kept):
    records = records_of(tree, kept)
    read(tree, kept)
    keys = kept.folder / FILES.format("keys")
    keys.unlink()
    keys.mkdir()
    with pytest.raises(cache.CacheError, match=r"cannot use the cache folder .*--cache-dir FOLDER"):
        store.read(records, SmallExtractor(), kept)


def flip_rows(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 + 7)


def overwrite(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(path.stat().st_size))


def blank(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("harm", [flip_rows, cut, overwrite, blank, Path.unlink])
@pytest.mark.parametrize("kind", ["bin", "keys"])
@pytest.mark.parametrize("side", SIDES)
def test_damage_is_found_and_mended_once(tree, kept, side, kind, harm, capsys):
    read(tree, kept)
    harm(kept.folder / FILES.format(kind).replace("plain", side))
    extractor = SmallExtractor()
    assert_right(read(tree, kept, extractor), records_of(tree, kept))
    assert 1 <= extractor.seen <= 20
    said = capsys.readouterr().err.splitlines()
    silent = kind == "keys" and harm in (cut, Path.unlink)  # as a process that is killed leaves them
    assert len(said) == (0 if silent else 1) and all(
        "damaged; they are computed again" in line for line in said
    )
    draw(tree / "cats" / "new.png", 50)
    assert_right(read(tree, kept, extractor), records_of(tree, kept))
    assert not capsys.readouterr().err


def test_a_picture_with_both_sides_damaged_is_one_picture(tree, kept, capsys):
    read(tree, kept)
    for side in SIDES:
        path = kept.folder / FILES.format("bin").replace("plain", side)
        first, *rest = path.read_bytes()
        path.write_bytes(bytes([first ^ 1, *rest]))
    assert_right(read(tree, kept), records_of(tree, kept))
    assert "the kept features of 1 picture are damaged" in capsys.readouterr().err


def test_any_flipped_bit_is_found(tree, kept):
    """No traceback, and no other features."""
    right = np.asarray(read(tree, kept).plain)
    records, extractor = records_of(tree, kept), SmallExtractor()
    random = np.random.default_rng(0)
    whole = {kind: (kept.folder / FILES.format(kind)).read_bytes() for kind in ("keys", "bin")}
    for number in range(80):
        for kind, content in whole.items():
            (kept.folder / FILES.format(kind)).write_bytes(content)
        kind = "keys" if number % 2 else "bin"
        data = bytearray(whole[kind])
        data[random.integers(len(data))] ^= 1 << random.integers(8)
        (kept.folder / FILES.format(kind)).write_bytes(data)
        computed = extractor.seen
        np.testing.assert_array_equal(store.read(records, extractor, kept).plain[:], right)
        assert extractor.seen == computed + 1


def test_killed_at_any_moment(tmp_path, kept):
    tree = draw_tree(tmp_path / "pictures", 800)
    records = records_of(tree, kept)
    names = [f"features-small-160px-{SmallExtractor().digest[:16]}-{side}.keys" for side in SIDES]
    plain, keys = (kept.folder / name for name in names)
    child = run_read(tree, kept, 160)
    while child.poll() is None and (not keys.exists() or _count(keys) < store.BLOCK_PICTURES):
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL, "it was done too soon to be killed"
    child.communicate()
    found = _count(keys)
    whole = _count(plain)  # written before those of the mirror images
    assert 0 < found <= whole < len(records)
    with keys.open("ab") as file:
        file.write(b"half a key")
    extractor = SmallExtractor(160)
    assert_right(store.read(records, extractor, kept), records, 160)
    assert extractor.seen == 2 * len(records) - whole - found


def _count(keys: Path) -> int:
    return keys.stat().st_size // feature_file.KEY.itemsize


def test_rows_without_keys_are_written_over(tree, kept):
    read(tree, kept)
    rows = kept.folder / FILES.format("bin")
    size = rows.stat().st_size
    with rows.open("ab") as file:
        file.write(b"rows of a process that was killed" * 100)
    draw(tree / "cats" / "new.png", 60)
    assert_right(read(tree, kept), records_of(tree, kept))
    assert rows.stat().st_size in (size * 21 // 20, size + 3300)


def test_two_processes_at_once(tmp_path, kept):
    tree = draw_tree(tmp_path / "pictures", 400)
    children = [run_read(tree, kept) for _ in range(3)]
    outputs = [child.communicate() for child in children]
    assert {(c.returncode, out) for c, (out, _) in zip(children, outputs, strict=True)} == {
        (0, outputs[0][0])
    }
    assert outputs[0][0].startswith("400|")
    assert _count(kept.folder / FILES.format("keys")) == 400
    assert_right(read(tree, kept), records_of(tree, kept))


def test_reading_goes_on_while_another_process_computes(tree, kept):
    read(tree, kept)
    with exclusive(kept.folder / FILES.format("lock")):
        assert_right(read(tree, kept), records_of(tree, kept))
