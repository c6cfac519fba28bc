import dataclasses
import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from pigeonhole.data import cache, duplicates, folders
from pigeonhole.data.folders import Entry, Record
from pigeonhole.errors import PigeonholeError
from pigeonhole.evaluation import leakage
from pigeonhole.evaluation.leakage import Copy
from pigeonhole.pictures import images
from pigeonhole.runs.run import Run
from tests.support import made_photos

SAMPLE = Path(__file__).parents[2]
SIZE = 32


def photo(seed: int, side: int = 120) -> np.ndarray:
    return made_photos.photo(seed, side, side)


def again(image: np.ndarray, side: int, quality: int = 85) -> np.ndarray:
    """The picture at another size, as JPEG and back."""
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(encoded, cv2.IMREAD_COLOR)


def survey(pictures: dict[str, np.ndarray], size: int = SIZE) -> tuple[list[Record], np.ndarray]:
    """Records and rows as the cache gives them; the class is the name's first part."""
    rows = np.array([images.resize(image, size) for image in pictures.values()], np.uint8)
    records = [
        Record(
            Entry(Path(), name, name.partition("/")[0]),
            digest=hashlib.sha256(image.tobytes()).hexdigest(),
            fingerprint=duplicates.fingerprint(row),
        )
        for (name, image), row in zip(pictures.items(), rows, strict=True)
    ]
    return records, rows.reshape(len(pictures), size, size, 3)


def grey(rows: np.ndarray) -> np.ndarray:
    return np.array([cv2.cvtColor(row, cv2.COLOR_RGB2GRAY) for row in rows])[..., None]


def remember(run: Path, pictures: dict[str, np.ndarray], size: int = SIZE) -> leakage.Fingerprints:
    """What a run remembers of these training pictures, every third of which validates."""
    records, rows = survey(pictures, size)
    sides = {name: "train" if row % 3 else "valid" for row, name in enumerate(pictures)}
    leakage.write(Run(run), records, rows, sides)
    return leakage.read(Run(run))


