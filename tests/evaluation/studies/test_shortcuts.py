"""The shortcut check on planted shortcuts, on none, and that its figures are what it says they are."""

import functools
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import PredefinedSplit, cross_val_predict

from pigeonhole.data.cache import Cache
from pigeonhole.data.folders import Entry, Record, scan
from pigeonhole.evaluation.studies import clues, shortcuts
from pigeonhole.evaluation.studies.clues import BORDER, CAMERA, COLOUR, FILE_SIZE, FORMAT, SHAPE
from pigeonhole.evaluation.studies.shortcuts import ShortcutCheck
from pigeonhole.pictures import images

SIZE = 32
BLANK = np.zeros((4000, 4, 4, 1), np.uint8)  # pictures that tell nothing, where it is about their files
ROOT = Path(__file__).parents[3]
DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(autouse=True)
def few_trees(request, monkeypatch):
    """A third of the trees finds what is planted, too. The slow tests have all."""
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setattr(shortcuts, "TREES", 8)


@functools.cache
def drawn(count: int, num_classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [count, 32, 32, 3] and labels: random blotches, and in the middle a bar turned by class.

    In four of ten the bar is turned at random, as there are hard pictures in any set.
    """
    random = np.random.default_rng(seed)
    labels = np.arange(count) % num_classes
    turned = np.where(random.random(count) < 0.6, labels, random.integers(0, num_classes, count))
    pictures = np.empty((count, SIZE, SIZE, 3), np.uint8)
    for picture, turn in zip(pictures, turned, strict=True):
        coarse = random.integers(0, 256, (4, 4, 3), np.uint8)
        picture[...] = cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
        angle = np.pi * turn / num_classes
        reach = 6 * np.array([np.cos(angle), np.sin(angle)])
        ends = [tuple(map(int, SIZE / 2 + sign * reach)) for sign in (1, -1)]
        cv2.line(picture, *ends, tuple(map(int, random.integers(0, 256, 3))), 3)
    return pictures, labels


def records_of(count: int, random: np.random.Generator | None = None, **facts) -> list[Record]:
    """Records of files that are not there, of random sizes; `facts` are values for all or lists."""
    sizes = (random or np.random.default_rng(9)).integers(2000, 3000, count)
    usual = {"file_size": sizes, "width": SIZE, "height": SIZE, "format": "png"} | facts
    return [
        Record(
            Entry(Path("nowhere"), f"{row}.png", "any"),
            **{name: value if np.ndim(value) == 0 else value[row] for name, value in usual.items()},
        )
        for row in range(count)
    ]


def framed(pictures: np.ndarray, width: int, colour: int = 255) -> np.ndarray:
    frame = np.full_like(pictures, colour)
    frame[:, width:-width, width:-width] = pictures[:, width:-width, width:-width]
    return frame


def check(pictures, labels, records=None, **options) -> ShortcutCheck:
    classes = [f"class {label}" for label in range(labels.max() + 1)]
    return shortcuts.check(records or records_of(len(labels)), pictures, labels, classes, **options)


def firing(found: ShortcutCheck) -> list[str]:
    return [finding.kind for finding in found.findings if finding.fires]


def by_feature(found: ShortcutCheck) -> dict[str, float]:
    """Kind of feature -> the share of pictures whose class it tells alone."""
    return {finding.kind: finding.overall.accuracy for finding in found.findings}


def question(found: ShortcutCheck, kind: str, class_name: str | None = None) -> shortcuts.Question:
    finding = next(finding for finding in found.findings if finding.kind == kind)
    return next(asked for asked in (finding.overall, *finding.classes) if asked.class_name == class_name)


def survey(root: Path, image_size: int = SIZE) -> ShortcutCheck:
    """The check of a real folder of class folders."""
    tree = scan(root)
    records, pixels = Cache(None).survey(tree, images.Preprocessing(image_size), progress=False)
    labels = [tree.classes.index(record.entry.class_name) for record in records]
    return shortcuts.check(records, pixels, labels, tree.classes)


def write_jpegs(root: Path, count: int, encoding_of) -> Path:
    """`count` JPEG files of two classes; `encoding_of(label)` gives what Pillow is told for each."""
    for row, (picture, label) in enumerate(zip(*drawn(count, 2), strict=True)):
        folder = root / "ab"[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{row}.jpg", **encoding_of(label))
    return root


@pytest.mark.parametrize("num_classes", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_silent_where_only_the_object_tells_the_classes(num_classes):
    found = check(*drawn(300, num_classes))
    assert not found.fires and firing(found) == []
    assert found.majority == pytest.approx(1 / num_classes)
    assert by_feature(found).keys() == {FILE_SIZE, BORDER, COLOUR}
    assert all(abs(accuracy - found.majority) < 0.15 for accuracy in by_feature(found).values())
    assert found.lines()[0].startswith("Shortcuts: no shortcut found; ")


@pytest.mark.parametrize("width", [3, *(pytest.param(width, marks=pytest.mark.slow) for width in (1, 7))])
def test_a_white_border_on_one_of_two_classes(width):
    pictures, labels = drawn(300, 2)
    pictures = np.where((labels == 1)[:, None, None, None], framed(pictures, width), pictures)
    found = check(pictures, labels)
    assert BORDER in firing(found) and set(firing(found)) <= {BORDER, COLOUR}
    assert by_feature(found)[BORDER] == 1
    assert 0.6 < question(found, BORDER).expected < 0.85
    only_by_border = round(300 * (1 - question(found, BORDER).expected))
    assert question(found, BORDER).p_value == pytest.approx(2 * 0.5**only_by_border, rel=1e-6, abs=0)
    line = found.lines()[0]
    assert line.startswith("From the border pixels alone the class can be guessed in ")
    assert line.endswith("would get 50 %): the network may learn the border instead.")


def test_a_border_on_one_of_ten_classes_is_found_and_the_class_named():
    pictures, labels = drawn(600, 10)
    pictures = np.where((labels == 6)[:, None, None, None], framed(pictures, 2), pictures)
    found = check(pictures, labels)
    assert firing(found) == [BORDER]
    fired = [asked.class_name for finding in found.findings for asked in finding.classes if asked.fires]
    assert fired == ["class 6"]
    accuracy = question(found, BORDER, "class 6").accuracy
    assert accuracy > 0.98
    told = f"'class 6' can be told from the other classes in {100 * accuracy:.0f} % of pictures"
    assert any(told in line for line in found.lines())


def test_of_many_classes_the_first_are_named():
    labels = np.arange(960) % 24
    pictures = np.zeros((960, 4, 4, 1), np.uint8)
    found = check(pictures, labels, records_of(960, width=np.where(labels < 8, 40, 30)))
    assert not question(found, SHAPE).fires
    finding = next(finding for finding in found.findings if finding.kind == SHAPE)
    fired = [asked for asked in finding.classes if asked.fires]
    assert {f"class {label}" for label in range(8)} <= {asked.class_name for asked in fired}
    best = max(fired, key=lambda asked: asked.accuracy)
    warning = next(line for line in found.warnings() if SHAPE in line)
    named, likewise = warning.split(", and likewise ")
    assert f"{best.class_name!r} can be told from the other classes in {100 * best.accuracy:.0f} %" in named
    assert likewise.count("'class ") == shortcuts.NAMED
    assert f" and {len(fired) - 6} more: the network may learn how much they are squashed" in likewise


@pytest.mark.slow
def test_a_border_on_a_rare_class():
    pictures, labels = drawn(400, 20)
    labels = (labels != 3).astype(int)
    pictures = np.where((labels == 0)[:, None, None, None], framed(pictures, 2), pictures)
    found = check(pictures, labels)
    assert not question(found, BORDER).fires  # 5 points above always answering with the other class
    assert firing(found) == [BORDER]
    assert "'class 0' can be told from the other" in found.lines()[0]
    assert found.majority == 0.95 and "(always 'class 1': 95 %)" in found.lines()[1]


def test_dark_bars_above_and_below_are_a_border_too():
    pictures, labels = drawn(300, 2)
    pictures = pictures.copy()
    pictures[labels == 0, :4] = pictures[labels == 0, -4:] = 0
    assert BORDER in firing(check(pictures, labels))


def test_what_the_picture_itself_explains_is_no_shortcut():
    pictures, labels = drawn(300, 2)
    pictures = np.where((labels == 1)[:, None, None, None], pictures // 4, pictures)
    sizes = [len(cv2.imencode(".jpg", picture)[1]) for picture in pictures]
    found = check(pictures, labels, records_of(300, file_size=sizes))
    assert by_feature(found)[BORDER] > 0.8 and by_feature(found)[FILE_SIZE] > 0.8
    assert not {BORDER, FILE_SIZE} & set(firing(found))


def test_the_light_is_told_only_where_it_leaves_next_to_nothing():
    pictures, labels = drawn(300, 2)
    blue = np.zeros(3, int)
    for shift, fires in ((8, False), (160, True)):
        blue[2] = shift
        tinted = (pictures // 3 + labels[:, None, None, None] * blue).astype(np.uint8)
        found = check(tinted, labels)
        assert by_feature(found)[COLOUR] > 0.6
        assert question(found, COLOUR).fires == fires
    assert any("the network may learn the light or the background" in line for line in found.lines())


def test_a_camera_for_each_class(tmp_path):
    def encoding_of(label):
        exif = Image.Exif()
        exif[0x010F], exif[0x0110] = ("Nikon", "D90") if label else ("Canon", "Canon EOS")
        return {"exif": exif, "quality": 90}

    found = survey(write_jpegs(tmp_path, 120, encoding_of))
    assert firing(found) == [CAMERA]
    assert by_feature(found)[CAMERA] == 1
    assert "From the camera alone the class can be guessed in 100 % of pictures" in found.lines()[0]


def test_a_quality_for_each_class(tmp_path):
    found = survey(write_jpegs(tmp_path, 200, lambda label: {"quality": 95 if label else 60}))
    assert firing(found) == [FILE_SIZE]
    assert by_feature(found)[FILE_SIZE] > 0.95
    assert found.left_out == dict.fromkeys((CAMERA, FORMAT, SHAPE), "the same in all pictures")


@pytest.mark.parametrize(("fact", "values"), [("format", ["png", "jpeg"]), ("oddities", [("grey",), ()])])
def test_a_format_for_each_class(fact, values):
    labels = np.arange(200) % 2
    records = [
        replace(record, **{fact: values[label]})
        for record, label in zip(records_of(200), labels, strict=True)
    ]
    assert firing(check(BLANK[:200], labels, records)) == [FORMAT]


def test_a_size_for_each_class():
    labels, random = np.arange(200) % 2, np.random.default_rng(1)
    wide = random.integers(300, 500, 200)
    records = records_of(200, width=wide, height=np.where(labels, wide * 3 // 4, wide))
    assert SHAPE in firing(check(BLANK[:200], labels, records))
    assert SHAPE not in firing(check(BLANK[:200], random.permutation(labels), records))


@functools.cache
def landscape_share(share: float, count: int) -> ShortcutCheck:
    """Two classes of `count`; that share of the one is wider than high, and of the other the rest."""
    labels = np.repeat([0, 1], count)
    wide = np.tile(np.arange(count) < round(share * count), 2) ^ (labels == 1)
    pictures = np.zeros((2 * count, 4, 4, 1), np.uint8)
    return check(pictures, labels, records_of(2 * count, width=np.where(wide, 40, 30), height=30))


@pytest.mark.parametrize(
    ("share", "count", "fires"), [(0.62, 1000, True), (0.58, 1000, False), (0.8, 8, False)]
)
def test_ten_points_and_one_in_a_hundred(share, count, fires):
    assert question(landscape_share(share, count), SHAPE).fires == fires


def test_the_figures_are_those_of_the_exact_test():
    asked = question(landscape_share(0.8, 100), SHAPE)
    assert asked.accuracy == 0.8
    assert asked.expected == 0.5
    by_chance = binomtest(160, 200, 0.5, alternative="greater").pvalue
    assert asked.p_value == pytest.approx(2 * by_chance, rel=1e-6, abs=0)
    assert asked.fires


def test_one_class_is_tried_among_as_many_others():
    labels = np.arange(1000) % 10
    wide = (labels == 0) & (np.arange(1000) < 600)
    records = records_of(1000, width=np.where(wide, 40, 30))
    asked = question(check(np.zeros((1000, 4, 4, 1), np.uint8), labels, records), SHAPE, "class 0")
    assert asked.accuracy == pytest.approx(0.8, abs=0.01)  # of 100, 60 are told, and of 100 others all
    assert asked.expected == 0.5


def test_all_features_together():
    found = landscape_share(0.8, 100)
    assert 0.7 < found.accuracy <= 0.85
    right = round(found.accuracy * 200)
    by_chance = binomtest(right, 200, 0.5, alternative="greater").pvalue
    assert found.p_value == pytest.approx(by_chance, rel=1e-6, abs=0)
    assert found.left_out.keys() == {BORDER, CAMERA, COLOUR, FORMAT}


def test_copies_do_not_vouch_for_each_other():
    groups = np.repeat(np.arange(40), 12)
    random = np.random.default_rng(0)
    labels, widths = random.integers(0, 2, 40)[groups], random.integers(30, 9000, 40)[groups]
    pictures = np.zeros((480, 4, 4, 1), np.uint8)
    records = records_of(480, width=widths)
    assert by_feature(check(pictures, labels, records))[SHAPE] > 0.9
    assert by_feature(check(pictures, labels, records, groups=groups))[SHAPE] < 0.7


def test_a_large_set_is_sampled_in_proportion():
    labels = np.repeat([0, 1, 2], [9000, 2990, 10])
    looked_at = []

    class Pictures:
        def __getitem__(self, rows):
            looked_at.extend(rows)
            return BLANK[: len(rows)]

    found = check(Pictures(), labels, records_of(12_000))
    assert found.pictures == len(looked_at) == len(set(looked_at)) == 4000
    assert np.bincount(labels[looked_at]).tolist() == [3000, 997, 3]
    assert found.majority == 0.75


def test_very_few_pictures_fire_nothing():
    pictures, labels = drawn(4, 2)
    found = check(framed(pictures, 3), labels)
    assert not found.fires
    assert found.pictures == 4


def test_the_trees_are_those_of_scikit_learn():
    random = np.random.default_rng(0)
    labels, features = np.arange(60) % 3, random.normal(size=(60, 4))
    labels[7] = 9  # the only one of its class
    model = shortcuts._Model(labels, np.arange(60), seed=1)
    forest = ExtraTreesClassifier(shortcuts.TREES, min_samples_leaf=5, random_state=1)
    folds = PredefinedSplit(model._fold_of)
    with pytest.warns(RuntimeWarning, match="Number of classes in training fold"):
        expected = cross_val_predict(forest, features, labels, cv=folds, method="predict_proba")
    assert np.array_equal(model.probabilities(features), expected)


def test_copies_of_a_single_picture_tell_nothing():
    model = shortcuts._Model(np.arange(6) % 2, np.zeros(6, int), seed=0)
    assert not model.probabilities(np.arange(6.0)[:, None]).any()


@pytest.mark.parametrize(("side", "channels"), [(1, 1), (9, 3), (28, 1)])
def test_the_clues_are_what_they_say(side, channels):
    pictures = np.random.default_rng(0).integers(0, 256, (3, side, side, channels), np.uint8)
    pictures[0] = 77  # a picture of one colour has no contrast at all
    border, middle, colour, detail = clues._measured(pictures, np.arange(3))
    top, inset = pictures[:, 0], side // 4
    assert np.allclose(border[:, : 2 * channels], np.concatenate([top.mean(1), top.std(1)], axis=1))
    width = max(1, (side - 2 * inset) // clues.CELLS)
    cell = pictures[:, inset : inset + width, inset : inset + width]
    assert np.allclose(middle[:, :channels], cell.mean(axis=(1, 2)))
    assert np.allclose(colour, pictures.mean(axis=(1, 2)))
    assert not detail[0].any() and (detail[1:].all() or side == 1)
    even = pictures[:, : side // 2 * 2, : side // 2 * 2].mean(axis=3)
    half = even.reshape(3, side // 2, 2, side // 2, 2).mean(axis=(2, 4))
    assert np.allclose(detail[:, 1], np.abs(np.diff(half, axis=1)).sum(axis=(1, 2)))


def test_it_repeats():
    assert check(*drawn(60, 2)) == check(*drawn(60, 2))


@pytest.mark.slow
def test_silent_on_the_sample_of_digits():
    found = survey(ROOT / "training_data")
    assert not found.fires, found.lines()


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "dogs_cats").exists(), reason="the dogs and cats are not here")
def test_silent_on_dogs_and_cats():
    found = survey(DATA / "dogs_cats" / "training_data", 64)
    assert not found.fires, found.lines()
    assert by_feature(found)[BORDER] < 0.65


def test_of_thousands_of_classes_the_largest_are_looked_at():
    labels = np.concatenate([np.repeat(np.arange(5000), 2), np.repeat(np.arange(400), 3)])
    rows = shortcuts._sample(labels, 0)
    present = np.unique(labels[rows])
    assert len(present) == shortcuts.MOST_CLASSES and set(range(400)) <= set(present)
    assert len(rows) <= shortcuts.MOST_PICTURES
