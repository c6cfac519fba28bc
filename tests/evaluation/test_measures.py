"""Every figure of an evaluation against values worked out by hand."""

import json

import cv2
import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import binomtest

from pigeonhole.data.cache import Cache
from pigeonhole.data.folders import scan
from pigeonhole.errors import PigeonholeError
from pigeonhole.evaluation.measures import Measures, measure, nearest_thumbnail
from pigeonhole.pictures.images import Preprocessing
from pigeonhole.statistics import accuracy_line, wilson_interval
from pigeonhole.terminal import width
from tests.support.made_answers import ANSWERS, LABELS, evaluation


def test_accuracy_and_its_interval():
    found = measure(evaluation())
    assert (found.right, found.total, found.accuracy) == (6, 10, 0.6)
    assert found.interval == wilson_interval(6, 10)


def test_confusion_has_a_row_for_each_true_class():
    assert measure(evaluation()).confusion.tolist() == [[3, 1, 1], [1, 2, 1], [0, 0, 1]]


def test_precision_recall_and_f1_of_each_class():
    cat, dog, summer = measure(evaluation()).classes
    assert (cat.name, cat.support, cat.predicted) == ("cat", 5, 4)
    assert (cat.precision, cat.recall, cat.f1) == (
        pytest.approx(3 / 4),
        pytest.approx(3 / 5),
        pytest.approx(6 / 9),
    )
    assert (dog.precision, dog.recall, dog.f1) == (
        pytest.approx(2 / 3),
        pytest.approx(2 / 4),
        pytest.approx(4 / 7),
    )
    assert (summer.precision, summer.recall, summer.f1) == (pytest.approx(1 / 3), 1, pytest.approx(2 / 4))


def test_intervals_of_each_class():
    cat = measure(evaluation()).classes[0]
    assert cat.precision_interval == wilson_interval(3, 4)
    assert cat.recall_interval == wilson_interval(3, 5)
    # 6 pictures are cats or are taken for one, 3 of them both.
    low, high = binomtest(3, 6).proportion_ci(0.95, method="wilson")
    assert cat.f1_interval == pytest.approx((2 * low / (1 + low), 2 * high / (1 + high)))


def test_the_interval_of_f1_holds_it_in_19_of_20():
    random = np.random.default_rng(0)
    joint = np.array([0.12, 0.05, 0.08, 0.75])  # hit, missed, false alarm, neither
    true = 2 * joint[0] / (2 * joint[0] + joint[1] + joint[2])
    held = []
    for hit, missed, false, neither in random.multinomial(120, joint, size=60):
        labels = [1] * (hit + missed) + [0] * (false + neither)
        answers = [1] * hit + [0] * missed + [1] * false + [0] * neither
        low, high = measure(evaluation(labels, answers, ("no", "yes"))).classes[1].f1_interval
        held.append(low <= true <= high)
    assert 0.88 <= np.mean(held) < 1


def test_what_no_picture_tells_is_none_and_not_zero():
    found = measure(evaluation(labels=[0, 0, 1], answers=[0, 1, 1], classes=("a", "b", "c", "d")))
    absent = found.classes[2]
    assert (absent.support, absent.predicted) == (0, 0)
    assert {absent.precision, absent.recall, absent.f1} == {None}
    assert {absent.precision_interval, absent.recall_interval, absent.f1_interval} == {None}


def test_a_class_that_is_never_answered_has_recall_but_no_precision():
    found = measure(evaluation(labels=[0, 1, 1], answers=[0, 0, 0], classes=("a", "b"))).classes[1]
    assert (found.precision, found.precision_interval) == (None, None)
    assert (found.recall, found.f1) == (0, 0)
    assert found.recall_interval == wilson_interval(0, 2)


def test_a_class_without_pictures_is_not_judged_by_the_answers_that_name_it():
    found = measure(evaluation(labels=[0, 0, 0], answers=[0, 1, 1], classes=("a", "b"))).classes[1]
    assert (found.support, found.predicted) == (0, 2)
    assert {found.precision, found.recall, found.f1} == {None}
    assert {found.precision_interval, found.recall_interval, found.f1_interval} == {None}


def test_top_k_counts_the_second_best_too():
    # Each answer's successor comes second: that is right for a cat called "été 北" and a dog called a cat.
    assert measure(evaluation()).top_k == {1: 0.6, 2: 0.8}


def test_top_k_stays_below_the_number_of_classes():
    seven = tuple("abcdefg")
    assert list(measure(evaluation(LABELS, ANSWERS, seven)).top_k) == [1, 2, 3, 5]
    assert list(measure(evaluation([0, 1], [0, 0], ("a", "b"))).top_k) == [1]


def test_of_equal_logits_top_1_is_the_accuracy():
    equal = evaluation()
    equal.logits[:] = 0
    found = measure(equal)
    assert found.top_k[1] == found.accuracy == 0.5  # the five cats


def test_the_majority_is_that_of_the_pictures():
    assert measure(evaluation()).majority == ("cat", 0.5)


