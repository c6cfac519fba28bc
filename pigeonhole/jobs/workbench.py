"""Trainings and exports that are started from a page: one at a time, each a process of its own."""

import dataclasses
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pigeonhole import cli
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.evaluation import judged_answers
from pigeonhole.evaluation.comparison import Comparison
from pigeonhole.jobs import page_words
from pigeonhole.jobs.process import Process
from pigeonhole.runs import search
from pigeonhole.runs.run import Run
from pigeonhole.terminal import say

PATIENCE = 60  # seconds for a training to write its last state, in closing
LONGEST_STEM = 60  # characters of a run's name before its number
LISTED = 20  # runs
SAID = 40  # lines told of a job
QUICK, FULL, RESUME, EXPORT = KINDS = ("quick", "full", "resume", "export")
RUNNING, DONE, STOPPED, FAILED = ("running", "done", "stopped", "failed")
READING, FITTING, JUDGING = range(3)  # stages of a training; from the last on, its model answers
# That the page offers, and where `export` puts them: to ask it would import TensorFlow.
FORMS = {"bundle": "bundle.zip", "onnx": Run.onnx_file.name, "web": "web"}


@dataclass(frozen=True)
class Source:
    """What is trained on, and where the runs lie.

    decisions  where the user's are kept; without that file, the folders alone say what a picture shows
    flags      further ones of `train`, such as those of the cache
    flag       by which `train` takes the decisions
    """

    folder: Path
    decisions: Path
    output: Path = search.RUNS
    flags: Sequence[str] = ()
    flag: str = "--labels"


@dataclass(frozen=True)
class Job:
    """What was started last. `form`: of an export; `reason`: why it failed, a line; `said`: its last lines.

    `stage`: of a training, READING to JUDGING; full ones try other networks in the last. `done` and `total`:
    its steps there; `seconds_left`: None where it is not known.
    """

    kind: str
    run: str
    form: str
    state: str
    seconds: float
    reason: str
    said: list[str]
    stage: int = READING
    done: int | None = None
    total: int | None = None
    seconds_left: float | None = None


@dataclass(frozen=True)
class Kept:
    """A run that was trained on the folder. `accuracy`: value, low, high and number of pictures; None
    where it says nothing. `out_of_fold`: these are all that it was given, each answered by a head that was
    not fitted to it; else those that it kept apart. `forms`: those that it is exported to. `state`: finished,
    stopped or training."""

    name: str
    state: str
    has_model: bool
    accuracy: tuple[float, float, float, int] | None
    out_of_fold: bool
    has_report: bool
    has_curves: bool
    forms: list[str]


@dataclass(frozen=True)
class Compared:
    """A run against the one before: `lines` for people, or why they cannot be compared."""

    run: str
    before: str
    comparison: Comparison | None
    lines: list[str]


