"""What is said first where a network is no better than a rule without learning."""

import numpy as np
import pytest

from pigeonhole.evaluation.measures import Measures
from pigeonhole.evaluation.usefulness import warning
from pigeonhole.statistics import CorrectedAccuracy, wilson_interval


def said(right: int, total: int, majority: float, thumbnail: float) -> str:
    corrected = CorrectedAccuracy(right, total, 0.0, 1, 0)
    figures = Measures(
        right=right,
        total=total,
        accuracy=right / total,
        interval=wilson_interval(right, total),
        classes=(),
        confusion=np.zeros((2, 2), np.int64),
        top_k={},
        majority=("yes", majority),
        nearest_thumbnail=thumbnail,
        ece_raw=0.0,
        ece_calibrated=0.0,
        reliability_raw=[],
        reliability_calibrated=[],
        unsure=0.0,
        accuracy_of_sure=None,
        torn=0.0,
        accuracy_of_torn=None,
    )
    return " ".join(warning(corrected, figures))


@pytest.mark.parametrize(
    ("right", "total", "majority", "thumbnail", "expected"),
    [
        (22, 38, 0.579, 0.5, "it is not better than a rule without learning (always answering 'yes'"),
        (24, 38, 0.579, 0.5, "it is not surely better than a rule without learning (always answering"),
        (190, 230, 0.56, 0.86, "it is not better than a rule without learning (the class of the most"),
        (200, 230, 0.56, 0.86, "it is not surely better than a rule without learning (the class of the"),
    ],
)
def test_the_first_lines_where_nothing_useful_was_learnt(right, total, majority, thumbnail, expected):
    text = said(right, total, majority, thumbnail)
    assert text.startswith("the network has learnt nothing useful: ") and expected in text
    assert "try another --network" in text


@pytest.mark.parametrize(("right", "majority", "thumbnail"), [(200, 0.56, 0.7), (230, 0.5, 1.0)])
def test_nothing_is_said_of_a_network_that_knows_more_or_all(right, majority, thumbnail):
    assert said(right, 230, majority, thumbnail) == ""