def test_calibration_before_and_after_scaling():
    found = measure(evaluation(temperature=2.0))
    raw, scaled = (softmax(np.array([3.0, 1.0, 0.0]) / t).max() for t in (1, 2))
    assert found.ece_raw == pytest.approx(raw - 0.6, abs=1e-6)
    assert found.ece_calibrated == pytest.approx(abs(scaled - 0.6), abs=1e-6)
    for bins, confidence in ((found.reliability_raw, raw), (found.reliability_calibrated, scaled)):
        (filled,) = [each for each in bins if each.count]
        assert (filled.count, filled.accuracy) == (10, pytest.approx(0.6))
        assert filled.confidence == pytest.approx(confidence)


def test_the_share_of_unsure_answers_and_the_accuracy_of_the_others():
    found = measure(evaluation(unsure=[3, 4, 0]))
    assert found.unsure == pytest.approx(0.3)
    assert found.accuracy_of_sure == pytest.approx(5 / 7)


def test_nothing_is_said_of_sure_answers_where_there_are_none():
    found = measure(evaluation(unsure=list(range(10))))
    assert (found.unsure, found.accuracy_of_sure) == (1, None)


def test_torn_answers_are_told_apart_from_unsure_ones():
    close = evaluation(margin=0.5, unsure=[3, 4, 0])  # odds of e^0.5, 1.6 to 1
    found = measure(close)
    assert found.torn == pytest.approx(0.7) and found.accuracy_of_torn == pytest.approx(5 / 7)
    assert "torn        70.0 % between two classes; 71.4 % of these are right" in found.summary()
    clear = measure(evaluation(margin=2.0))
    assert (clear.torn, clear.accuracy_of_torn) == (0, None)
    assert not any(line.startswith("torn") for line in clear.summary())


def test_no_picture_is_an_error_that_names_the_folder():
    with pytest.raises(PigeonholeError, match="somewhere: no picture"):
        measure(evaluation([], []))


def test_the_figures_are_plain_numbers():
    found = measure(evaluation())
    plain = [
        found.right,
        found.accuracy,
        found.interval,
        found.top_k,
        found.majority,
        found.ece_raw,
        found.unsure,
    ]
    plain += [vars(each) for each in found.classes]
    assert json.loads(json.dumps(plain))[0] == 6


# The nearest thumbnail