class Workbench:
    """The trainings of one folder. Safe for threads.

    finished  is called, by a thread, with a run whose model has been written

    Within its `with` block jobs run; at the end, the one that is running is stopped so that it can be
    resumed.
    """

    def __init__(self, source: Source, finished: Callable[[Run], None] = lambda run: None):
        self.source, self._finished = source, finished
        self._mutex = threading.Lock()
        self._process: Process | None = None
        self._job: Job | None = None
        self._is_stopping = self._is_closed = False
        self._compared: tuple[object, Compared | None] = (None, None)

    def __enter__(self) -> "Workbench":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop what is running; a training keeps its last state, with which it can be resumed."""
        with self._mutex:
            self._is_closed = self._is_stopping = True
            process, job = self._process, self._job
        if not process or not process.is_running:
            return
        say(f"ending  {'an export of' if job.kind == EXPORT else 'the training'} {job.run} ...")
        process.terminate(PATIENCE)
        run = self.run_of(job)
        if job.kind != EXPORT and run.settings_file.is_file() and not run.is_complete:
            say(f"resume  {cli.command('train')} --resume {cli.quote(run)}")

    def train(self, quick: bool, minutes: float | None = None) -> None:
        """Begin a training, by default as long as `train` finds right. `quick`: the first answer alone.

        Raises UsageError where another job is running or nothing can be written.
        """
        source = self.source
        page_words.check_output(source.output)
        name = self._free_name()
        arguments = ["--data", str(source.folder), "--output", str(source.output), "--name", name]
        arguments += [source.flag, str(source.decisions)] if source.decisions.is_file() else []
        arguments += ["--quick"] if quick else ["--minutes", str(minutes)] if minutes else []
        self._start(QUICK if quick else FULL, name, "train", [*arguments, *source.flags])

    def resume(self, name: str) -> None:
        """Go on with a training. Raises UsageError without such a run, or where another job is running."""
        self._start(RESUME, name, "train", ["--resume", str(self.run(name).folder)])

    def export(self, name: str, form: str) -> None:
        """Begin to write a run's model in a form of FORMS. Raises UsageError as `resume` does."""
        if form not in FORMS:
            raise UsageError(f"There is no form {form!r}.")
        if form == "web":
            page_words.check_web()
        self._start(EXPORT, name, "export", [str(self.run(name).folder), "--to", form], form)

    def stop(self) -> None:
        """Ask the job to end: a training keeps the best network so far, and can be resumed."""
        with self._mutex:
            if self._process and self._process.is_running:
                self._is_stopping = True
                self._process.interrupt()

    def run(self, name: str) -> Run:
        """The run of this name. Raises UsageError where it was not trained on the folder."""
        for run in self._runs():
            if run.name == name:
                return run
        raise UsageError("There is no run of that name.")

    def run_of(self, job: Job) -> Run:
        """The run that the job makes or exports; it need not be there yet."""
        return Run(self.source.output / job.run)

    @property
    def job(self) -> Job | None:
        """What was started last; None where nothing was."""
        with self._mutex:
            job, process, is_stopping = self._job, self._process, self._is_stopping
        if job is None:
            return None
        state = RUNNING
        if not process.is_running:
            state = DONE if process.exit_status == 0 else STOPPED if is_stopping else FAILED
        told = {"state": state, "seconds": process.seconds, "said": process.lines[-SAID:]}
        if state == FAILED:
            told["reason"] = page_words.reason(process.reason)
        if state == RUNNING and job.kind != EXPORT:
            told |= _progress(self.run_of(job))
        return dataclasses.replace(job, **told)

    @property
    def runs(self) -> list[Kept]:
        """The runs that were trained on the folder, the one that was written last first."""
        return [_kept(run) for run in self._runs()[:LISTED]]

    @property
    def newest(self) -> Run | None:
        """The run that answers: the newest that is finished, else the newest with a model."""
        answering = [run for run in self._runs() if run.has_model]
        return next((run for run in answering if run.is_complete), next(iter(answering), None))

    def compared(self) -> Compared | None:
        """The newest finished run against the one before; None without two of them."""
        finished = [run for run in self._runs() if run.has_model and run.is_complete][:2]
        if len(finished) < 2:
            return None
        now, before = finished
        stamp = (now.name, now.stamp, before.name, before.stamp)
        if self._compared[0] != stamp:
            self._compared = stamp, _compare(before, now)
        return self._compared[1]

    def _runs(self) -> list[Run]:
        folder = self.source.folder.resolve()
        return [run for run in search.newest_first(self.source.output) if _is_of(run, folder)]

    def _start(self, kind: str, run: str, command: str, arguments: Sequence[str], form: str = "") -> None:
        with self._mutex:
            if self._is_closed:
                raise UsageError("The program is about to end.")
            if self._process and self._process.is_running:
                raise UsageError("Something is running already; wait for it, or stop it.")
            self._is_stopping = False
            self._job = Job(kind, run, form, RUNNING, 0.0, "", [])
            self._process = Process(command, arguments, lambda: self._end(kind, run))

    def _end(self, kind: str, name: str) -> None:
        run = Run(self.source.output / name)
        if kind != EXPORT and run.has_model and not self._is_closed:
            self._finished(run)

    def _free_name(self) -> str:
        """The folder's name and the next number."""
        stem = re.sub(r"[^\w.-]+", "_", self.source.folder.resolve().name)[:LONGEST_STEM].strip("._")
        stem, output = stem or "run", self.source.output
        taken = [path.name for path in output.iterdir()] if output.is_dir() else []
        numbers = [re.fullmatch(rf"{re.escape(stem)}-(\d{{1,6}})", name) for name in taken]
        return f"{stem}-{1 + max((int(found[1]) for found in numbers if found), default=0)}"


def _is_of(run: Run, folder: Path) -> bool:
    """Whether the run was trained on the folder."""
    try:
        return Path(run.settings()["options"]["data"]).resolve() == folder
    except (PigeonholeError, OSError, KeyError, TypeError):
        return False


def _kept(run: Run) -> Kept:
    state = "finished" if run.is_complete else "training" if run.is_held else "stopped"
    forms = [form for form in FORMS if exported(run, form)]
    accuracy, out_of_fold = _judged(run)
    return Kept(
        run.name,
        state,
        run.has_model,
        accuracy,
        out_of_fold,
        has_report=run.report_page.is_file(),
        has_curves=run.history_file.is_file(),
        forms=forms,
    )


def exported(run: Run, form: str) -> Path | None:
    """The file or folder that the run's model was exported to; None where there is none of this model."""
    place = run.exports_folder / FORMS[form]
    try:
        return place if place.stat().st_mtime_ns >= run.checkpoint_file.stat().st_mtime_ns else None
    except OSError:
        return None


def _judged(run: Run) -> tuple[tuple[float, float, float, int] | None, bool]:
    """`accuracy` and `out_of_fold` of `Kept`."""
    try:
        result = run.result()
        low, high = map(float, result["interval_95"])
        pictures = int(result["validation_pictures"])
        return (float(result["expected_accuracy"]), low, high, pictures), result.get("out_of_fold") is True
    except (PigeonholeError, KeyError, TypeError, ValueError):
        return None, False


def _progress(run: Run) -> dict[str, float | int | None]:
    """How far a training is; it says more while it tries other networks."""
    stage = JUDGING if run.has_model else FITTING if run.settings_file.is_file() else READING
    try:
        said = run.progress()
        if said["state"] != "training":
            return {"stage": stage}
        return {
            "stage": stage,
            "done": int(said["step"]),
            "total": int(said["total_steps"]),
            "seconds_left": float(said["seconds_left"]),
        }
    except (PigeonholeError, KeyError, TypeError, ValueError):
        return {"stage": stage}


def _compare(before: Run, now: Run) -> Compared:
    try:
        found = judged_answers.compare(before, now)
    except PigeonholeError as error:
        return Compared(now.name, before.name, None, [str(error)])
    return Compared(now.name, before.name, found, found.lines(before.name, now.name))
