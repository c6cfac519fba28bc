"""The benchmark of the workbench without TEST: what it holds out, and that settings are taken back."""

import importlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from pigeonhole.data.cache import Cache
from pigeonhole.labelling import proposals
from tests.support.numbered_pictures import draw_tree
from tests.support.small_extractor import SmallExtractor

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def modules(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("labelling"), importlib.import_module("labelling_settings")


@pytest.fixture
def seen(modules, tmp_path: Path):
    """Two of each kind, so that each has a copy in its class."""
    tree = draw_tree(tmp_path / "pictures", 12)
    for picture in sorted(tree.rglob("*.png")):
        shutil.copy(picture, picture.with_name(f"copy {picture.name}"))
    return modules[0].read(tree, None, SmallExtractor(), Cache(tmp_path / "cache"))


def test_a_third_of_each_class_is_held_out_with_its_copies(modules, seen):
    first, second = seen.pictures(0), seen.pictures(1)
    held_out = first.labels[first.to_label :]
    np.testing.assert_allclose(np.bincount(held_out) / np.bincount(first.labels), 1 / 3, atol=0.12)
    digits = {picture.tobytes() for picture in first.places[first.to_label :]}
    assert digits.isdisjoint(picture.tobytes() for picture in first.places[: first.to_label])
    assert len(np.unique(first.copies)) <= first.to_label / 2
    assert first.places.shape != second.places.shape or (first.places != second.places).any()


def test_with_a_test_folder_all_others_are_to_be_labelled(modules, tmp_path):
    train, test = draw_tree(tmp_path / "train", 10), draw_tree(tmp_path / "test", 6)
    found = modules[0].read(train, test, SmallExtractor(), Cache(tmp_path / "cache")).pictures(0)
    assert found.to_label == 10 and len(found.places) == len(found.labels) == 16


def test_a_setting_is_taken_back(modules):
    before = proposals.FIRST
    with pytest.raises(KeyError), modules[1].changed({(proposals, "FIRST"): before + 1}):
        assert before + 1 == proposals.FIRST
        raise KeyError
    assert before == proposals.FIRST


@pytest.mark.parametrize("given", ["dogs", "dogs=nowhere", os.pathsep.join(["dogs=.", ".", "."])])
def test_a_set_that_is_none_is_told_in_one_line(modules, given, capsys):
    for module in modules:
        with pytest.raises(SystemExit):
            module._parser().parse_args(["--sets", given])
        assert "is not NAME=TRAIN" in capsys.readouterr().err.splitlines()[-1]
