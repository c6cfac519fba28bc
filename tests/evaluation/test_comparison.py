"""Two models on the same pictures, against counts made by hand and other programs' p-values."""

from math import comb
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from pigeonhole.errors import PigeonholeError
from pigeonhole.evaluation.comparison import Change, compare
from pigeonhole.evaluation.predictions import Evaluation
from pigeonhole.terminal import width

CLASSES = ("cat", "dog", "fox")


def evaluation(
    labels: list[int],
    answers: list[int],
    classes: tuple[str, ...] = CLASSES,
    contents: list[str] | None = None,
    folder: str = "test",
) -> Evaluation:
    logits = np.eye(len(classes), dtype=np.float32)[answers]
    total = len(labels)
    return Evaluation(
        root=Path(folder),
        classes=classes,
        names=[f"{folder}/{row}.png" for row in range(total)],
        labels=np.array(labels),
        images=np.zeros((total, 2, 2, 3), np.uint8),
        logits=logits,
        probabilities=logits,
        features=logits,
        unsure=np.zeros(total, bool),
        digests=contents or [f"{row:x}" for row in range(total)],
    )


def of_counts(both: int, only_first: int, only_second: int, neither: int) -> tuple[Evaluation, Evaluation]:
    first = [0] * (both + only_first) + [1] * (only_second + neither)
    second = [0] * both + [1] * only_first + [0] * only_second + [1] * neither
    labels = [0] * len(first)
    return evaluation(labels, first), evaluation(labels, second)


def test_the_four_counts():
    found = compare(*of_counts(7, 3, 5, 2))
    assert (found.both, found.only_first, found.only_second, found.neither) == (7, 3, 5, 2)
    assert found.total == 17


def test_p_of_a_case_worked_out_by_hand():
    # 1 against 9: (1 + 10) / 2**10 in each tail.
    assert compare(*of_counts(50, 1, 9, 5)).p_value == pytest.approx(22 / 1024)


@pytest.mark.parametrize("only_first, only_second", [(0, 1), (0, 8), (12, 3), (3, 12), (40, 71), (150, 150)])
def test_p_is_the_exact_binomial_probability(only_first, only_second):
    n, fewer = only_first + only_second, min(only_first, only_second)
    by_formula = min(1.0, 2 * sum(comb(n, k) for k in range(fewer + 1)) / 2**n)
    found = compare(*of_counts(9, only_first, only_second, 4)).p_value
    assert found == pytest.approx(by_formula)
    assert found == pytest.approx(binomtest(fewer, n, 0.5).pvalue)


@pytest.mark.parametrize("only_first, only_second", [(0, 8), (12, 3), (40, 71)])
def test_p_is_that_of_statsmodels(only_first, only_second):
    tables = pytest.importorskip(
        "statsmodels.stats.contingency_tables", reason="statsmodels is not installed"
    )
    expected = tables.mcnemar([[9, only_first], [only_second, 4]], exact=True).pvalue
    assert compare(*of_counts(9, only_first, only_second, 4)).p_value == pytest.approx(expected)


def test_no_difference_has_p_1():
    found = compare(*of_counts(6, 0, 0, 2))
    assert (found.p_value, found.changed) == (1.0, [])


def test_pictures_right_or_wrong_in_both_do_not_count():
    assert compare(*of_counts(5, 2, 9, 0)).p_value == compare(*of_counts(500, 2, 9, 300)).p_value


def test_every_changed_answer_is_named_either_way():
    first = evaluation([0, 1, 2, 0, 1], [0, 0, 0, 1, 1], folder="old")
    second = evaluation([0, 1, 2, 0, 1], [0, 1, 1, 2, 2], folder="new")
    assert compare(first, second).changed == [
        Change("new/1.png", "dog", "cat", "dog"),
        Change("new/2.png", "fox", "cat", "dog"),
        Change("new/3.png", "cat", "dog", "fox"),
        Change("new/4.png", "dog", "dog", "fox"),
    ]


