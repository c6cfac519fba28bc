"""Trainings that another program calls: `train`, its callbacks and trackers, and the run that it gives."""

import contextlib
import inspect
import io
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from pigeonhole import Callback, Classifier, PigeonholeError, Run, UsageError, train
from pigeonhole.data.parallel import available_cores
from pigeonhole.features import pretrained
from pigeonhole.jobs import tracking
from pigeonhole.runs.config import FLAGS
from pigeonhole.statistics import wilson_interval
from tests.support.drawn_folders import draw_patches, draw_photos
from tests.support.saved_runs import keep_pictures, save

ROOT = Path(__file__).parents[2]
STEPS = 9  # of a training below: 3 epochs of 24 pictures in batches of 8


class Listening(Callback):
    def __init__(self):
        self.steps, self.validations = [], []

    def on_step(self, network, progress):
        self.steps.append((network, progress))

    def on_validation(self, network, validation):
        self.validations.append((network, validation))


@dataclass
class Trained:
    """A training in another thread than the main one."""

    run: Run
    printed: str
    listening: Listening
    events: list = field(default_factory=list)


def settings(folder: Path, **more) -> dict[str, object]:
    return {
        "cache_dir": folder / "cache",
        "output": folder / "runs",
        "image_size": 20,
        "batch_size": 8,
        "precision": "float32",
        "threads": available_cores(),  # those of all tests in this process
        "no_report": True,
        **more,
    }


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    return draw_patches(tmp_path_factory.mktemp("train") / "pictures", 10)


@pytest.fixture(scope="module")
def trained(pictures) -> Trained:
    listening, events, runs = Listening(), [], []

    def work() -> None:
        told = [listening, lambda network, event: events.append((network, event))]
        asked = settings(pictures.parent, epochs=3, name="one", track=["tensorboard", "mlflow"])
        runs.append(train(str(pictures), callbacks=told, **asked))

    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert runs, out.getvalue()
    return Trained(runs[0], out.getvalue(), listening, events)


def test_it_gives_the_run_and_prints_nothing(trained):
    run = trained.run
    assert trained.printed == ""
    assert run.is_complete and run.name == "one" and run.model_name == "model"
    assert (run.expected_accuracy, list(run.interval)) == (
        run.result()["expected_accuracy"],
        run.result()["interval_95"],
    )
    assert Run.load(run.folder) == run == Run.load(str(run))


def test_callbacks_are_told_of_each_step_and_validation(trained):
    told = trained.listening
    assert [progress.step for _, progress in told.steps] == list(range(1, STEPS + 1))
    history = trained.run.history()
    heard = [validation.valid.loss for _, validation in told.validations]
    assert heard == pytest.approx(history["valid_loss"].tolist(), rel=1e-5)
    assert {network for network, _ in told.steps + told.validations} == {"standard"}
    steps = [event for event in trained.events if event in told.steps]
    assert steps == told.steps and len(trained.events) == STEPS + len(told.validations)


