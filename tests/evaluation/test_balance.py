"""The accuracy with every class counting alike, and the weakest class, where classes are uneven."""

import pytest

from pigeonhole.evaluation.balance import balance_of, balance_to_json
from pigeonhole.evaluation.measures import measure
from pigeonhole.statistics import wilson_interval
from tests.support.made_answers import evaluation


def test_it_is_the_mean_over_classes_and_names_the_weakest():
    found = measure(evaluation()).balance  # of 5 cats 3, of 4 dogs 2, of 1 other 1
    assert found.accuracy == pytest.approx((3 / 5 + 2 / 4 + 1) / 3)
    assert (found.weakest, found.right, found.pictures) == ("dog", 2, 4)
    assert (found.fewest, found.most) == (1, 5) and found.interval == wilson_interval(2, 4)
    assert balance_to_json(found)["weakest_class"]["class"] == "dog"


def test_both_stand_beside_the_accuracy():
    accuracy, balanced, weakest, *_ = measure(evaluation()).summary()
    assert accuracy.startswith("accuracy    6 of 10 right")
    assert balanced == "balanced    70.0 % where every class counts alike (they have 1 to 5 pictures)"
    assert weakest.startswith("            weakest class 'dog': 2 of 4 right: 50.0 % (95 % interval ")


def test_classes_of_much_the_same_size_are_even():
    even = [("a", 50, 59), ("b", 20, 40), ("nobody", 0, 0)]
    assert balance_of(even) is None
    assert balance_of([("a", 50, 60), *even[1:]]).weakest == "b"
    assert balance_of([("a", 50, 60)]) is None
    assert balance_to_json(None) == {"balanced_accuracy": None, "weakest_class": None}
    labels = [0] * 5 + [1] * 5
    assert not any(
        line.startswith("balanced") for line in measure(evaluation(labels, labels, ("a", "b"))).summary()
    )


def test_of_equally_weak_classes_the_one_with_more_pictures_is_named():
    assert balance_of([("few", 1, 2), ("many", 5, 10), ("good", 4, 4)]).weakest == "many"
