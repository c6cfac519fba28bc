"""Trainings that are stopped, killed, gone on with and repeated: always the same bits in the end."""

import csv
import functools
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from pigeonhole.commands import train
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.model.classifier import Classifier
from pigeonhole.runs import digests, search
from pigeonhole.runs.run import Run
from tests.support.drawn_folders import draw_patches
from tests.support.training_program import ROOT, WEIGHTS, command, done, flags, resume, stopped

KILLS = 20
ATTEMPTS = 5
REPETITIONS = 10
STEPS, LONGER = 54, 72  # of a whole training, and of one that is lengthened by two epochs


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return draw_patches(tmp_path_factory.mktemp("pictures") / "training data", 30)


def weights(run: Path) -> bytes:
    return (run / WEIGHTS).read_bytes()


def untimed_history(run: Path) -> list[dict[str, str]]:
    with (run / "history.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["valid_loss"]]  # the others are logged steps
    return [
        {name: row[name] for name in row if name not in ("seconds", "pictures_per_second")} for row in rows
    ]


def last_step(run: Path) -> int:
    """That of the run's last checkpoint."""
    return int(max((run / Run.checkpoints_folder.name).glob("*.npz")).stem.removeprefix("step-"))


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> Path:
    """A run that was never stopped."""
    output = tmp_path_factory.mktemp("whole")
    assert train.main(flags(data, output, "whole")) == 0
    return output / "whole"


@pytest.fixture(scope="module")
def terminated(data, tmp_path_factory) -> Path:
    """A run that was terminated in its third epoch."""
    output = tmp_path_factory.mktemp("terminated")
    status, said = stopped(flags(data, output, "ended", "--log-every", "1"), signal.SIGTERM, "step 21/")
    assert status == 143 and f"go on with: python {ROOT / 'train.py'} --resume {output / 'ended'}" in said
    return output / "ended"


@pytest.fixture
def interrupted(terminated, tmp_path) -> Path:
    """A copy of that run."""
    return shutil.copytree(terminated, tmp_path / "runs" / "ended")


def test_a_terminated_training_goes_on_and_ends_like_one_that_was_not(interrupted, whole, capsys):
    assert not Run(interrupted).has_model
    step = last_step(interrupted)
    assert resume(interrupted) == 0
    assert step >= 21 and f"going on    from step {step}, epoch {step / 9:.1f}" in capsys.readouterr().out
    assert weights(interrupted) == weights(whole)
    assert untimed_history(interrupted) == untimed_history(whole)
    assert digests.read(Run(interrupted)) == digests.read(Run(whole))
    assert {path.name for path in interrupted.iterdir()} == {path.name for path in whole.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("by", "status", "line"),
    [(signal.SIGTERM, 143, "terminated  go on with: "), (signal.SIGINT, 130, "resume      ")],
)
def test_stopped_after_the_last_step_it_goes_on_to_the_same_bits(data, whole, tmp_path, by, status, line):
    for name in ("late", "later", "latest"):  # on a busy machine it may be done before the signal comes
        run = tmp_path / name
        arguments = [each for each in flags(data, tmp_path, name) if each != "--no-report"]
        ended, said = stopped(arguments, by, "validation")
        if ended:
            break
    resumed = f"python {ROOT / 'train.py'} --resume {run}"
    assert ended == status and said.endswith(f"{line}{resumed}\n")
    assert not (run / "report.html").exists()
    assert resume(run, "--no-report") == 0
    assert weights(run) == weights(whole)


@pytest.mark.slow
def test_terminated_before_the_first_step(data, tmp_path):
    status, said = stopped(flags(data, tmp_path, "early"), signal.SIGTERM, "network ")
    assert status == 143
    begun = (tmp_path / "early").exists()
    assert ("terminated  go on with: " in said) == begun
    assert not begun or resume(tmp_path / "early") == 0


@pytest.mark.slow
def test_the_newest_interrupted_run_is_meant_without_a_name(interrupted, monkeypatch, capsys):
    monkeypatch.chdir(interrupted.parents[1])
    assert train.main(["--resume", "--no-cache"]) == 0
    assert "saved       runs/ended" in capsys.readouterr().out
    with pytest.raises(UsageError, match="no interrupted training in runs"):
        train.main(["--resume"])
    with pytest.raises(UsageError, match="this training is finished"):
        train.main(["--resume", "ended"])


@pytest.mark.slow
def test_its_best_network_so_far_answers_at_once(interrupted, data, capfd):
    picture = data / "rot" / "000.png"
    done = subprocess.run(
        [sys.executable, ROOT / "predict.py", "--model", interrupted, picture, "--json"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "the training has not ended; its best network so far, of step " in done.stderr
    (answer,) = json.loads(done.stdout)
    assert {each["class"] for each in answer["predictions"]} == {"rot", "grün", "blau"}
    assert sum(each["probability"] for each in answer["predictions"]) == pytest.approx(1, abs=1e-5)
    assert not Run(interrupted).has_model, "predicting must not change the run"
    with Classifier.load(interrupted) as classifier:
        assert classifier.classes == ("blau", "grün", "rot")


def test_without_a_validation_there_is_no_network_to_ask(interrupted):
    for file in (interrupted / Run.checkpoints_folder.name).glob("*.npz"):
        arrays = dict(np.load(file))
        kept = {name: value for name, value in arrays.items() if not name.startswith("best_")}
        np.savez(file, **kept)
    with pytest.raises(PigeonholeError, match="before its first validation"):
        Classifier.load(interrupted)


@pytest.mark.slow
def test_killed_before_the_first_checkpoint_it_begins_anew(interrupted, whole):
    for file in (interrupted / Run.checkpoints_folder.name).glob("*.npz"):
        file.unlink()
    assert resume(interrupted) == 0
    assert weights(interrupted) == weights(whole)


@pytest.mark.slow
def test_a_damaged_checkpoint_gives_way_to_the_one_before(interrupted, whole, capsys):
    older, newest = sorted((interrupted / Run.checkpoints_folder.name).glob("*.npz"))
    before = int(older.stem.removeprefix("step-"))
    newest.write_bytes(newest.read_bytes()[:-1000])
    assert resume(interrupted) == 0
    captured = capsys.readouterr()
    assert f"{newest}: damaged" in captured.err and f"from step {before}, " in captured.out
    assert weights(interrupted) == weights(whole)


@pytest.mark.parametrize(
    "more, named",
    [
        (["--learning-rate", "0.5"], "--learning-rate was not given, now 0.5"),
        (["--epochs", "9"], "--epochs was 6.0, now 9.0"),
        (["--steps", "9"], "--steps was not given, now 9"),
        (["--precision", "bfloat16"], "--precision was float32, now bfloat16"),
        (["--threads", "1"], "--threads was 2, now 1"),
        (["--seed", "8"], "--seed was 0, now 8"),
    ],
)
def test_other_flags_are_refused_by_name(interrupted, more, named):
    with pytest.raises(UsageError, match=named) as caught:
        resume(interrupted, *more)
    assert "--force" in str(caught.value)


@pytest.mark.slow
def test_flags_that_decide_nothing_may_change(interrupted, whole, data):
    assert resume(interrupted, "--log-every", "5", "--test", str(data), "--checkpoint-minutes", "0.001") == 0
    assert weights(interrupted) == weights(whole)


@pytest.fixture
def changed_data(interrupted, data, tmp_path) -> Path:
    """The pictures of the interrupted run, one of them changed, one missing, one added."""
    folder = shutil.copytree(data, tmp_path / "changed")
    (folder / "rot" / "001.png").unlink()
    shutil.copy(folder / "blau" / "000.png", folder / "blau" / "new.png")
    picture = np.full((30, 30, 3), 77, np.uint8)
    (folder / "grün" / "002.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    return folder


@pytest.mark.slow
def test_other_data_are_refused_by_name_and_accepted_by_force(interrupted, changed_data, whole):
    with pytest.raises(UsageError) as caught:
        resume(interrupted, "--data", str(changed_data))
    for part in ("1 picture new (blau/new.png)", "missing (rot/001.png)", "of other content (grün/002.png)"):
        assert part in str(caught.value)
    assert resume(interrupted, "--data", str(changed_data), "--force") == 0
    assert weights(interrupted) != weights(whole)
    settings = json.loads((interrupted / "settings.json").read_text("utf-8"))
    assert len(settings["changed_midway"]) == 3 and settings["options"]["data"] == str(changed_data)
    with pytest.raises(UsageError, match="changed midway"):
        train.main(["--repeat", str(interrupted)])


@pytest.mark.slow
def test_a_longer_training_can_be_forced(interrupted):
    assert resume(interrupted, "--steps", "60", "--force") == 0
    settings = json.loads((interrupted / "settings.json").read_text("utf-8"))
    assert settings["total_steps"] == 60 and settings["options"]["epochs"] is None


@pytest.mark.slow
def test_moved_data_are_the_same_data(interrupted, data, tmp_path, whole):
    moved = shutil.copytree(data, tmp_path / "elsewhere")
    assert resume(interrupted, "--data", str(moved)) == 0
    assert weights(interrupted) == weights(whole)


@pytest.mark.slow
def test_two_processes_cannot_train_one_run(interrupted):
    with Run(interrupted).held():
        held = done("--resume", interrupted, "--no-cache")
        assert held.returncode == 1
        assert held.stderr == f"error: {interrupted}: another process is training this run\n"
        assert search.last_interrupted(interrupted.parent) is None
    assert search.last_interrupted(interrupted.parent).folder == interrupted


@pytest.mark.slow
def test_a_stopped_training_has_a_model_and_can_be_gone_on_with(data, tmp_path, whole):
    status, said = stopped(flags(data, tmp_path, "stopped", "--log-every", "1"), signal.SIGINT, "step 21/")
    run = tmp_path / "stopped"
    assert status == 130 and f"python {ROOT / 'train.py'} --resume {run}" in said
    assert Run(run).has_model
    with Classifier.load(run) as classifier:
        assert len(classifier.classes) == 3
    assert resume(run) == 0
    assert weights(run) == weights(whole)
    assert json.loads((run / "progress.json").read_text())["state"] == "finished"


@pytest.fixture(scope="module")
def warm(data, whole, tmp_path_factory) -> tuple[list[str], Path]:
    """The flags of a training that begins with another's weights, half of it with the head alone, and that
    looks at mirror images too; its run."""
    output = tmp_path_factory.mktemp("warm")
    begun = ["--weights", str(whole), "--freeze", "0.5", "--flip-average", "--log-every", "1"]
    assert train.main(flags(data, output, "whole", *begun)) == 0
    return begun, output / "whole"


@pytest.mark.slow
@pytest.mark.parametrize("step", [13, 40])
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_stopped_with_the_head_alone_or_with_all_it_ends_with_the_same_bits(data, warm, tmp_path, by, step):
    begun, whole = warm
    arguments = flags(data, tmp_path, "ended", *begun, "--checkpoint-minutes", "0.002")
    status, _ = stopped(arguments, by, f"step {step}/")
    run = tmp_path / "ended"
    assert status == (143 if by == signal.SIGTERM else -signal.SIGKILL) and not Run(run).has_model
    assert (last_step(run) > 27) == (step > 27), "the phase that was meant"
    if step > 27:  # after its first validation
        with Classifier.load(run) as classifier:
            assert classifier.has("average/output")
    assert resume(run) == 0
    assert weights(run) == weights(whole)
    assert digests.read(Run(run)) == digests.read(Run(whole))


def test_a_repeated_training_is_identical_and_says_so(whole, tmp_path, capsys):
    again = ["--repeat", str(whole), "--output", str(tmp_path), "--name", "again"]
    assert train.main(again) == 0
    assert f"identical to {whole}: weights, history and predictions" in capsys.readouterr().out
    assert weights(tmp_path / "again") == weights(whole)


@pytest.mark.slow
def test_a_repetition_that_comes_out_otherwise_says_so(whole, tmp_path, capsys):
    altered = shutil.copytree(whole, tmp_path / "altered")
    result = json.loads((altered / "result.json").read_text("utf-8"))
    result["outcome"]["predictions"] = "0" * 64
    Run(altered).write_result({name: value for name, value in result.items() if name != "sha256"})
    assert train.main(["--repeat", str(altered), "--output", str(tmp_path), "--name", "again"]) == 1
    assert f"not identical to {altered}: other predictions" in capsys.readouterr().out


@pytest.mark.slow
def test_another_version_is_told(whole, tmp_path, capsys):
    older = shutil.copytree(whole, tmp_path / "older")
    settings = json.loads((older / "settings.json").read_text("utf-8"))
    settings["versions"]["numpy"] = "1.0"
    Run(older).write_settings({name: value for name, value in settings.items() if name != "sha256"})
    assert train.main(["--repeat", str(older), "--output", str(tmp_path), "--name", "again"]) == 0
    assert "note: numpy was 1.0, now" in capsys.readouterr().err


@pytest.mark.slow
def test_what_was_measured_is_replayed(data, tmp_path, capsys):
    short = [
        "--network",
        "standard",
        "--minutes",
        "0.02",
        "--precision",
        "auto",
        "--no-report",
        "--cache-dir",
        str(tmp_path / "cache"),
    ]
    first = ["--data", str(data), "--output", str(tmp_path), "--name", "first", *short]
    assert train.main(first) == 0
    assert (
        train.main(["--repeat", str(tmp_path / "first"), "--output", str(tmp_path), "--name", "again"]) == 0
    )
    said = capsys.readouterr().out
    assert said.count("measuring the first steps") == 1 and "identical" in said
    steps = [
        json.loads((tmp_path / name / "settings.json").read_text())["total_steps"]
        for name in ("first", "again")
    ]
    assert steps[0] == steps[1]


@pytest.mark.parametrize(
    "arguments, named",
    [
        (["--resume", "nowhere"], "--resume nowhere: no such run"),
        (["--repeat", "nowhere"], "--repeat nowhere: no such run"),
        (["--resume", "--output", "nowhere"], "no interrupted training in nowhere"),
    ],
)
def test_a_run_that_is_not_there_is_named(arguments, named):
    with pytest.raises(UsageError, match=named):
        train.main(arguments)


@pytest.mark.parametrize(
    "arguments, named",
    [
        (["--force", "--data", "."], "--force belongs to"),
        ([], "--data is required"),
        (["--resume", "--name", "x"], "--name cannot be given"),
    ],
)
def test_flags_that_do_not_go_together(arguments, named):
    with pytest.raises(UsageError, match=named):
        train.main(arguments)


def test_flags_that_exclude_each_other(capsys):
    with pytest.raises(SystemExit) as caught:
        train.main(["--resume", "a", "--repeat", "b"])
    assert caught.value.code == 2
    assert "--repeat: not allowed with argument --resume" in capsys.readouterr().err


def test_an_unfinished_run_cannot_be_repeated(interrupted):
    with pytest.raises(UsageError, match="is not finished"):
        train.main(["--repeat", str(interrupted)])


# --- lengthened ---


@pytest.fixture
def run(whole, tmp_path) -> Path:
    """A copy of the run that was never stopped."""
    return shutil.copytree(whole, tmp_path / "runs" / "finished")


def last_state(run: Path) -> dict[str, np.ndarray]:
    with np.load(run / Run.last_state_file.name) as arrays:
        return {name: arrays[name] for name in arrays.files}


def test_it_goes_on_from_weights_optimizer_and_step_and_keeps_what_was_reached(run, capsys):
    history, reached = Run(run).history(), Run(run).result()
    assert resume(run, "--epochs", "8", "--schedule", "one-cycle", "--learning-rate", "0.02") == 0
    said = capsys.readouterr().out
    assert f"from step {STEPS}, epoch 6.0" in said and f"lengthened after {STEPS} steps, epoch 6," in said
    settings, lengthened = Run(run).settings(), Run(run).history()
    assert settings["total_steps"] == LONGER == last_state(run)["step"] and not settings["changed_midway"]
    assert LONGER in [value for value in last_state(run).values() if value.shape == ()]  # Adam's iterations
    rows = len(history["step"])
    for column in history:
        np.testing.assert_array_equal(lengthened[column][:rows], history[column])
    assert lengthened["step"][rows:].min() > STEPS and lengthened["step"][-1] == LONGER
    assert lengthened["learning_rate"][rows - 1] != 0.02
    assert lengthened["learning_rate"][-1] < 1e-3  # a cycle's end
    (before,) = Run(run).result()["before"]
    assert before["expected_accuracy"] == reached["expected_accuracy"]
    assert Run(run).is_complete and search.newest(run.parent).folder == run


def test_nothing_is_lengthened_without_more_steps(run):
    with pytest.raises(UsageError, match=r"finished; nothing is left to do, but --epochs"):
        resume(run)
    with pytest.raises(UsageError, match=r"--epochs 6: .* trained for 6 epochs already, 54 steps"):
        resume(run, "--epochs", "6")
    with pytest.raises(UsageError, match=r"--dropout was not given, now 0.3"):
        resume(run, "--steps", "60", "--dropout", "0.3")
    (run / Run.last_state_file.name).unlink()
    with pytest.raises(UsageError, match=r"has no last_state.npz to go on from"):
        resume(run, "--steps", "60")


# --- killed and repeated often ---


def fresh(data: Path, output: Path, name: str) -> list[str]:
    return flags(data, output, name, "--checkpoint-minutes", "0.002")


def is_writing_checkpoint(run: Path) -> bool:
    return any((run / Run.checkpoints_folder.name).glob(".step-*"))


def is_writing_model(run: Path) -> bool:
    return (run / ".saving").is_dir()


def is_moving_model(run: Path) -> bool:
    return (run / "model.index").is_file() and not Run(run).has_model


def has_model(run: Path) -> bool:
    return Run(run).has_model


def killed_when(arguments: list[str], is_time: Callable[[], bool]) -> bool:
    """Kill the training at that moment; whether it came before the training's end."""
    with subprocess.Popen(
        command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            if is_time():
                process.kill()
                break
            time.sleep(0.0005)
    return process.returncode == -signal.SIGKILL


def killed_after(arguments: list[str], step: int, seconds: float) -> bool:
    """Kill the training so long after that step; whether that was before the training's end."""
    with subprocess.Popen(
        command(*arguments, "--log-every", "1"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        for line in process.stdout:
            if line.startswith(f"step {step}/"):
                time.sleep(seconds)
                process.kill()
                break
        process.communicate(timeout=300)
    return process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_killed_at_twenty_instants_it_always_ends_with_the_same_bits(data, tmp_path):
    assert done(*fresh(data, tmp_path, "whole")).returncode == 0
    whole = tmp_path / "whole"
    moments = [is_writing_checkpoint, is_writing_checkpoint, is_writing_model, is_moving_model, has_model]
    drawn = random.Random(0)
    instants = [(drawn.randrange(1, STEPS + 1), drawn.uniform(0, 0.3)) for _ in range(KILLS - len(moments))]

    def killed_and_resumed(number: int) -> Path:
        for attempt in range(ATTEMPTS):  # a moment may pass while this process waits for the processor
            run = tmp_path / f"run{number}-{attempt}"
            arguments = fresh(data, tmp_path, run.name)
            if number < len(instants):
                was_killed = killed_after(arguments, *instants[number])
            else:
                was_killed = killed_when(arguments, functools.partial(moments[number - len(instants)], run))
            if was_killed:
                resumed = done("--resume", run)
                assert resumed.returncode == 0, resumed.stderr
                return run
        raise AssertionError(f"kill {number}: the moment was never met")

    with ThreadPoolExecutor(2) as pool:
        killed = list(pool.map(killed_and_resumed, range(KILLS)))
    for run in killed:
        assert weights(run) == weights(whole), run
        assert untimed_history(run) == untimed_history(whole), run
        assert digests.read(Run(run)) == digests.read(Run(whole)), run
        assert not (run / Run.checkpoints_folder.name).exists()


@pytest.mark.slow
def test_ten_repetitions_are_identical_and_another_seed_is_not(data, tmp_path):
    kinds = {
        "no cache": (["--no-cache"], []),
        "one reader": ([], ["taskset", "--cpu-list", "0"]) if shutil.which("taskset") else ([], []),
        "seed": (["--seed", "1"], []),
    }

    def trained(name: str) -> Path:
        more, before = kinds.get(name, ([], []))
        made = subprocess.run(
            [*before, *command(*flags(data, tmp_path, name, *more))], capture_output=True, timeout=300
        )
        assert made.returncode == 0, made.stderr
        return tmp_path / name

    names = [str(number) for number in range(REPETITIONS)]
    with ThreadPoolExecutor(2) as pool:
        *same, other = pool.map(trained, [*names, "no cache", "one reader", "seed"])
    assert len({weights(run) for run in same}) == 1
    assert len({json.dumps(digests.read(Run(run))) for run in same}) == 1
    assert weights(other) != weights(same[0])
    assert digests.differing(digests.read(Run(other)), digests.read(Run(same[0]))) == [
        "weights",
        "history",
        "predictions",
    ]
