"""What is different now from when an earlier run was begun, told by name."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pigeonhole.arguments import Effect
from pigeonhole.data.folders import Entry, Record
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.runs import previous
from pigeonhole.runs.config import TrainingConfig
from pigeonhole.runs.run import Run

CONFIG = TrainingConfig(
    data=Path("pictures"), seed=3, classes=["a", "b"], minutes=2.0, network="standard", image_size=32
)
OPTIONS = {**CONFIG.values(*Effect), "channels": 3, "weights_digest": None}
RECIPE = {
    "image_size": 32,
    "batch_size": 16,
    "epochs": 4,
    "optimizer": "adamw",
    "schedule": "one-cycle",
    "learning_rate": 0.005,
    "weight_decay": 0.01,
    "label_smoothing": 0.0,
    "augmentation": {"flip": True, "shift": 0.1},
    "mix": False,
    "patience": None,
}
SETTINGS = {
    "options": OPTIONS,
    "recipe": RECIPE,
    "total_steps": 77,
    "machine": {"precision": "float32", "bfloat16_gain": 0.6, "threads": 2, "workers": 1, "processor": "x"},
    "versions": {"numpy": "2.0"},
    "changed_midway": [],
}
SPLIT = "path,class,side,digest\na/1.png,a,train,11\na/2.png,a,valid,22\nb/1.png,b,train,33\n"


@pytest.fixture
def run(tmp_path) -> Path:
    (tmp_path / "settings.json").write_text(json.dumps(SETTINGS))
    (tmp_path / "split.csv").write_text(SPLIT)
    return tmp_path


def records(*rows: str) -> tuple[list[Record], dict[str, str]]:
    found = [
        Record(Entry(Path(path), path, class_name), digest=digest)
        for path, class_name, digest in map(str.split, rows)
    ]
    return found, {record.entry.name: "train" for record in found}


def test_what_was_measured_takes_the_place_of_what_was_asked(run):
    before = previous.read(Run(run))
    assert before.options["precision"] == "float32" and before.options["threads"] == 2
    assert before.options["data"] == Path("pictures") and before.total_steps == 77
    assert before.recipe.augmentation.flip and before.recipe.batch_size == 16


@pytest.fixture
def again(run) -> TrainingConfig:
    """The config of a repetition."""
    return TrainingConfig(**previous.read(Run(run)).options)


def test_a_repetition_has_the_same_flags(run, again):
    assert not previous.read(Run(run)).changed_options(again, None)
    assert again.classes == ["a", "b"] and again.data == Path("pictures")


def test_features_are_computed_as_before(run):
    assert previous.read(Run(run)).features == "onnx"  # of a run that is older than int8
    machine = {**SETTINGS["machine"], "features": "int8"}
    (run / "settings.json").write_text(json.dumps({**SETTINGS, "machine": machine}))
    assert previous.read(Run(run)).features == "int8"


def test_a_run_that_is_older_than_a_flag_did_what_is_its_default(run, again):
    older = {name: value for name, value in OPTIONS.items() if name not in ("quick", "single")}
    (run / "settings.json").write_text(json.dumps({**SETTINGS, "options": older}))
    before = previous.read(Run(run))
    assert before.changed_options(again, None) == []
    assert before.changed_options(replace(again, single=True), None) == ["--single was False, now True"]


def test_what_a_training_starts_from_is_named_by_its_flag(run, again):
    before = previous.read(Run(run))
    other = replace(again, network="auto", backbone="runs/old")
    assert "--backbone was not given, now runs/old" in before.changed_options(other, "1" * 64)
    before = replace(before, options={**before.options, "backbone": "runs/old"}, weights_digest="0" * 64)
    assert "what --backbone runs/old holds has changed" in before.changed_options(other, "1" * 64)
    published = replace(other, backbone="vgg19", weights="other.h5")
    before = replace(before, options={**before.options, "backbone": "vgg19", "weights": "other.h5"})
    assert "what --weights other.h5 holds has changed" in before.changed_options(published, "1" * 64)


def test_flags_that_decide_the_outcome_are_named(run, again):
    now = replace(again, seed=4, classes=["b"], minutes=None, batch_size=8, data=Path("else"), log_every=3)
    before = previous.read(Run(run))
    changes = before.changed_options(now, None)
    assert sorted(changes) == [
        "--batch-size was not given, now 8",
        "--classes was a,b, now b",
        "--minutes was 2.0, now not given",
        "--seed was 3, now 4",
    ]
    with pytest.raises(UsageError, match="--seed was 3, now 4") as caught:
        before.refuse(changes, force=False)
    assert str(run) in str(caught.value) and "--force" in str(caught.value)
    before.refuse(changes, force=True)
    before.refuse([], force=False)


def test_other_initial_weights_are_told_by_their_name(run, again):
    before = previous.read(Run(run))
    begun = replace(before, options={**before.options, "weights": "old"}, weights_digest="1")
    assert begun.changed_options(replace(again, weights="old"), "2") == [
        "what --weights old holds has changed"
    ]
    assert begun.changed_options(replace(again, weights="other"), "2") == ["--weights was old, now other"]
    assert begun.changed_options(again, None) == ["--weights was old, now not given"]
    assert not begun.changed_options(replace(again, weights="moved/old"), "1")


def test_equal_data_have_not_changed(run):
    before = previous.read(Run(run))
    assert not before.changed_data(*records("a/1.png a 11", "a/2.png a 22", "b/1.png b 33"))


def test_each_kind_of_change_of_the_data_is_named(run):
    before = previous.read(Run(run))
    found, sides = records("a/1.png a 99", "b/1.png a 33", "b/4.png b 44", "b/5.png b 55")
    assert before.changed_data(found, sides) == [
        "2 pictures new (b/4.png, b/5.png)",
        "1 picture missing (a/2.png)",
        "1 picture of another class (b/1.png)",
        "1 picture of other content (a/1.png)",
    ]


def test_many_are_counted_and_some_named(run):
    found, sides = records(
        "a/1.png a 11", "a/2.png a 22", "b/1.png b 33", *(f"b/{n}.png b {n}" for n in "56789")
    )
    assert previous.read(Run(run)).changed_data(found, sides) == [
        "5 pictures new (b/5.png, b/6.png, b/7.png, ...)"
    ]


def test_other_versions_and_another_processor_are_named(run):
    before = previous.read(Run(run))
    assert before.changed_environment({"numpy": "2.0", "processor": "x"}) == []
    assert before.changed_environment({"numpy": "2.1", "processor": "y"}) == [
        "numpy was 2.0, now 2.1",
        "processor was x, now y",
    ]


@pytest.mark.parametrize(
    "content, told",
    [
        (None, "stopped before its first step"),
        ("{", "damaged"),
        ("[]", "damaged"),
        (json.dumps({**SETTINGS, "recipe": {}}), "damaged"),
        (json.dumps({"options": {}}), "damaged"),
    ],
)
def test_settings_that_cannot_be_used_are_one_clear_error(run, content, told):
    (run / "settings.json").unlink()
    if content is not None:
        (run / "settings.json").write_text(content)
    with pytest.raises(PigeonholeError, match=told) as caught:
        previous.read(Run(run))
    assert "\n" not in str(caught.value)