def test_tensorboard_shows_the_curves(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    (network,) = trained.run.tensorboard_folder.iterdir()
    shown = EventAccumulator(str(network))
    shown.Reload()

    def curve(name):
        found = shown.Tensors(name)
        return {each.step: tensor_util.make_ndarray(each.tensor_proto).item() for each in found}

    assert network.name == "standard"
    assert curve("step/loss") == pytest.approx(losses(trained))
    assert curve("valid/accuracy") == pytest.approx(accuracies(trained))


def test_mlflow_shows_the_curves_and_what_was_asked_for(trained):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{trained.run.mlflow_folder}/mlflow.db")
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    (run,) = client.search_runs([experiment.experiment_id])

    def curve(name):
        return {each.step: each.value for each in client.get_metric_history(run.info.run_id, name)}

    assert curve("standard/step/loss") == pytest.approx(losses(trained))
    assert curve("standard/valid/accuracy") == pytest.approx(accuracies(trained))
    assert (run.info.run_name, run.info.status) == ("one", "FINISHED")
    assert run.data.params.items() >= {"batch_size": "8", "epochs": "3", "name": "one"}.items()
    assert "seed" not in run.data.params, "it was not given"
    assert run.data.metrics["expected_accuracy"] == trained.run.expected_accuracy


def losses(trained: Trained) -> dict[int, float]:
    return {progress.step: progress.loss for _, progress in trained.listening.steps}


def accuracies(trained: Trained) -> dict[int, float]:
    return {each.step: each.valid.accuracy for _, each in trained.listening.validations}


def test_an_evaluation_is_arrays(trained, pictures, capfd):
    test = draw_patches(pictures.parent / "tests", 4, seed=1)
    (test / "rot" / "notes.png").write_text("not a picture")
    found = trained.run.evaluate(test, engine="onnx")
    assert capfd.readouterr() == ("", "")
    assert found.classes == ("blau", "grün", "rot") and found.confusion.shape == (3, 3)
    assert found.accuracy == found.confusion.trace() / 12 == (found.labels == found.predicted).mean()
    assert found.interval == wilson_interval(int(found.confusion.trace()), 12)
    recalls = [each.recall for each in found.per_class]
    assert recalls == pytest.approx(found.confusion.diagonal() / found.confusion.sum(axis=1))
    assert found.probabilities.argmax(axis=1).tolist() == found.predicted.tolist()
    assert len(found.names) == 12 and list(found.skipped) == ["rot/notes.png"] and found.copies == []
    assert f"{found.confusion.trace()} of 12 right" in str(found)
    assert "test" not in trained.run.result(), "the run is as before"
    on_training = trained.run.evaluate(pictures, engine="onnx")
    assert len(on_training.copies) == len(on_training.names) == 30


def test_a_classifier_answers_in_words_for_every_kind_of_picture(trained, pictures):
    path = next((pictures / "rot").iterdir())
    with trained.run.classifier(engine="onnx") as classifier:
        pixels = np.zeros((30, 40, 3), np.uint8)
        first, second, third, wrong = classifier.answers([path, path.read_bytes(), pixels, b"nothing"])
        (expected,) = classifier.predict(path)
        assert first.ranked == second.ranked and first.name == str(path) and third.name == "picture 2"
        assert first.class_name == classifier.classes[expected.argmax()]
        assert first.confidence == expected.max() == first.ranked[0][1]
        assert (wrong.class_name, wrong.confidence, wrong.error) == (None, 0.0, "not a picture")
        assert [each.ranked for each in classifier.answers(path)] == [first.ranked]
        with pytest.raises(PigeonholeError, match="keeps no training pictures to name"):
            classifier.answers(path, nearest=1)


def test_answers_name_as_many_training_pictures_as_asked_for(tmp_path):
    pictures = keep_pictures(save(tmp_path / "run"))
    with Classifier.load(tmp_path / "run") as classifier:
        (answer,) = classifier.answers(pictures[7], nearest=3)
        assert [answer.nearest[0].name, len(answer.nearest)] == ["dog/7.png", 3]
        assert classifier.answers(pictures[7])[0].nearest == ()
        for wrong in (-1, 2.5, True, "3"):
            with pytest.raises(UsageError, match=f"nearest: {wrong!r} is not a whole number from 0"):
                classifier.answers(pictures[7], nearest=wrong)
    with pytest.raises(UsageError, match="threads: -3 is not a whole number from 1"):
        Classifier.load(tmp_path / "run", threads=-3)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"learning_rat": 1}, "learning_rat: no such setting; did you mean learning_rate?"),
        ({"zzz": 1}, "zzz: no such setting; help(train) lists them"),
        ({"steps": 1.5}, "steps: 1.5 is not a whole number"),
        ({"track": "wandb"}, "track: ['wandb'] is not a list of tensorboard or mlflow"),
        ({"data": 5}, "data: 5 is not a path"),
        ({"data": ""}, "data: it is empty; name a file or folder"),
        ({"callbacks": print}, "callbacks: <built-in function print> is no list; give [print]"),
        ({"classes": 5}, "classes: 5 is not a list"),
        ({"callbacks": [5]}, "callbacks: 5 has neither on_step nor on_validation"),
        ({"callbacks": [Listening]}, "callbacks: <class 'tests.jobs.test_train.Listening'> has neither"),
        ({"workers": 2}, "workers: several processes are for "),
        ({"resume": True, "output": "nowhere"}, "--resume: no interrupted training in nowhere"),
    ],
)
def test_what_is_wrong_is_told(pictures, tmp_path, wrong, told):
    data = {} if "resume" in wrong else {"data": pictures}
    with pytest.raises(UsageError) as raised:
        train(**{**data, "output": tmp_path / "runs", **wrong})
    assert str(raised.value).startswith(told)
    assert not (tmp_path / "runs").exists()