def stripes(count: int, size: int, upright: bool, seed: int, channels: int = 3) -> np.ndarray:
    """uint8 [count, size, size, channels]: halves of black and white, with noise."""
    images = np.zeros((count, size, size, channels), np.int64)
    images[:, :, size // 2 :] = 200
    if not upright:
        images = images.swapaxes(1, 2)
    return (images + np.random.default_rng(seed).integers(0, 55, images.shape)).astype(np.uint8)


@pytest.mark.parametrize("size, channels", [(32, 3), (28, 1), (37, 3), (5, 3), (1, 1)])
def test_the_nearest_thumbnail_tells_coarse_shapes(size, channels):
    labels = np.repeat([0, 1], 20)
    train, test = (
        np.concatenate([stripes(20, size, upright, seed + upright, channels) for upright in (True, False)])
        for seed in (0, 10)
    )
    share = nearest_thumbnail(train, labels, test, labels)
    assert share == 1 if size > 1 else 0 <= share <= 1


def test_the_nearest_thumbnail_sees_the_mean_of_a_block_and_not_one_pixel():
    """Fine chequers have the mean of an even grey: they are taken for it, not for black."""
    chequers = np.indices((1, 64, 64, 3)).sum(axis=0) % 2 * 254
    even = np.full((1, 64, 64, 3), 127)
    black = np.zeros((1, 64, 64, 3), int)
    train = np.concatenate([even, black]).astype(np.uint8)
    assert nearest_thumbnail(train, np.array([0, 1]), chequers.astype(np.uint8), np.array([0])) == 1


def test_the_sum_over_a_bright_block_does_not_wrap_around():
    train = np.stack([np.full((32, 32, 3), value, np.uint8) for value in (0, 120)])
    asked = np.full((1, 32, 32, 3), 128, np.uint8)  # four rows of it sum to 512, which is 0 in eight bits
    assert nearest_thumbnail(train, np.array([0, 1]), asked, np.array([1])) == 1


def test_of_a_side_that_eight_does_not_divide_every_pixel_counts():
    """A white line in the last column only, of a picture 15 pixels wide."""
    line = np.zeros((1, 15, 15, 1), np.uint8)
    line[:, :, -1] = 255
    grey = np.zeros_like(line)
    grey[:, :, -2:] = 128
    black = np.zeros_like(line)
    assert nearest_thumbnail(np.concatenate([grey, black]), np.array([0, 1]), line, np.array([0])) == 1


def test_the_nearest_thumbnail_of_a_wrong_label_is_wrong():
    images = np.stack([np.full((8, 8, 3), value, np.uint8) for value in (0, 100, 200)])
    assert nearest_thumbnail(images, np.array([0, 1, 2]), images + 5, np.array([0, 2, 2])) == pytest.approx(
        2 / 3
    )


def test_of_many_training_pictures_a_sample_is_compared():
    """Of 25,000 training pictures the very one that is asked about is often not among those compared."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (25_000, 4, 4, 1), dtype=np.uint8)
    labels = np.arange(25_000)
    first = nearest_thumbnail(images, labels, images[:500], labels[:500])
    assert 0.3 < first < 0.5
    assert nearest_thumbnail(images, labels, images[:500], labels[:500]) == first


def test_the_nearest_thumbnail_reads_pictures_on_disk(tmp_path):
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(3):
            content = cv2.imencode(".png", random.integers(0, 256, (20, 24, 3), np.uint8))[1].tobytes()
            (tmp_path / "data" / name / f"{number}.png").write_bytes(content)
    cache = Cache(tmp_path / "cache")
    records, pixels = cache.survey(scan(tmp_path / "data"), Preprocessing(16), progress=False)
    labels = np.array([record.entry.class_name == "b" for record in records]).astype(int)
    assert nearest_thumbnail(pixels, labels, pixels, labels) == 1
    assert nearest_thumbnail(pixels, 1 - labels, pixels[:], labels) == 0


# The text


def text(found: Measures) -> str:
    return "\n".join(found.lines())


def test_the_lines_state_the_figures():
    said = text(measure(evaluation(temperature=2.0, unsure=[3, 4, 0]), nearest_thumbnail=0.341))
    assert accuracy_line(6, 10) in said
    assert "always answering 'cat' would get 50.0 %" in said
    assert "thumbnail would get 34.1 %" in said
    assert "the right class is among the first 2: 80.0 %" in said
    raw, scaled = (softmax(np.array([3.0, 1.0, 0.0]) / t).max() for t in (1, 2))
    assert f"differs from accuracy by {100 * abs(scaled - 0.6):.1f} %" in said
    assert f"{100 * (raw - 0.6):.1f} % before" in said
    assert "30.0 % flagged as perhaps none of these classes; 71.4 % of the others are right" in said


def test_the_class_table_states_scores_and_intervals():
    (row,) = [line for line in measure(evaluation()).lines() if line.startswith("  cat ") and "-" in line]
    low, high = (100 * bound for bound in wilson_interval(3, 4))
    assert row.split()[1] == "5"
    assert f"75.0  {low:.1f}-{high:.1f}" in row


def test_unknown_scores_are_a_dash():
    lines = measure(evaluation([0, 0], [0, 0], ("a", "b"))).lines()
    (row,) = [line for line in lines if line.split()[:2] == ["b", "0"]]
    assert row.split() == ["b", "0", "-", "-", "-"]


def test_the_confusion_matrix_is_drawn_with_numbered_columns():
    lines = measure(evaluation()).lines()
    start = next(number for number, line in enumerate(lines) if line.startswith("True class"))
    header, *rows = lines[start + 2 :]
    assert header.split() == ["1", "2", "3"]
    assert [row.split()[-4:] for row in rows] == [
        ["1", "3", "1", "1"],
        ["2", "1", "2", "1"],
        ["3", ".", ".", "1"],
    ]
    assert len({width(line) for line in [header, *rows]}) == 1  # aligned in spite of the Chinese name
    assert len({width(row[: row.index(str(number))]) for number, row in enumerate(rows, 1)}) == 1


def test_many_classes_show_the_most_frequent_confusions_instead():
    names = tuple(f"class{number}" for number in range(20))
    lines = measure(evaluation([3, 3, 3, 3, 5, 6], [7, 7, 3, 4, 5, 0], names)).lines()
    start = next(
        number for number, line in enumerate(lines) if line.startswith("The most frequent confusions")
    )
    assert [line.split() for line in lines[start + 1 :]] == [
        ["class3", "->", "class7", "2", "of", "4"],
        ["class3", "->", "class4", "1", "of", "4"],
        ["class6", "->", "class0", "1", "of", "1"],
    ]


def test_no_confusion_at_all_is_said():
    names = tuple(f"class{number}" for number in range(20))
    assert measure(evaluation([3, 5], [3, 5], names)).lines()[-1].strip() == "none"


def test_of_very_many_classes_the_worst_are_listed():
    names = tuple(f"class{number:03}" for number in range(60))
    labels = [number for number in range(60) for _ in range(2)]
    answers = [label if label != 57 else 58 for label in labels]
    lines = measure(evaluation(labels, answers, names)).lines()
    start = next(number for number, line in enumerate(lines) if "classes of lowest F1, of 60" in line)
    listed = [line.split()[0] for line in lines[start + 2 : start + 42]]
    assert listed[:2] == ["class057", "class058"]
    assert len(set(listed)) == 40


def test_a_name_with_control_characters_stays_on_its_line():
    found = measure(evaluation([0, 1], [0, 1], ("a\nb", "c")))
    assert not any("\n" in line for line in found.lines())
