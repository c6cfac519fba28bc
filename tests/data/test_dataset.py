"""DataSet, read_train_sets and the program: batches, labels, sides, statistics, exit statuses."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pigeonhole.data import split
from pigeonhole.data.dataset import DataSet, read_train_sets
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.pictures import grid
from tests.support.drawn_folders import draw_blur, draw_tree

REPOSITORY = Path(__file__).parents[2]
COUNTS = {"犬 собака": 20, "cats": 30, "birds": 10}
CLASSES = ["birds", "cats", "犬 собака"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    return draw_tree(tmp_path_factory.mktemp("pictures"), COUNTS)


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def sets(tree, cache_dir):
    return read_train_sets(tree, 16, cache_dir=cache_dir)


def numbered_set(count: int, seed: int = 0) -> DataSet:
    """Picture i is filled with i, belongs to class i % 3 and is called str(i)."""
    images = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    return DataSet(images, np.arange(count) % 3, [str(i) for i in range(count)], ["a", "b", "c"], seed)


def epoch_in_batches(data: DataSet, batch_size: int) -> list[np.ndarray]:
    batches = []
    done = data.epochs_done
    while data.epochs_done == done:
        batches.append(data.next_batch(batch_size)[2])
    return batches


def epoch_of_names(data: DataSet, batch_size: int) -> list[str]:
    return np.concatenate(epoch_in_batches(data, batch_size)).tolist()


def test_next_batch_returns_images_labels_names_and_classes_that_belong_together():
    images, labels, names, classes = numbered_set(10).next_batch(4)
    assert images.shape == (4, 4, 4, 3) and images.dtype == np.uint8
    assert labels.shape == (4, 3) and labels.dtype == np.float32
    numbers = [int(name) for name in names]
    assert images[:, 0, 0, 0].tolist() == numbers
    np.testing.assert_array_equal(labels, np.eye(3)[np.array(numbers) % 3])
    assert classes.tolist() == ["abc"[number % 3] for number in numbers]


def test_an_epoch_shows_every_picture_once_and_its_last_batch_is_short():
    data = numbered_set(10)
    for epoch in range(3):
        assert data.epochs_done == epoch
        batches = epoch_in_batches(data, 4)
        assert [len(batch) for batch in batches] == [4, 4, 2]
        assert sorted(np.concatenate(batches)) == sorted(map(str, range(10)))


def test_batches_of_changing_size_still_make_whole_epochs():
    data = numbered_set(10)
    names = [name for size in (3, 1, 5, 7) for name in data.next_batch(size)[2]]
    assert data.epochs_done == 1 and sorted(names) == sorted(map(str, range(10)))


def test_a_batch_size_beyond_the_set_gives_the_whole_set():
    data = numbered_set(10)
    for epoch in (1, 2):
        assert len(set(data.next_batch(1000)[2])) == 10
        assert data.epochs_done == epoch


def test_each_epoch_has_its_own_shuffle_that_the_seed_repeats():
    first, again, other = numbered_set(50), numbered_set(50), numbered_set(50, seed=1)
    epochs = [epoch_of_names(first, 8) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert epochs == [epoch_of_names(again, 50) for _ in range(3)]
    assert epochs[0] != epoch_of_names(other, 8)
    assert epochs[2] == again.names[again.order(2)].tolist()  # an epoch can be entered without those before


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_size_below_one_is_refused(batch_size):
    with pytest.raises(ValueError, match=str(batch_size)):
        numbered_set(3).next_batch(batch_size)


def test_a_selection_is_those_pictures_in_that_order():
    part = numbered_set(9).select([7, 1, 4])
    assert part.images[:, 0, 0, 0].tolist() == [7, 1, 4]
    assert part.names.tolist() == ["7", "1", "4"]
    assert part.classes.tolist() == ["b", "b", "b"] and part.class_names == ["a", "b", "c"]


def test_a_selection_can_leave_classes_out_and_renumbers_the_others():
    part = numbered_set(9).select([2, 0, 5], ["c", "a"])
    assert part.label_indices.tolist() == [0, 1, 0] and part.classes.tolist() == ["c", "a", "c"]
    with pytest.raises(KeyError):
        numbered_set(9).select([0, 1], ["a", "c"])


def test_everything_is_both_sides(sets):
    both = sets.everything
    assert both.names.tolist() == [*sets.train.names, *sets.valid.names]
    np.testing.assert_array_equal(both.images[:], np.concatenate([sets.train.images, sets.valid.images]))
    assert both.select([0, 3]).images[:].tolist() == sets.train.images[[0, 3]].tolist()


def test_sets_hold_every_picture_once_with_its_class(tree, sets):
    assert sets.classes == CLASSES
    assert sets.train.num_examples + sets.valid.num_examples == 60
    assert not set(sets.train.names) & set(sets.valid.names)
    for data in (sets.train, sets.valid):
        assert data.images.shape == (data.num_examples, 16, 16, 3)
        assert [name.split("/")[0] for name in data.names] == data.classes.tolist()
        assert [CLASSES[label] for label in data.label_indices] == data.classes.tolist()
        np.testing.assert_array_equal(data.labels, np.eye(3)[data.label_indices])
        assert set(data.classes) == set(CLASSES)
        for name, image in zip(data.names, data.images, strict=True):
            expected = cv2.resize(cv2.imread(str(tree / name)), (16, 16), interpolation=cv2.INTER_AREA)
            np.testing.assert_array_equal(image, expected[..., ::-1])
    assert sets.sides == dict.fromkeys(sets.train.names, "train") | dict.fromkeys(sets.valid.names, "valid")
    assert len(sets.records) == 60 and sets.preflight.found == 60


def test_classes_come_in_the_order_asked_for(tree, cache_dir):
    sets = read_train_sets(tree, 16, ["cats", "birds"], cache_dir=cache_dir)
    assert sets.classes == ["cats", "birds"]
    assert {name.split("/")[0] for name in sets.train.names[sets.train.label_indices == 0]} == {"cats"}
    assert sets.train.num_examples + sets.valid.num_examples == 40


def test_grey_pictures_have_one_channel(tree, cache_dir):
    assert read_train_sets(tree, 16, channels=1, cache_dir=cache_dir).train.images.shape[1:] == (16, 16, 1)


def test_a_fraction_thins_each_class_of_the_training_set_only(tree, cache_dir, sets):
    half = read_train_sets(tree, 16, fraction=0.5, cache_dir=cache_dir)
    again = read_train_sets(tree, 16, fraction=0.5, cache_dir=cache_dir)
    assert half.valid.names.tolist() == sets.valid.names.tolist()
    assert half.train.names.tolist() == again.train.names.tolist()
    assert set(half.train.names) < set(sets.train.names)
    whole, part = (np.bincount(data.label_indices) for data in (sets.train, half.train))
    np.testing.assert_allclose(part, whole / 2, atol=0.5)


def test_a_seed_gives_its_own_split_and_the_same_one_twice(tree, cache_dir, sets):
    same = read_train_sets(tree, 16, cache_dir=cache_dir)
    other = read_train_sets(tree, 16, seed=1, cache_dir=cache_dir)
    assert same.sides == sets.sides != other.sides


def test_an_earlier_split_is_taken_over(tree, cache_dir, tmp_path):
    first = read_train_sets(tree, 16, seed=5, cache_dir=cache_dir)
    split.write_split(tmp_path / "split.csv", first.records, first.sides)
    again = read_train_sets(tree, 16, seed=6, split=tmp_path / "split.csv", cache_dir=cache_dir)
    assert again.sides == first.sides


def test_a_ready_made_split_is_kept(tmp_path, cache_dir):
    draw_tree(tmp_path / "train", {"a": 4, "b": 3})
    draw_tree(tmp_path / "val", {"c": 0, "a": 0, "b": 0})
    for number, name in enumerate(("val/a/x.png", "val/b/y.png", "val/b/z.png")):
        draw_blur(tmp_path / name, 5000 + number)
    sets = read_train_sets(tmp_path, 16, cache_dir=cache_dir)
    assert sets.train.num_examples == 7
    assert sets.valid.names.tolist() == ["val/a/x.png", "val/b/y.png", "val/b/z.png"]
    assert sets.valid.classes.tolist() == ["a", "b", "b"]


def test_pictures_that_cannot_be_used_are_in_no_set(tmp_path, cache_dir):
    draw_tree(tmp_path, {"a": 5, "b": 5})
    (tmp_path / "a" / "empty.png").touch()
    sets = read_train_sets(tmp_path, 16, cache_dir=cache_dir)
    assert sets.preflight.skipped == {"a/empty.png": "empty"}
    assert sets.train.num_examples + sets.valid.num_examples == 10
    assert "a/empty.png" not in sets.sides


@pytest.mark.parametrize(
    ("mistake", "error"),
    [
        ({"train_path": "/no/such/folder"}, UsageError),
        ({"classes": ["cats", "dragons"]}, UsageError),
        ({"validation_size": 1.5}, UsageError),
        ({"fraction": 0}, UsageError),
        ({"image_size": 0}, UsageError),
        ({"channels": 2}, UsageError),
        ({"split": "/no/such/file"}, UsageError),
        ({"cache_dir": "/dev/null/cache"}, PigeonholeError),
    ],
)
def test_mistakes_have_their_own_errors(tree, cache_dir, mistake, error):
    settings = {"train_path": tree, "image_size": 16, "cache_dir": cache_dir} | mistake
    with pytest.raises(error) as raised:
        read_train_sets(**settings)
    assert "\n" not in str(raised.value)


def run(*arguments: str | Path, cache_dir: Path | None = None) -> subprocess.CompletedProcess:
    place = ["--cache-dir", str(cache_dir)] if cache_dir else []
    command = [sys.executable, str(REPOSITORY / "dataset.py"), *map(str, arguments), *place]
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", env=os.environ | {"PYTHONUTF8": "1"}
    )


def test_the_program_prints_the_pre_flight(tree, cache_dir):
    done = run(tree, "--strict", cache_dir=cache_dir)
    assert done.returncode == 0 and done.stderr == ""
    assert "60 files found = 60 used + 0 skipped" in done.stdout
    assert "label counts" not in done.stdout


def test_the_program_takes_a_subset_of_classes(tree, cache_dir):
    report = json.loads(run(tree, "--json", "--classes", "cats,birds", cache_dir=cache_dir).stdout)
    assert [row["class"] for row in report["preflight"]["classes"]] == ["cats", "birds"]


def test_strict_exits_1_when_something_was_skipped(tmp_path, cache_dir):
    draw_tree(tmp_path, {"a": 5, "b": 5})
    (tmp_path / "a" / "broken.png").write_bytes(b"no picture")
    assert run(tmp_path, cache_dir=cache_dir).returncode == 0
    strict = run(tmp_path, "--strict", cache_dir=cache_dir)
    assert strict.returncode == 1
    assert "11 files found = 10 used + 1 skipped" in strict.stdout and "broken.png" in strict.stdout


def test_show_prints_statistics_of_the_set_and_of_n_pictures(tree, cache_dir, sets):
    text = run(tree, "--show", 2, "--image-size", 16, cache_dir=cache_dir).stdout
    order = sets.train.order(0)
    counts = dict(enumerate(np.bincount(sets.train.label_indices).tolist()))
    assert f"training pictures: {sets.train.num_examples}\n  label counts: {counts}\n" in text
    assert f"validation pictures: {sets.valid.num_examples}\n" in text
    assert f"shuffled: {sets.train.label_indices[order[:10]].tolist()}" in text
    assert "0 birds, 1 cats, 2 犬 собака" in text
    assert text.count("shape: (16, 16, 3)") == 2
    for row in order[:2]:
        image = sets.train.images[row]
        assert f": {sets.train.names[row]}\n" in text
        assert f"minimum: {image.min()}  maximum: {image.max()}" in text
        assert f"label: {sets.train.label_indices[row]}  class: {sets.train.classes[row]}" in text


def test_json_holds_the_same_for_programs(tree, cache_dir, sets):
    report = json.loads(run(tree, "--json", "--show", 3, cache_dir=cache_dir).stdout)
    assert report["preflight"] == json.loads(json.dumps(sets.preflight.to_json()))
    assert report["statistics"]["classes"] == CLASSES
    assert [p["name"] for p in report["statistics"]["pictures"]] == sets.train.names[
        sets.train.order(0)[:3]
    ].tolist()


def test_a_grid_is_drawn_with_class_names(tree, cache_dir, sets, tmp_path):
    file = tmp_path / "ґрати.png"
    done = run(tree, "--save-grid", file, "--show", 3, "--image-size", 16, cache_dir=cache_dir)
    assert done.returncode == 0 and str(file) in done.stderr
    drawn = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_COLOR_RGB)
    chosen = sets.train.order(0)[:3]
    np.testing.assert_array_equal(drawn, grid.draw(sets.train.images[chosen], sets.train.classes[chosen]))
    first = drawn[grid.GAP : grid.GAP + 96 : 6, grid.GAP : grid.GAP + 96 : 6]
    np.testing.assert_array_equal(first, sets.train.images[chosen[0]])


def test_a_grid_replaces_no_picture_and_fills_a_pipe(tree, cache_dir, tmp_path):
    picture = next(tree.rglob("*.png"))
    before = picture.read_bytes()
    done = run(tree, "--save-grid", picture, cache_dir=cache_dir)
    assert done.returncode == 2 and "would overwrite a picture" in done.stderr
    assert picture.read_bytes() == before
    if not hasattr(os, "mkfifo"):
        return
    os.mkfifo(tmp_path / "pipe.png")
    reader = subprocess.Popen(["cat", tmp_path / "pipe.png"], stdout=subprocess.PIPE)
    assert run(tree, "--save-grid", tmp_path / "pipe.png", cache_dir=cache_dir).returncode == 0
    assert reader.communicate()[0].startswith(b"\x89PNG") and (tmp_path / "pipe.png").is_fifo()


@pytest.mark.parametrize("caption", ["dog", "собака", "犬", "강아지", "كلب", "ñ ü"])
def test_captions_in_many_scripts_are_drawn_and_not_question_marks(caption):
    images = np.zeros((1, 96, 96, 1), np.uint8)
    drawn, marks, bare = (grid.draw(images, [text]) for text in (caption, "?" * len(caption), ""))
    assert (drawn != marks).any() and (drawn != bare).any()


def test_a_long_caption_stays_under_its_picture():
    images = np.zeros((2, 96, 96, 3), np.uint8)
    drawn = grid.draw(images, ["a very long class name indeed", ""])
    caption = drawn[grid.GAP + 96 : -grid.GAP]
    assert (caption[:, : grid.GAP + 96] < 255).any()
    assert (caption[:, grid.GAP + 96 :] == 255).all()


def test_the_program_leaves_the_folder_as_it_is(tmp_path, cache_dir):
    draw_tree(tmp_path, {"a": 3, "b": 3})
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in tmp_path.rglob("*")}
    assert run(tmp_path, "--show", 1, cache_dir=cache_dir).returncode == 0
    assert before == {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in tmp_path.rglob("*")}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--show", "0"],
        ["--fraction", "2"],
        ["--validation-size", "1"],
        ["--classes", "cats,cats"],
        ["--classes", "dragons,cats"],
        ["--image-size", "-1"],
        ["--channels", "2"],
        ["--save-grid", "grid.gif"],
        ["--save-grid", "/no/such/folder/grid.png"],
        ["--split", "/no/such/file"],
    ],
)
def test_wrong_flags_exit_2_with_one_error_line(tree, cache_dir, arguments):
    done = run(tree, *arguments, cache_dir=cache_dir)
    assert done.returncode == 2 and done.stdout == ""
    error, *where_help_is = done.stderr.splitlines()
    assert error.count(arguments[0]) <= 1
    assert error.startswith("error: ") and [line[:6] for line in where_help_is] in ([], ["help: "])
    assert "Traceback" not in done.stderr


def test_no_cache_writes_nowhere_else(tree, tmp_path):
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "xdg"), "TMPDIR": str(tmp_path)}
    command = [sys.executable, str(REPOSITORY / "dataset.py"), str(tree), "--no-cache"]
    assert subprocess.run(command, env=environment, capture_output=True).returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_help_imports_neither_tensorflow_nor_opencv():
    command = [sys.executable, "-X", "importtime", str(REPOSITORY / "dataset.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "--save-grid" in done.stdout
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert not imported & {"tensorflow", "cv2", "sklearn", "scipy", "matplotlib"}


@pytest.mark.parametrize("seed", range(4))
def test_copies_of_one_picture_alone_are_refused_in_one_line(tmp_path, seed):
    draw_tree(tmp_path, {"a": 1})
    (tmp_path / "b").mkdir()
    for number in range(9):
        for name in "ab":
            shutil.copy(tmp_path / "a" / "000.png", tmp_path / name / f"copy {number}.png")
    sets = read_train_sets(tmp_path, 8, seed=seed, no_cache=True)
    with pytest.raises(
        PigeonholeError, match=r"no picture is left to (learn a, b from|validate with): copies"
    ):
        sets.require_trainable()


def test_labels_of_thousands_of_classes_take_no_square_of_their_number():
    data = DataSet(
        np.zeros((2, 1, 1, 3), np.uint8), [3, 99_999], ["x", "y"], [str(k) for k in range(100_000)]
    )
    assert data.labels.shape == (2, 100_000) and data.labels.argmax(axis=1).tolist() == [3, 99_999]


def test_next_batch_gives_what_other_training_loops_take():
    pixels = np.random.default_rng(3).integers(0, 256, (4, 2, 2, 3), np.uint8)

    def batch(**how) -> np.ndarray:
        return DataSet(pixels, [0, 1, 0, 1], list("abcd"), ["x", "y"]).next_batch(4, **how)[0]

    usual, other = batch(), batch(scale="0..1", order="bgr")
    assert usual.dtype == np.uint8 and other.dtype == np.float32
    np.testing.assert_allclose(other[..., ::-1] * 255, usual, rtol=1e-6)
    np.testing.assert_array_equal(batch(order="bgr"), usual[..., ::-1])
    with pytest.raises(ValueError, match=r"not '0\.\.2' and 'rgb'"):
        batch(scale="0..2")