def test_a_missing_tracker_is_told_with_what_to_install(pictures, tmp_path, monkeypatch):
    monkeypatch.setitem(tracking.MODULES, "mlflow", ("alembic", "no_such_module"))
    monkeypatch.setitem(tracking.extras.OPTIONAL, "no_such_module", ("Nothing", "mlflow"))
    with pytest.raises(PigeonholeError) as raised:
        train(pictures, track="mlflow", output=tmp_path / "runs")
    assert str(raised.value) == '--track mlflow needs Nothing: pip install "pigeonhole[mlflow]"'


def test_each_setting_is_named_by_help_with_its_default():
    shown = inspect.signature(train).parameters
    assert {name: each.default for name, each in shown.items()} == {
        **{field.name: field.default for field in FLAGS},
        "callbacks": (),
    }


@pytest.mark.slow
def test_a_training_that_was_stopped_goes_on_where_it_was(pictures, tmp_path):
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    told = Listening()

    def fail(network, event):
        if told.steps[-1][1].step == 5:
            raise ZeroDivisionError("of the callback")

    asked = settings(tmp_path, steps=STEPS, track=["mlflow"], name="cut")
    with pytest.raises(ZeroDivisionError, match="of the callback"):
        train(pictures, callbacks=[told, fail], **asked)
    run = Run(tmp_path / "runs" / "cut")
    assert not run.is_complete and not run.is_held

    def interrupt(network, event):
        if len(told.steps) == 7:
            signal.raise_signal(signal.SIGINT)

    stopped = train(resume=run.folder, callbacks=[told, interrupt])
    assert stopped == run and stopped.has_model and not stopped.is_complete
    assert stopped.classifier(engine="onnx").predict(next((pictures / "rot").iterdir())).shape == (1, 3)
    train(resume=str(run), callbacks=[told])
    assert run.is_complete
    assert [progress.step for _, progress in told.steps][-1] == STEPS
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{run.mlflow_folder}/mlflow.db")
    (followed,) = client.search_runs([client.get_experiment_by_name(tracking.EXPERIMENT).experiment_id])
    assert followed.info.status == "FINISHED"
    same = train(repeat=run.folder, output=tmp_path / "runs", name="same")
    assert same.is_complete


@pytest.mark.slow
@pytest.mark.skipif(not pretrained.available(), reason=f"needs {pretrained.REQUIREMENT}")
def test_the_candidates_of_auto_are_told_of_by_name(tmp_path, capfd):
    told = Listening()

    def interrupt(network, event):
        if told.validations and event is told.validations[-1][1]:  # a second signal would act at once
            signal.raise_signal(signal.SIGINT)

    run = train(
        draw_photos(tmp_path / "photos", 24, wrong=4),
        network="auto",
        minutes=10,  # of which it takes what comes before the first validation
        callbacks=[told, interrupt],
        **{
            name: value
            for name, value in settings(tmp_path).items()
            if name not in ("image_size", "batch_size")
        },
    )
    assert capfd.readouterr() == ("", "")
    assert {network for network, _ in told.steps} == {run.settings()["candidates"][0]["name"]} == {"tuned"}
    assert run.has_model and 0.5 < run.expected_accuracy < 1
    (answer,) = run.classifier().answers(next((tmp_path / "photos" / "spots").iterdir()), nearest=2)
    assert len(answer.nearest) == 2


TERMINATED = """
import signal, sys
from pigeonhole import train
def stop(network, event):
    signal.raise_signal(signal.SIGTERM)
train(sys.argv[1], output=sys.argv[2], name="cut", steps=20, image_size=20, no_report=True, callbacks=[stop])
print("went on")
"""


@pytest.mark.slow
def test_a_termination_ends_the_program_and_loses_nothing(pictures, tmp_path):
    command = [sys.executable, "-c", TERMINATED, str(pictures), str(tmp_path / "runs")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, ""), done.stderr
    assert Run(tmp_path / "runs" / "cut").is_interrupted
