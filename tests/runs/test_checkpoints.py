"""What a killed training goes on from: exact at any step, whole or not at all, and never too much of it."""

import time

import numpy as np
import pytest

from pigeonhole.errors import PigeonholeError
from pigeonhole.networks import building
from pigeonhole.runs import checkpoints
from pigeonhole.runs.records import State
from pigeonhole.runs.run import Run
from pigeonhole.training.trainer import Trainer
from tests.support.small_trainings import RECIPE, changed, stripes, trainer

STEPS = 24  # of a whole training by the recipe: 4 epochs of 6


class Enough(Exception):
    pass


def stopped_at(step: int, **options) -> Trainer:
    """A trainer that was stopped after so many steps, before any validation that is due."""
    run = trainer(**options)

    def stop(progress) -> None:
        if progress.step == step:
            raise Enough

    with pytest.raises(Enough):
        list(run.run(stop))
    return run


def file_names(run) -> list[str]:
    return sorted(file.name for file in Run(run).checkpoints_folder.iterdir())


def equal(one: State, other: State) -> bool:
    """To the last bit, but for the time that it took."""
    arrays = [(one.variables, other.variables), (one.best_weights or [], other.best_weights or [])]
    same = all(a.tobytes() == b.tobytes() for pair in arrays for a, b in zip(*pair, strict=True))
    untimed = [
        [
            (each.step, each.epoch, each.learning_rate, each.train, each.valid, each.is_kept)
            for each in state.validations
        ]
        for state in (one, other)
    ]
    right = [[each.valid_right.tolist() for each in state.validations] for state in (one, other)]
    return (
        same
        and one.step == other.step
        and one.tally[:3] == other.tally[:3]
        and untimed[0] == untimed[1]
        and right[0] == right[1]
        and np.array_equal(one.best_logits, other.best_logits)
        and np.array_equal(one.valid_labels, other.valid_labels)
    )


@pytest.fixture(scope="module")
def whole() -> State:
    run = trainer()
    list(run.run())
    return run.state()


# Within an epoch, and before a validation that is due; the others are like one of these.
@pytest.mark.parametrize(
    "step", [15, 6, *(pytest.param(step, marks=pytest.mark.slow) for step in (1, 23, STEPS))]
)
def test_a_training_that_is_taken_up_ends_like_one_that_was_never_stopped(tmp_path, whole, step):
    before = stopped_at(step).state()
    checkpoints.write(Run(tmp_path), before)
    read = checkpoints.newest(Run(tmp_path))
    assert equal(read, before)
    again = trainer(seed=1)
    again.restore(read)
    list(again.run())
    assert equal(again.state(), whole)


def test_a_training_that_has_ended_only_says_so_again(tmp_path, whole):
    checkpoints.write(Run(tmp_path), whole)
    again = trainer()
    again.restore(checkpoints.newest(Run(tmp_path)))
    assert list(again.run()) == []
    assert equal(again.state(), whole)


def test_patience_goes_on_counting(tmp_path):
    def restless() -> Trainer:
        noise = changed(epochs=60, schedule="constant", learning_rate=0.02, patience=3)
        return trainer(noise, train=stripes(48, noise=True), valid=stripes(40, 3, noise=True))

    one, other = restless(), restless()
    expected = [validation.step for validation in one.run()]
    for validation in other.run():
        if validation.step == expected[-2]:
            break
    checkpoints.write(Run(tmp_path), other.state())
    again = restless()
    again.restore(checkpoints.newest(Run(tmp_path)))
    assert [validation.step for validation in again.run()] == expected[-1:]


def test_the_last_two_are_kept(tmp_path):
    state = trainer().state()
    for step in (3, 20, 100):
        checkpoints.write(Run(tmp_path), State(**{**vars(state), "step": step}))
    assert file_names(tmp_path) == ["step-0000000020.npz", "step-0000000100.npz"]
    assert checkpoints.newest(Run(tmp_path)).step == 100


@pytest.mark.parametrize("damage", ["emptied", "cut short", "a bit flipped", "overwritten"])
def test_a_damaged_one_gives_way_to_the_one_before(tmp_path, capsys, damage):
    state = trainer().state()
    for step in (1, 2):
        checkpoints.write(Run(tmp_path), State(**{**vars(state), "step": step}))
    newest = Run(tmp_path).checkpoints_folder / "step-0000000002.npz"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 4
    changes = {
        "emptied": b"",
        "cut short": bytes(content[:-100]),
        "a bit flipped": bytes(content),
        "overwritten": b"\0" * len(content),
    }
    newest.write_bytes(changes[damage])
    assert checkpoints.newest(Run(tmp_path)).step == 1
    assert f"{newest}: damaged" in capsys.readouterr().err
    (Run(tmp_path).checkpoints_folder / "step-0000000001.npz").write_bytes(b"")
    with pytest.raises(PigeonholeError, match="no checkpoint that can be read"):
        checkpoints.newest(Run(tmp_path))


def test_one_in_its_making_is_none(tmp_path):
    checkpoints.write(Run(tmp_path), trainer().state())
    (Run(tmp_path).checkpoints_folder / ".step-0000000009.npz.123").write_bytes(b"half")
    assert checkpoints.newest(Run(tmp_path)).step == 0


def test_none_at_all_is_no_error(tmp_path):
    assert checkpoints.newest(Run(tmp_path)) is None


def test_another_network_is_refused(whole):
    other = Trainer(building.build("tutorial", 16, 3, 2), stripes(9), stripes(9), RECIPE, 0)
    before = other.state()
    with pytest.raises(ValueError, match="another network"):
        other.restore(whole)
    assert equal(other.state(), before)


def test_the_writer_writes_beside_the_training_and_tells_of_failures(tmp_path):
    state = trainer().state()
    with checkpoints.Writer(Run(tmp_path), minutes=1000) as writer:
        assert not writer.is_due
        writer.write(state)
    assert checkpoints.newest(Run(tmp_path)).step == 0
    with checkpoints.Writer(Run(tmp_path), minutes=0.0001) as writer:
        time.sleep(0.01)
        assert writer.is_due
    with pytest.raises(OSError), checkpoints.Writer(Run(tmp_path / "gone"), minutes=1) as writer:
        writer.write(state)


def test_other_validation_pictures_begin_a_new_comparison(whole):
    fresh = whole.without_validations()
    assert not fresh.validations and fresh.best_weights is None and fresh.step == STEPS
    again = trainer()
    again.restore(fresh)
    (validation,) = again.run()
    assert validation.step == STEPS and validation.is_kept
