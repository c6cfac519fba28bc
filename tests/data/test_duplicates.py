import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from pigeonhole.data import duplicates
from pigeonhole.data.duplicates import MAX_DISTANCE, candidate_pairs, fingerprint, groups, near_duplicates
from pigeonhole.data.folders import Entry, Record
from tests.support.made_photos import as_jpeg, cropped, photo, scaled, square

SIZE = 64


def record(name: str, image: np.ndarray, class_name: str = "a") -> Record:
    digest = hashlib.sha256(image.tobytes()).hexdigest()
    entry = Entry(Path(), name, class_name)
    return Record(entry, None, digest, "png", *image.shape[1::-1], (), fingerprint(image), 1)


def survey(images: dict[str, np.ndarray]) -> tuple[list[Record], np.ndarray]:
    rows = {name: square(image) for name, image in images.items()}
    return [record(name, row) for name, row in rows.items()], np.stack(list(rows.values()))


def distance(first: int, second: int) -> int:
    return (first ^ second).bit_count()


COPIES = {
    "jpeg 95": lambda image: as_jpeg(image, 95),
    "jpeg 30": lambda image: as_jpeg(image, 30),
    "half size": lambda image: as_jpeg(scaled(image, 0.5), 85),
    "double size": lambda image: as_jpeg(scaled(image, 2), 85),
    "half size, jpeg 30": lambda image: as_jpeg(scaled(image, 0.5), 30),
    "1 % cropped": lambda image: cropped(image, 0.01),
    "brighter": lambda image: cv2.convertScaleAbs(image, alpha=1.1, beta=10),
}


@pytest.mark.parametrize("kind", COPIES)
def test_copies_are_found_and_nothing_else(kind):
    originals = {f"original {seed:02d}": photo(seed) for seed in range(20)}
    copies = {f"copy {seed:02d}": COPIES[kind](photo(seed)) for seed in range(20)}
    records, images = survey(originals | copies)
    assert near_duplicates(records, images) == [(f"copy {s:02d}", f"original {s:02d}") for s in range(20)]


def test_turned_mirrored_and_other_pictures_are_not_duplicates():
    image = photo(0, 240, 240)
    records, images = survey(
        {"a": image, "mirrored": image[:, ::-1], "turned": np.rot90(image), "b": photo(1)}
    )
    assert near_duplicates(records, images) == []


def test_the_pixels_decide_where_hashes_are_equal():
    """Two small birds in front of one evening sky: the hash sees the sky only."""
    sky = np.linspace(90, 220, SIZE, dtype=np.float32)[:, None, None].repeat(SIZE, 1).repeat(3, 2)
    first, second = sky.copy(), sky.copy()
    first[20:26, 20:34] = 20
    second[30:44, 38:44] = 20
    rows = np.stack([first, second]).astype(np.uint8)
    records = [record("first", rows[0]), record("second", rows[1])]
    same_hash = [Record(r.entry, None, r.digest, "png", 1, 1, (), records[0].fingerprint, 1) for r in records]
    assert near_duplicates(same_hash, rows) == []


def test_faint_pictures_are_not_alike_only_because_they_differ_by_little():
    faint = [128 + (square(photo(seed)).astype(np.float32) - 128) / 12 for seed in (0, 1)]
    rows = np.stack(faint).round().astype(np.uint8)
    records = [record(name, row) for name, row in zip("ab", rows, strict=True)]
    same_hash = [Record(r.entry, None, r.digest, "png", 1, 1, (), records[0].fingerprint, 1) for r in records]
    assert records[0].fingerprint and near_duplicates(same_hash, rows) == []


def test_alike_handwritten_digits_are_not_duplicates():
    from sklearn.datasets import load_digits

    scans = (load_digits().images[:600] * 15.9).astype(np.uint8)
    rows = np.stack([cv2.cvtColor(square(scan, 32), cv2.COLOR_GRAY2RGB) for scan in scans])
    records = [record(f"{number:03d}", row) for number, row in enumerate(rows)]
    assert near_duplicates(records, rows) == []


def test_grey_rows_are_compared_too():
    records, images = survey({"a": photo(0), "b": as_jpeg(photo(0), 40), "c": photo(1)})
    assert near_duplicates(records, images[..., :1]) == [("a", "b")]


