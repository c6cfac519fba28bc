"""The bundled digits: what they are, that they can be written again, and are told from a user's own."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from pigeonhole.data.sources import sample
from pigeonhole.pictures import images
from tools import make_sample

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folders of training and testing digits, as the program writes them now."""
    place = tmp_path_factory.mktemp("sample")
    make_sample.main(["--train-dir", str(place / "train"), "--test-dir", str(place / "test")])
    return place / "train", place / "test"


@pytest.fixture
def digits(written, tmp_path):
    """A copy of the testing digits."""
    return Path(shutil.copytree(written[1], tmp_path / "digits"))


def pictures(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}


def test_every_scan_once_under_its_own_class(written):
    scans, labels = load_digits(return_X_y=True)
    train, test = map(pictures, written)
    numbers = {name[8:12]: name[0] for name in {**train, **test}}
    assert len(train) + len(test) == len(numbers) == len(scans) == 1797
    assert all(labels[int(number) - 1] == int(digit) for number, digit in numbers.items())
    assert sorted(path.name for path in written[0].iterdir()) == list(sample.CLASSES)


def test_no_picture_in_both_and_one_in_five_for_testing(written):
    train, test = map(pictures, written)
    assert len(set(train.values())) == len(train)
    assert not set(train.values()) & set(test.values())
    for digit in sample.CLASSES:
        counts = [sum(name.startswith(digit) for name in names) for names in (train, test)]
        assert counts[1] == round(0.2 * sum(counts))


def test_the_scan_is_in_the_picture(written):
    scans = load_digits().images
    for name, data in list(pictures(written[1]).items())[::40]:
        picture, scan = images.decode(data), scans[int(name[8:12]) - 1]
        assert picture.shape == (32, 32, 3)
        means = picture[..., 0].reshape(8, 4, 8, 4).mean(axis=(1, 3)) / 255 * 16
        assert np.corrcoef(means.ravel(), scan.ravel())[0, 1] > 0.97


def test_enlarging_keeps_what_is_flat_and_what_is_linear():
    assert (make_sample.enlarge(np.full((8, 8), 16.0)) == 255).all()
    ramp = make_sample.enlarge(np.tile(np.arange(8.0), (8, 1)))
    inner = ramp[16, 6:-6].astype(int)
    assert abs(np.diff(inner) - 255 / 16 / 4).max() < 1


def test_the_committed_sample_is_what_the_program_writes(written):
    for committed, again in zip((ROOT / "training_data", ROOT / "testing_data"), written, strict=True):
        if not sample.is_untouched(committed):
            pytest.skip(f"{committed} holds other pictures now")
        committed, again = pictures(committed), pictures(again)
        assert committed.keys() == again.keys()
        for name, data in committed.items():
            np.testing.assert_array_equal(images.decode(data), images.decode(again[name]))


def test_the_written_sample_is_recognised(written):
    assert all(map(sample.is_untouched, written))
    assert not any(map(sample.warning, written))


def test_the_systems_own_files_do_not_count(digits):
    (digits / ".DS_Store").write_bytes(b"finder")
    (digits / "3" / "Thumbs.db").write_bytes(b"explorer")
    (digits / ".ipynb_checkpoints").mkdir()
    (digits / ".ipynb_checkpoints" / "note.txt").write_text("jupyter")
    assert sample.is_untouched(digits)


def change_a_byte(folder):
    path = next((folder / "4").iterdir())
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def swap_two_names(folder):
    first, second = sorted((folder / "4").iterdir())[:2]
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    first.write_bytes(contents[1])


TOUCHES = {
    "changed": change_a_byte,
    "swapped": swap_two_names,
    "picture added": lambda folder: (folder / "4" / "mine.png").write_bytes(b"mine"),
    "picture added under a name like ours": lambda folder: (folder / "4" / "digit_9999.png").write_bytes(
        b"mine"
    ),
    "picture gone": lambda folder: next((folder / "4").iterdir()).unlink(),
    "class gone": lambda folder: shutil.rmtree(folder / "4"),
    "class renamed": lambda folder: (folder / "4").rename(folder / "four"),
    "class added": lambda folder: (folder / "cat").mkdir(),
    "file beside the classes": lambda folder: (folder / "notes.txt").write_text("mine"),
    "moved to another class": lambda folder: next((folder / "4").iterdir()).rename(
        folder / "5" / "digit_0000.png"
    ),
}


@pytest.mark.parametrize("touch", TOUCHES)
def test_a_touched_sample_is_the_users(digits, touch):
    TOUCHES[touch](digits)
    assert not sample.is_untouched(digits)


def test_an_empty_folder_is_not_the_sample(tmp_path):
    assert not sample.is_untouched(tmp_path)


def test_take_away_leaves_an_empty_folder(digits):
    count = len(pictures(digits))
    assert sample.take_away(digits) == count > 300
    assert not list(digits.iterdir())


def test_take_away_leaves_the_systems_files(digits):
    (digits / "3" / ".DS_Store").write_bytes(b"finder")
    sample.take_away(digits)
    assert [path.relative_to(digits).as_posix() for path in digits.rglob("*")] == ["3", "3/.DS_Store"]


def test_own_classes_beside_the_digits_get_a_warning(digits):
    for name in ("cat", "dog"):
        (digits / name).mkdir()
    line = sample.warning(digits)
    assert "(0 1 2 3 4 5 6 7 8 9)" in line
    assert "cat, dog" in line
    assert "\n" not in line
    for digit in "012345678":
        shutil.rmtree(digits / digit)
    assert "(9)" in sample.warning(digits)
    shutil.rmtree(digits / "9")
    assert sample.warning(digits) is None


def test_the_users_own_digits_get_no_warning(tmp_path):
    for name in ("0", "1", "cat"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train_00001.png").write_bytes(b"mine")
    assert sample.warning(tmp_path) is None


def test_the_sample_is_not_written_over_other_classes(tmp_path, capsys):
    (tmp_path / "train" / "cat").mkdir(parents=True)
    with pytest.raises(Exception, match="cat"):
        make_sample.main(["--train-dir", str(tmp_path / "train"), "--test-dir", str(tmp_path / "test")])
    assert not (tmp_path / "test").exists()
