"""What a training says before its first step: whose settings it has."""

from pathlib import Path

import pytest

from pigeonhole.jobs import announcement
from pigeonhole.networks.registry import NETWORKS
from pigeonhole.runs.config import Machine, Settled, TrainingConfig

TUTORIAL = "those that tutorial was published with (batches of 32 in its code, 16 in its text; no length)"


@pytest.mark.parametrize(
    "network, flags, told",
    [
        ("tutorial", {}, f"{TUTORIAL}; epochs 30, patience 10 are ours"),
        ("tutorial", {"epochs": 5}, f"{TUTORIAL}, except epochs 5; patience 10 is ours"),
        ("tutorial", {"steps": 7, "patience": 3}, f"{TUTORIAL}, except patience 3, steps 7"),
        ("classic_lrn", {}, "those that classic_lrn was published with"),
        ("classic_tiny", {"dropout": 0.5}, "this program's defaults, except dropout 0.5"),
    ],
)
def test_only_what_was_published_counts_as_published(network, flags, told):
    config = TrainingConfig(data=Path("photos"), network=network, **flags)
    recipe = NETWORKS[network].recipe(128, 800, all_grey=False).with_given(**config.recipe_changes)
    settled = Settled(network, 128, 3, None, Machine("float32", None, 2, 1), recipe, 100, 25)
    assert announcement._settings(config, settled) == told
