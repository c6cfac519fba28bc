"""The learning curve: its parts, its law, that its intervals hold, and what it says of which class."""

import numpy as np
import pytest
from scipy.stats import norm

from pigeonhole.errors import PigeonholeError
from pigeonhole.evaluation.studies import learning_curve
from pigeonhole.evaluation.studies.learning_curve import (
    Forecast,
    carry_on,
    fit,
    part_sizes,
    stratified_order,
)
from pigeonhole.training.retraining import outputs
from tests.support.small_trainings import retrainer, stripes

SIZES = [500, 500, 1000, 1000, 2000]
CLASSES = ["cat", "dog"]


def answers(errors, pictures: int, seed: int = 0, shared: float = 0.7) -> np.ndarray:
    """bool [T, pictures]: which of the same pictures T networks of these errors have right.

    `shared` is the correlation between what makes a picture hard for one network and for another.
    """
    random = np.random.default_rng(seed)
    common = random.standard_normal(pictures)
    own = random.standard_normal((len(errors), pictures))
    difficulty = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
    return difficulty > norm.ppf(np.asarray(errors))[:, np.newaxis]


def law(size, floor: float = 0.1, exponent: float = 0.4, at_500: float = 0.4):
    return floor + (at_500 - floor) * (np.asarray(size) / 500) ** -exponent


def test_a_known_law_is_carried_on():
    forecast = fit(SIZES, answers(law(SIZES), 200_000)).forecast(4000)
    assert forecast.accuracy == pytest.approx(1 - law(4000), abs=0.01)
    assert forecast.low < 1 - law(4000) < forecast.high
    assert forecast.high - forecast.low < 0.06


def test_the_interval_holds_in_95_of_100_curves():
    random = np.random.default_rng(3)
    held = {4000: 0, 8000: 0}
    for seed in range(120):
        shape = {
            "floor": random.uniform(0, 0.15),
            "exponent": random.uniform(0.2, 0.7),
            "at_500": random.uniform(0.2, 0.6),
        }
        seen = law(SIZES, **shape) + random.normal(0, 0.01, len(SIZES))
        predicted = fit(SIZES, answers(seen, 500, seed))
        for size in held:
            forecast = predicted.forecast(size)
            held[size] += forecast.low <= 1 - law(size, **shape) + random.normal(0, 0.01) <= forecast.high
    assert min(held.values()) >= 0.93 * 120


def test_networks_that_share_their_mistakes_are_no_further_evidence():
    def width(networks: int, shared: float) -> float:
        sizes = [1000] * networks
        forecast = fit(sizes, answers([0.3] * networks, 100, shared=shared)).forecast(1000)
        return forecast.high - forecast.low

    wilson = 2 * 1.96 * np.sqrt(0.3 * 0.7 / 100)
    assert 0.85 * wilson < width(8, shared=1 - 1e-9)
    assert width(8, shared=0) < 0.75 * width(8, shared=1 - 1e-9)


def test_trainings_that_differ_widen_the_interval():
    forecast = fit([1000] * 4, answers([0.26, 0.29, 0.31, 0.34], 100_000)).forecast(1000)
    assert 3 * 0.034 < forecast.high - forecast.low < 7 * 0.034


def test_no_mistake_among_few_pictures_is_no_certainty():
    forecast = fit([20, 40, 80], np.ones((3, 10), bool)).forecast(80)
    assert forecast.high == 1
    assert 0.65 < forecast.low < 0.95


def test_more_pictures_never_make_it_worse_and_the_far_is_less_certain():
    known = fit(SIZES, answers(law(SIZES), 400))
    near, far = known.forecast(4000), known.forecast(32_000)
    assert far.accuracy >= near.accuracy >= known.forecast(2000).accuracy
    assert far.high - far.low > near.high - near.low


def test_it_repeats():
    right = answers(law(SIZES), 400)
    assert fit(SIZES, right).forecast(4000) == fit(SIZES, right).forecast(4000)


def test_parts_lie_in_each_other_and_hold_their_share_of_every_class():
    labels = np.repeat([0, 1, 2], [400, 80, 20])
    order = stratified_order(labels, seed=1)
    assert sorted(order) == list(range(500))
    assert np.bincount(labels[order[:125]]).tolist() == [100, 20, 5]
    assert np.bincount(labels[order[:250]]).tolist() == [200, 40, 10]
    assert not np.array_equal(order, stratified_order(labels, seed=2))
    assert not np.array_equal(np.sort(order[:125]), np.sort(stratified_order(labels, seed=2)[:125]))