def test_equal_files_are_left_to_their_digest():
    records, images = survey({"b": photo(0), "a": photo(0), "copy": as_jpeg(photo(0), 40)})
    assert near_duplicates(records, images) == [("a", "copy")]


def test_skipped_records_have_no_row():
    records, images = survey({"a": photo(0), "b": photo(1), "c": as_jpeg(photo(1), 40)})
    records.insert(0, Record(Entry(Path(), "x", "a"), "empty"))
    assert near_duplicates(records, images) == [("b", "c")]


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_compare(count):
    records, images = survey({"a": photo(0)})
    assert near_duplicates(records[:count], images[:count]) == []


def test_flat_pictures_resemble_nothing():
    flat = {f"{grey}": np.full((SIZE, SIZE, 3), grey, np.uint8) for grey in (0, 127, 128, 255)}
    records, images = survey(flat)
    assert {record.fingerprint for record in records} == {0}
    assert near_duplicates(records, images) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (7, 5), (32, 32), (1000, 30)])
def test_fingerprint_is_64_bits_for_any_size(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert 0 <= fingerprint(image) < 2**64
    assert isinstance(fingerprint(image), int)


def test_half_of_the_bits_are_set():
    assert {fingerprint(square(photo(seed))).bit_count() for seed in range(10)} <= {31, 32}


def test_fingerprint_hardly_depends_on_the_size():
    prints = [fingerprint(square(photo(3), size)) for size in (32, 64, 128, 224)]
    assert max(distance(prints[0], other) for other in prints) <= 4
    assert distance(prints[0], fingerprint(photo(4))) > 12


def test_candidates_are_those_of_comparing_all_with_all():
    random = np.random.default_rng(0)
    prints = random.integers(0, 2**64, 300, dtype=np.uint64, endpoint=False)
    for index in range(0, 300, 3):
        bits = random.choice(64, random.integers(0, 12), replace=False).astype(np.uint64)
        prints[index + 1] = prints[index] ^ np.bitwise_or.reduce(np.uint64(1) << bits, initial=np.uint64(0))
    distances = np.bitwise_count(prints[:, None] ^ prints[None])
    first, second = np.nonzero(np.triu(distances <= MAX_DISTANCE, k=1))
    expected = list(zip(first.tolist(), second.tolist(), strict=True))
    assert len(expected) > 30
    assert [tuple(pair) for pair in candidate_pairs(prints).tolist()] == expected


def test_thousands_with_one_hash_do_not_make_millions_of_pairs():
    prints = np.full(3000, 0x0123456789ABCDEF, np.uint64)
    pairs = candidate_pairs(prints)
    assert len(pairs) < 3000 * 20
    assert set(pairs.ravel().tolist()) == set(range(3000))


def test_a_crowd_of_other_pictures_hides_no_copy(monkeypatch):
    """Buckets as full as those of two million pictures, of fewer bits."""
    monkeypatch.setattr(duplicates, "BANDS", 8)
    monkeypatch.setattr(duplicates, "BAND_BITS", 8)
    monkeypatch.setattr(duplicates, "BUCKETS", 256)
    random = np.random.default_rng(0)
    crowd = random.integers(0, 2**64, 8000, dtype=np.uint64, endpoint=False)
    flipped = [random.choice(64, MAX_DISTANCE, replace=False).astype(np.uint64) for _ in range(200)]
    copies = crowd[-200:] ^ np.array([np.bitwise_or.reduce(np.uint64(1) << bits) for bits in flipped])
    found = candidate_pairs(np.concatenate([crowd, copies])).tolist()
    assert {(7800 + number, 8000 + number) for number in range(200)} <= {tuple(pair) for pair in found}


def test_groups_follow_equal_content_and_pairs_transitively():
    def named(name: str, digest: str) -> Record:
        return Record(Entry(Path(), name, "a"), None, digest)

    records = [named("a", "1"), named("b", "2"), named("c", "1"), named("d", "3"), named("e", "4")]
    skipped = Record(Entry(Path(), "s", "a"), "empty")
    found = groups([*records, skipped], [("b", "c"), ("d", "not there"), ("s", "e")])
    assert [[member.entry.name for member in group] for group in found] == [["a", "b", "c"], ["d"], ["e"]]
