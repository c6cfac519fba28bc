"""What is looked for beyond the accuracy: said in lines, kept for programs, and ended early without loss."""

import os
import signal

import numpy as np
import pytest

from pigeonhole.data.dataset import read_train_sets
from pigeonhole.data.fixes import Suspect
from pigeonhole.errors import PigeonholeError
from pigeonhole.evaluation.predictions import Evaluation
from pigeonhole.evaluation.studies import audit, learning_curve
from pigeonhole.evaluation.studies.audit import AuditResult, DataAudit
from pigeonhole.training.blueprint import Blueprint
from pigeonhole.training.retraining import Retrainer
from tests.support.drawn_folders import draw_tree
from tests.support.small_trainings import RECIPE

SUSPECT = Suspect("a/1.png", "a", "b", 0.01, 0.95, 0.9)


def evaluation(sets) -> Evaluation:
    """Of a network that is sure of every validation picture's label, and right."""
    valid = sets.valid
    logits = valid.labels * np.float32(9)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    nothing = np.zeros((valid.num_examples, 0), np.float32)
    return Evaluation(
        sets.preflight.root,
        tuple(sets.classes),
        list(valid.names),
        valid.label_indices,
        valid.images,
        logits,
        shares,
        nothing,
        np.zeros(valid.num_examples, bool),
        ["0" * 64] * valid.num_examples,
    )


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = draw_tree(tmp_path_factory.mktemp("pictures"), {"a": 30, "b": 30, "c": 30})
    return read_train_sets(folder, 16, validation_size=0.4, cache_dir=tmp_path_factory.mktemp("cache"))


def audit_of(sets) -> DataAudit:
    def recipe_for(num_pictures: int):
        return RECIPE.with_given(epochs=2)

    return DataAudit(sets, Retrainer(Blueprint("standard", seed=0), recipe_for, 500.0), seed=0)


def test_without_asking_only_the_cheap_searches_are_made(sets):
    found = audit_of(sets).look(evaluation(sets), AuditResult(), check_labels=False, more_data=False)
    assert found.shortcuts is not None and found.suspects == [] and not found.all_labels
    assert found.unseen is found.learning_curve is None
    assert found.lines()[-1].startswith(
        "labels      none of the validation pictures seems to have a wrong label"
    )


@pytest.mark.slow
def test_all_that_is_asked_for_is_found_and_told(sets, capsys):
    found = audit_of(sets).look(evaluation(sets), AuditResult(), check_labels=True, more_data=True)
    assert found.all_labels and found.learning_curve.total == sets.valid.num_examples
    told = capsys.readouterr().out
    networks = len(learning_curve.part_sizes(sets.train))
    assert "label check: 5 more networks, about" in told
    assert f"learning curve: {networks} more networks" in told
    assert {"shortcuts", "suspects", "learning_curve"} == found.to_json().keys()
    assert any(line.startswith("more data ") for line in found.lines())


def interrupting(search):
    """The search, with Ctrl-C pressed as it begins."""

    def interrupted():
        os.kill(os.getpid(), signal.SIGINT)
        return search()

    return interrupted


def test_ctrl_c_keeps_what_was_found_by_then(sets, monkeypatch, capsys):
    searching = audit_of(sets)
    monkeypatch.setattr(searching, "suspects", interrupting(searching.suspects))
    found = searching.look(evaluation(sets), AuditResult(), check_labels=True, more_data=True)
    assert found.shortcuts is not None and not found.all_labels and found.learning_curve is None
    assert searching.exit_status == 130 and "what was found so far is kept" in capsys.readouterr().out


def test_ctrl_c_in_the_search_before_the_model_is_saved_does_not_end_the_program(sets, monkeypatch):
    before = signal.getsignal(signal.SIGINT)
    searching = audit_of(sets)
    monkeypatch.setattr(searching, "unseen", interrupting(searching.unseen))
    assert searching.unseen_classes() is None and searching.exit_status == 130
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (
            AuditResult(suspects=[]),
            "none of the validation pictures seems to have a wrong label; --check-labels",
        ),
        (AuditResult(suspects=[], all_labels=True), "none of all pictures seems to have a wrong label"),
        (
            AuditResult(suspects=[SUSPECT]),
            "1 of the validation pictures may have a wrong label: see fixes.csv; --check-labels",
        ),
        (AuditResult(suspects=[SUSPECT], all_labels=True), "1 of all pictures may have a wrong label"),
        (
            AuditResult(suspects=[SUSPECT] * 3, all_labels=True),
            "3 of all pictures may have wrong labels, about 3 probably do: see fixes.csv",
        ),
    ],
)
def test_suspected_labels_are_counted(found, line):
    assert line in found.lines()[0]
    assert found.to_json()["suspects"]["pictures"] == len(found.suspects)


def test_too_few_pictures_are_refused_before_any_training(sets, tmp_path):
    two = read_train_sets(draw_tree(tmp_path / "two", {"a": 12, "b": 12}), 16, no_cache=True)
    with pytest.raises(PigeonholeError, match="at least 3 classes"):
        audit.require(two, 0, unseen_classes=True, more_data=False)
    few = read_train_sets(draw_tree(tmp_path / "few", {"a": 4, "b": 4}), 16, no_cache=True)
    with pytest.raises(PigeonholeError, match="learning curve"):
        audit.require(few, 0, unseen_classes=False, more_data=True)
    audit.require(two, 0, unseen_classes=False, more_data=False)
    audit.require(sets, 0, unseen_classes=True, more_data=True)
