"""The history of a run: validations, the steps logged between them, and what a resumed training keeps."""

import numpy as np

from pigeonhole.runs.history import History
from pigeonhole.runs.records import Progress, Score, Validation
from pigeonhole.runs.run import Run


def validation(step: int) -> Validation:
    right = np.ones(4, bool)
    return Validation(
        step / 10, step, 0.1, Score(8, 10, 0.5), Score(3, 4, 0.25), 1.5, 80.0, is_kept=True, valid_right=right
    )


def step(number: int) -> Progress:
    return Progress(number, 40, 0.1, 1 / number, 3, 4)


def test_logged_steps_lie_between_validations_and_are_read_apart(tmp_path):
    run = Run(tmp_path)
    history = History(run, every=5)
    for number in range(1, 16):
        history.log(step(number), 10)
        if number == 10:
            history.add(validation(10))
    assert run.history()["step"].tolist() == [10] and run.history()["valid_loss"].tolist() == [0.25]
    logged = run.logged()
    assert logged["step"].tolist() == [5, 10, 15] and logged["epoch"].tolist() == [0.5, 1, 1.5]
    np.testing.assert_allclose(logged["train_loss"], [1 / 5, 1 / 10, 1 / 15], rtol=1e-5)
    assert logged["train_accuracy"].tolist() == [0.75] * 3 and np.isnan(logged["valid_accuracy"]).all()


def test_a_resumed_training_keeps_what_was_logged_up_to_its_checkpoint(tmp_path):
    run = Run(tmp_path)
    history = History(run, every=5)
    for number in range(1, 22):
        history.log(step(number), 10)
    before = run.history_file.read_bytes()
    assert History(run, steps_done=20) and run.history_file.read_bytes() == before
    History(run, [validation(10)], steps_done=12)
    steps = [line.split(",")[1] for line in run.history_file.read_text().splitlines()]
    assert steps == ["step", "5", "10", "10"] and run.history()["step"].tolist() == [10]
    History(run)  # a training that begins again
    assert len(run.history_file.read_text().splitlines()) == 1