def test_what_is_written_is_read_again(tmp_path):
    names = ["a/new\nline.png", "a/\udcff.png", "été 北/x.png", "b/flat.png"]
    pictures = dict(zip(names, [*map(photo, range(3)), np.full((9, 9, 3), 200, np.uint8)], strict=True))
    known = remember(tmp_path, pictures)
    records, rows = survey(pictures)
    assert known.names == names
    assert known.classes == ["a", "a", "été 北", "b"]
    assert known.sides == ["valid", "train", "train", "valid"]
    assert [bytes(digest).hex() for digest in known.digests] == [record.digest for record in records]
    assert known.prints.tolist() == [record.fingerprint for record in records]
    assert known.prints[3] == 0
    assert known.grey.dtype == known.colours.dtype == np.uint8
    assert (known.grey[3] == 200).all() and (known.colours[3] == 200).all()
    expected = rows[0].reshape(4, 8, 4, 8, 3).mean(axis=(1, 3))
    assert np.abs(known.colours[0] - expected).max() < 1.5
    luma = cv2.cvtColor(cv2.resize(rows[0], (16, 16), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    assert np.abs(known.grey[0].astype(int) - luma).max() <= 1


@pytest.mark.parametrize("size", [16, 32, 96])
def test_copies_are_named_and_nothing_else(size, tmp_path):
    known = remember(tmp_path, {f"a/{seed:02}.png": photo(seed) for seed in range(40)}, size)
    tested = {f"b/exact {seed:02}.png": photo(seed) for seed in range(10)}
    tested |= {f"b/small {seed:02}.jpg": again(photo(seed), 40) for seed in range(10, 20)}
    tested |= {f"b/large {seed:02}.jpg": again(photo(seed), 200) for seed in range(20, 30)}
    tested |= {f"b/other {seed:02}.png": photo(seed) for seed in range(100, 140)}
    found = leakage.copies(known, *survey(tested, size))
    assert found == {
        name: Copy(f"a/{name[-6:-4]}.png", "train" if int(name[-6:-4]) % 3 else "valid", "exact" in name)
        for name in tested
        if "other" not in name
    }


def test_grey_runs_remember_too(tmp_path):
    records, rows = survey({f"a/{seed}.png": photo(seed) for seed in range(5)})
    leakage.write(Run(tmp_path), records, grey(rows), {record.entry.name: "train" for record in records})
    known = leakage.read(Run(tmp_path))
    assert known.colours.shape == (5, 4, 4, 1)
    tested, test_rows = survey({"x": again(photo(3), 50), "y": photo(9)})
    assert leakage.copies(known, tested, grey(test_rows)) == {"x": Copy("a/3.png", "train", False)}


def test_skipped_records_have_no_row(tmp_path):
    skipped = Record(Entry(Path(), "a/-", "a"), "empty")
    records, rows = survey({"a/0.png": photo(0), "a/1.png": photo(1)})
    leakage.write(Run(tmp_path), [skipped, *records], rows, {"a/0.png": "train", "a/1.png": "train"})
    found = leakage.copies(leakage.read(Run(tmp_path)), [skipped, *records[1:]], rows[1:])
    assert found == {"a/1.png": Copy("a/1.png", "train", True)}


def test_one_hash_for_all_hides_no_copy(tmp_path):
    """Where hundreds of training pictures share a hash, all are looked at and the likest is named."""
    records, rows = survey({f"a/{seed:03}.png": photo(seed) for seed in range(300)})
    same = [dataclasses.replace(record, fingerprint=records[0].fingerprint) for record in records]
    leakage.write(Run(tmp_path), same, rows, {record.entry.name: "train" for record in records})
    tested, test_rows = survey({"x": again(photo(250), 40)})
    tested = [dataclasses.replace(tested[0], fingerprint=records[0].fingerprint ^ 0b1111111)]
    assert leakage.copies(leakage.read(Run(tmp_path)), tested, test_rows) == {
        "x": Copy("a/250.png", "train", False)
    }


def test_each_picture_is_compared_with_those_of_its_own_hash_only(tmp_path):
    known = remember(tmp_path, {"a": photo(0)})
    records, rows = survey({"alike": again(photo(0), 40), "other": photo(1)})
    near, far = (int(known.prints[0]) ^ bits for bits in (0b1111111, 0b11111111))
    tested = [
        dataclasses.replace(record, fingerprint=bits)
        for record, bits in zip(records, (far, near), strict=True)
    ]
    assert leakage.copies(known, tested, rows) == {}


def test_of_several_the_likest_is_named(tmp_path):
    bad, good = again(photo(0), 40, quality=20), again(photo(0), 90, quality=90)
    known = remember(tmp_path, {"bad": bad, "good": good})
    assert leakage.copies(known, *survey({"x": photo(0)}))["x"].training_name == "good"
    known = remember(tmp_path, {"bad": bad})
    assert leakage.copies(known, *survey({"x": photo(0)}))["x"].training_name == "bad"


def test_more_pictures_than_are_compared_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(duplicates, "COMPARISONS", 30)
    monkeypatch.setattr(leakage, "BLOCK", 4)
    known = remember(tmp_path, {f"a/{seed:02}.png": photo(seed) for seed in range(10)})
    found = leakage.copies(known, *survey({f"b/{seed:02}.jpg": again(photo(seed), 60) for seed in range(10)}))
    assert {name: copy.training_name for name, copy in found.items()} == {
        f"b/{seed:02}.jpg": f"a/{seed:02}.png" for seed in range(10)
    }


def test_the_rule_is_that_of_near_duplicates(tmp_path):
    """Also for pairs that are nearly alike: pictures with ever more of another one mixed in."""
    first = {f"a/{seed:02}": photo(seed) for seed in range(30)}
    second = {
        f"b/{seed:02}": cv2.addWeighted(photo(seed), 1 - seed / 60, photo(seed + 50), seed / 60, 0)
        for seed in range(30)
    }
    known = remember(tmp_path, first)
    found = {(copy.training_name, name) for name, copy in leakage.copies(known, *survey(second)).items()}
    records, rows = survey(first | second)
    pairs = set(duplicates.near_duplicates(records, grey(rows))) | {
        ("a/00", "b/00")
    }  # the mixture with 0 % is equal
    assert found == pairs
    assert 3 < len(pairs) < 27


def test_flat_pictures_are_copies_only_as_equal_files(tmp_path):
    flat = {f"a/{grey}": np.full((20, 20, 3), grey, np.uint8) for grey in (0, 100)}
    known = remember(tmp_path, flat)
    tested = {"white": np.full((20, 20, 3), 255, np.uint8), "black": np.zeros((20, 20, 3), np.uint8)}
    assert leakage.copies(known, *survey(tested)) == {"black": Copy("a/0", "valid", True)}


def test_nearly_flat_pictures_are_not_told_apart(tmp_path):
    """Less contrast than this is noise, though it may look the same twice."""
    stripes = np.kron([[0, 1, 0, 1], [1, 0, 1, 0]] * 2, np.ones((8, 8))).astype(np.uint8)[..., None] * 3
    records, rows = survey({f"{grey}": grey + stripes.repeat(3, axis=2) for grey in (100, 120)})
    assert [record.fingerprint for record in records] == [0, 0]
    leakage.write(Run(tmp_path), records[:1], rows[:1], {"100": "train"})
    assert leakage.copies(leakage.read(Run(tmp_path)), records[1:], rows[1:]) == {}


def test_no_test_picture_at_all(tmp_path):
    assert leakage.copies(remember(tmp_path, {"a/0": photo(0)}), *survey({})) == {}


def test_the_alike_digits_of_the_sample_are_no_copies(tmp_path):
    store = cache.Cache(None)
    wanted = images.Preprocessing(SIZE)
    training, rows = store.survey(folders.scan(SAMPLE / "training_data"), wanted, progress=False)
    leakage.write(Run(tmp_path), training, rows, {record.entry.name: "train" for record in training})
    known = leakage.read(Run(tmp_path))
    testing, test_rows = store.survey(folders.scan(SAMPLE / "testing_data"), wanted, progress=False)
    assert len(testing) == 359
    assert leakage.copies(known, testing, test_rows) == {}
    assert len(leakage.copies(known, training[:50], rows[:50])) == 50


def test_even_noise_takes_little_space(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (300, SIZE, SIZE, 3), np.uint8)
    remember(tmp_path, {f"cats/cat_{row:05}.jpg": image for row, image in enumerate(noise)})
    assert Run(tmp_path).fingerprints_file.stat().st_size / 300 < 400


def test_an_older_run_has_no_fingerprints(tmp_path):
    assert leakage.read(Run(tmp_path)) is None


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def _replace_by_text(file: Path) -> None:
    file.write_text("no archive")


def _leave_out(file: Path) -> None:
    with np.load(file) as kept:
        arrays = {name: kept[name] for name in kept.files if name != "prints"}
    np.savez(file, **arrays)


def _lose_one(file: Path) -> None:
    with np.load(file) as kept:
        arrays = dict(kept)
    np.savez(file, **arrays | {"grey": arrays["grey"][1:]})


@pytest.mark.parametrize("damage", [_cut, _replace_by_text, _leave_out, _lose_one, Path.touch])
def test_a_damaged_file_is_named(damage, tmp_path):
    remember(tmp_path, {"a/0": photo(0), "a/1": photo(1)})
    if damage is Path.touch:
        Run(tmp_path).fingerprints_file.unlink()
    damage(Run(tmp_path).fingerprints_file)
    with pytest.raises(PigeonholeError, match=r"fingerprints\.npz: damaged"):
        leakage.read(Run(tmp_path))