def test_pictures_are_matched_by_content_wherever_they_lie():
    first = evaluation([0, 1, 2], [0, 1, 1], contents=["a", "b", "c"])
    second = evaluation([2, 0, 1], [2, 0, 0], contents=["c", "a", "b"], folder="moved")
    found = compare(first, second)
    assert (found.both, found.only_first, found.only_second, found.neither) == (1, 1, 1, 0)
    assert {change.name for change in found.changed} == {"moved/0.png", "moved/2.png"}


def test_only_common_pictures_are_compared():
    first = evaluation([0, 0, 0], [0, 0, 1], contents=["a", "b", "c"])
    second = evaluation([0, 0, 0], [0, 0, 0], contents=["b", "c", "d"])
    found = compare(first, second)
    assert (found.both, found.only_second, found.total) == (1, 1, 2)


def test_a_picture_that_is_there_twice_counts_once():
    first = evaluation([0, 0, 0], [0, 0, 1], contents=["a", "a", "b"])
    second = evaluation([0, 0, 0], [1, 1, 1], contents=["a", "a", "b"])
    found = compare(first, second)
    assert (found.only_first, found.neither) == (1, 1)
    assert len(found.changed) == 1


def test_a_picture_under_another_label_is_not_the_same_question():
    first = evaluation([0, 1], [0, 1], contents=["a", "b"])
    second = evaluation([0, 2], [0, 2], contents=["a", "b"])
    assert compare(first, second).total == 1


def test_classes_in_another_order_are_the_same_classes():
    first = evaluation([0, 1], [0, 0], classes=("cat", "dog"))
    second = evaluation([1, 0], [1, 0], classes=("dog", "cat"))
    found = compare(first, second)
    assert (found.both, found.only_second, found.changed[0].second) == (1, 1, "dog")


def test_other_classes_are_an_error_that_names_them():
    with pytest.raises(PigeonholeError) as caught:
        compare(evaluation([0], [0], ("cat", "dog")), evaluation([0], [0], ("cat", "owl")))
    assert "dog, owl" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_common_picture_is_an_error_that_names_the_folders():
    with pytest.raises(PigeonholeError, match="old and new: no picture is in both"):
        compare(
            evaluation([0], [0], contents=["a"], folder="old"),
            evaluation([0], [0], contents=["b"], folder="new"),
        )


def test_the_lines_state_the_counts_and_the_verdict():
    lines = compare(*of_counts(50, 1, 9, 5)).lines("runs/a", "runs/北")
    assert lines[0] == "65 pictures were given to both"
    assert lines[1].split() == ["runs/a", "51", "right,", "78.5", "%,", "1", "of", "them", "alone"]
    assert lines[2].split() == ["runs/北", "59", "right,", "90.8", "%,", "9", "of", "them", "alone"]
    assert width(lines[1][: lines[1].index("51")]) == width(lines[2][: lines[2].index("59")])
    assert (
        lines[4] == "runs/北 is better: chance alone would seldom do this (McNemar's exact test, p = 0.0215)"
    )


def test_the_lines_name_the_better_one_either_way():
    assert "the first is better" in "\n".join(compare(*of_counts(50, 9, 1, 5)).lines())


def test_a_difference_that_chance_can_make_is_called_so():
    said = "\n".join(compare(*of_counts(50, 4, 5, 5)).lines())
    assert "chance alone could make this difference (McNemar's exact test, p = 1.0000)" in said
    assert "is better" not in said


def test_the_smallest_p_is_not_shown_as_zero():
    assert "p < 0.0001" in "\n".join(compare(*of_counts(5, 0, 60, 5)).lines())


def test_the_lines_list_some_changed_pictures_of_each_kind_and_count_all():
    lines = compare(*of_counts(2, 3, 14, 0)).lines()
    first = lines.index("Only the first is right: 3")
    assert [line.split() for line in lines[first + 1 : first + 4]] == [
        [f"test/{row}.png", "cat", "->", "dog"] for row in (2, 3, 4)
    ]
    second = lines.index("Only the second is right: 14")
    assert lines[second + 11] == "  ... and 4 more"


def test_a_change_from_one_error_to_another_is_listed_apart():
    lines = compare(evaluation([0, 0], [1, 0]), evaluation([0, 0], [2, 0])).lines()
    assert lines[lines.index("Wrong in another way: 1") + 1].split() == ["test/0.png", "dog", "->", "fox"]