def test_too_few_pictures_are_refused():
    assert part_sizes(stripes(16)) == [4, 4, 8, 8]
    with pytest.raises(PigeonholeError, match="2 classes takes at least 16 training pictures, not 15"):
        part_sizes(stripes(15))


def two_classes():
    """Three quarters dogs, always known alike; the cats' error falls with more pictures."""
    cats, dogs = answers(law(SIZES, 0.05, 0.5, 0.7), 1000, 1), answers([0.02] * 5, 3000, 2)
    return carry_on(SIZES, np.hstack([cats, dogs]), np.repeat([0, 1], [1000, 3000]), [500, 1500], CLASSES)


def test_the_class_that_gains_is_named():
    curve = two_classes()
    assert curve.sizes == (500, 1000, 2000)
    assert [outlook.class_name for outlook in curve.outlooks] == ["cat", "dog"]
    cat, dog = curve.outlooks
    assert cat.pictures == 500
    assert cat.now == pytest.approx(1 - law(2000, 0.05, 0.5, 0.7), abs=0.03)
    assert cat.doubled.low < 1 - law(4000, 0.05, 0.5, 0.7) < cat.doubled.high
    assert cat.gain > 0.04 > 0.01 > dog.gain


def test_its_accuracies_are_the_means_of_the_trainings():
    right = answers([0.5, 0.3, 0.2, 0.2, 0.1], 100)
    curve = carry_on(SIZES, right, np.arange(100) % 2, [1000, 1000], CLASSES)
    assert curve.accuracies == pytest.approx((right[:2].mean(), right[2:4].mean(), right[4].mean()))
    assert curve.total == 100


def test_its_lines():
    curve = two_classes()
    first, twice, four_times, advice = curve.lines()
    shown = ", ".join(
        f"{size:,}: {100 * share:.1f} %" for size, share in zip(curve.sizes, curve.accuracies, strict=True)
    )
    assert first == f"right by number of training pictures, of 4,000 not trained on: {shown}"
    assert twice == f"with twice as many (4,000): {curve.forecast(4000)}"
    assert four_times.startswith("with four times as many (8,000): ")
    assert advice.startswith("most to gain, probably: about 500 more pictures of 'cat', of which 6")


def test_a_narrow_forecast_is_said_in_tenths_of_points():
    assert str(Forecast(0.991, 0.982, 0.999)) == "99.1 % (95 % 98.2 to 99.9 %)"
    assert str(Forecast(0.702, 0.648, 0.761)) == "70 % (95 % 65 to 76 %)"


def test_where_more_pictures_bring_little_it_says_so():
    curve = carry_on(SIZES, answers([0.2] * 5, 4000), np.arange(4000) % 2, [1000, 1000], CLASSES)
    assert curve.gain < 0.01
    assert curve.lines()[-1] == (
        "more pictures of the same kind would bring little; look at labels and mistakes instead"
    )


def test_its_json_agrees_with_the_forecast():
    curve = two_classes()
    told = curve.to_json()
    assert told["sizes"] == [500, 1000, 2000]
    assert [point["pictures"] for point in told["forecast"]] == [4000, 8000]
    for point in told["forecast"]:
        assert [point["accuracy"], *point["interval_95"]] == list(curve.forecast(point["pictures"]))
    assert [each["class"] for each in told["classes"]] == ["cat", "dog"]


@pytest.mark.slow
def test_measuring_trains_on_the_parts_and_tries_all_of_the_validation_pictures():
    # Random labels, so that what a network has right depends on the part it was trained on.
    train, valid, trainings = stripes(120, noise=True), stripes(100, seed=9), retrainer()
    heard = []
    curve = learning_curve.measure(
        trainings, train, valid, np.ones(100, bool), lambda number, progress: heard.append(number)
    )
    assert curve.sizes == (30, 60, 120)
    assert sorted(set(heard)) == [0, 1, 2, 3]
    shares = []
    for seed in (trainings.seed, trainings.seed + 1):
        model = trainings.train(train.select(stratified_order(train.label_indices, seed)[:30]))
        right = outputs(model, valid.images).logits.argmax(1) == valid.label_indices
        shares.append(right.mean())
    assert shares[0] != shares[1]
    assert curve.accuracies[0] == pytest.approx(np.mean(shares))
    assert curve.accuracies[-1] == 1
    counts = np.bincount(train.label_indices)
    assert sorted(outlook.pictures for outlook in curve.outlooks) == sorted(counts)


def test_its_time_is_the_sum_of_its_trainings():
    trainings = retrainer()
    expected = 2 * trainings.seconds(16) + 2 * trainings.seconds(32)
    assert learning_curve.seconds(trainings, stripes(64)) == pytest.approx(expected)
