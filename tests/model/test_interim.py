"""Checkpoints for programs of TensorFlow 1 while a training goes on: its network, restored by names."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pigeonhole.errors import PigeonholeError
from pigeonhole.jobs import following
from pigeonhole.model import interim, public_graph
from pigeonhole.model.classifier import Classifier
from pigeonhole.model.interface import ForeignCheckpoint
from pigeonhole.model.interim import Interim
from pigeonhole.runs import checkpoints
from pigeonhole.runs.config import TrainingConfig
from pigeonhole.runs.records import Score, Validation
from pigeonhole.runs.run import Run
from pigeonhole.training.callbacks import Told
from tests.support import saved_runs
from tests.support.small_trainings import RECIPE, trainer

v1 = tf.compat.v1
LONG = 10**6  # steps


@pytest.fixture
def stopped(tmp_path):
    """A training that SIGTERM has ended after its fifth validation, and its run."""
    run = Run(tmp_path / "stopped")
    run.checkpoints_folder.mkdir(parents=True)
    stopping = trainer(replace(RECIPE, validate_every="2steps"))
    stopping.total_steps = LONG

    def terminate(network: str, what: object) -> None:
        if isinstance(what, Validation) and len(stopping.validations) == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch, following.stop_request(None) as request:
        patch.setattr(interim, "SHARE", 1.0)  # a busy machine writes for longer than it trains
        told = Told([terminate])
        writing = Interim(run, stopping.model, stopping.valid.class_names)
        trained = following.follow(stopping, run, TrainingConfig(), request, told, writing)
    assert trained.exit_status == following.TERMINATED
    return run, stopping


def restored(prefix: str, fetches: list[str], feeds: dict[str, object]) -> list:
    """What a program of TensorFlow 1 gets from a checkpoint in a graph of its own."""
    with tf.Graph().as_default(), v1.Session() as session:
        v1.train.import_meta_graph(f"{prefix}.meta").restore(session, prefix)
        return session.run(fetches, feeds)


@pytest.mark.slow
def test_a_reader_gets_the_network_of_which_the_history_tells(stopped):
    run, stopping = stopped
    valid, history = stopping.valid, run.history()
    labels = np.eye(2)[valid.label_indices]
    state = v1.train.get_checkpoint_state(str(run.checkpoints_folder))
    kept = list(state.all_model_checkpoint_paths)
    assert kept[-1] == tf.train.latest_checkpoint(str(run.checkpoints_folder)) and len(kept) == interim.KEPT
    rows = history["step"].astype(int).tolist()
    for prefix in kept:
        names = ["global_step:0", "accuracy:0", "cost:0", "classes:0", "input_check:0"]
        feeds = {"x:0": valid.images, "y_true:0": labels}
        step, accuracy, cost, classes, is_bytes = restored(prefix, names, feeds)
        row = rows.index(step)
        assert accuracy == pytest.approx(history["valid_accuracy"][row], abs=1e-6)
        assert cost == pytest.approx(history["valid_loss"][row], rel=1e-4)
        assert [name.decode() for name in classes] == valid.class_names and is_bytes
    assert step == rows[-1] == stopping.validations[-1].step


def test_it_is_the_network_whose_learnt_weights_tensorflow_1_finds(tmp_path):
    model = saved_runs.network(name="classic_tiny", size=32)
    values = public_graph.named(model, [variable.numpy() for variable in model.variables], 3)
    interim.write(tmp_path, interim.graph(model, saved_runs.CLASSES), values)
    prefix = tf.train.latest_checkpoint(str(tmp_path))
    pixels = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)
    with tf.Graph().as_default(), v1.Session() as session:
        v1.train.import_meta_graph(f"{prefix}.meta").restore(session, prefix)
        learnt = {variable.op.name for variable in v1.trainable_variables()}
        assert learnt == {variable.path for variable in model.trainable_variables}
        logits = session.run("logits:0", {"data_tensor:0": pixels})
    np.testing.assert_allclose(logits, model(pixels.astype(np.float32)), rtol=1e-4)
    with pytest.raises(PigeonholeError, match=r"model-3: a checkpoint of .*; name the folder of its run"):
        Classifier.load(tmp_path, foreign=ForeignCheckpoint(labels=saved_runs.CLASSES))


def test_what_is_left_of_killed_writings_goes_and_a_new_start_removes_all(tmp_path):
    run = Run(tmp_path)
    folder = run.checkpoints_folder
    folder.mkdir()
    values = {"weights": np.ones(3, np.float32), "global_step": np.int64(1)}
    (folder / "model-7.data-00000-of-00001.tempstate1").write_bytes(b"half")
    for step in range(1, 6):
        interim.write(folder, b"graph", {**values, "global_step": np.int64(step)})
        newest = tf.train.latest_checkpoint(str(folder))
        assert tf.train.load_variable(newest, "global_step") == step
    steps = {file.name.partition(".")[0] for file in folder.glob("model-*")}
    assert steps == {"model-3", "model-4", "model-5"}
    checkpoints.remove(run)
    assert tf.train.latest_checkpoint(str(folder)) is None and not list(folder.iterdir())


def test_the_graph_is_made_only_where_it_takes_little_of_the_training():
    model = saved_runs.network(name="classic_tiny", size=32)
    score = Score(1, 2, 0.5)
    first, second = (
        Validation(1.0, step, 0.1, score, score, seconds, 10.0, True, np.ones(2, bool))
        for step, seconds in ((10, 1.0), (20, 2.0))
    )
    for total, is_written in ((200, False), (10**6, True)):
        writing = Interim(Run(Path("run")), model, saved_runs.CLASSES)
        assert writing.after(first, total) is None, "the first step is no measure"
        assert (writing.after(second, total) is not None) == is_written
