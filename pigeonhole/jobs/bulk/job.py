"""A bulk job, from what is asked for to the rows and copies that are there at its end."""

import contextlib
import glob
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from pigeonhole import atomic_file, interrupts
from pigeonhole.data import tables
from pigeonhole.data.parallel import available_cores, bar
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.jobs import prediction
from pigeonhole.jobs.bulk import parquet_file, sorting, text_files
from pigeonhole.jobs.bulk.parquet_file import ParquetFile
from pigeonhole.jobs.bulk.rows import Layout
from pigeonhole.jobs.bulk.sorting import SortedFolder
from pigeonhole.jobs.bulk.streaming import Stream
from pigeonhole.jobs.bulk.text_files import STDOUT, TextFile
from pigeonhole.jobs.bulk.watching import Watch
from pigeonhole.jobs.prediction import STDIN, Answer, Source, Why
from pigeonhole.model.classifier import Classifier
from pigeonhole.model.interface import ForeignCheckpoint
from pigeonhole.runs import creation
from pigeonhole.runs.run import Run
from pigeonhole.terminal import counted, say, shown

MOST_COMPLAINTS = 20  # files that cannot be read and are named on standard error; the rows name all


class Output(Protocol):
    """Where answers go. A context manager; what `add` has taken survives a kill as far as its class says."""

    failures: int  # pictures among those kept that could not be read

    def __contains__(self, name: str) -> bool:
        """Whether an earlier job has dealt with the picture of this name."""

    def add(self, answers: Sequence[Answer]) -> None: ...

    def flush(self) -> None:
        """Let others see what has been added."""


@dataclass(frozen=True)
class BulkConfig:
    """What is asked for.

    csv, jsonl, parquet  the file for the rows; `-` is standard output, but not for Parquet
    sort_into            the folder for class folders; `link`: hard links in the place of copies
    heatmaps             the folder for what explains each answer
    resume               go on with what an earlier job has written
    watch                wait for further files until Ctrl-C
    workers              how many pictures are computed at once; None: as many as there are cores
    top                  how many classes a JSON line names
    """

    csv: Path | None = None
    jsonl: Path | None = None
    parquet: Path | None = None
    sort_into: Path | None = None
    link: bool = False
    heatmaps: Path | None = None
    resume: bool = False
    watch: bool = False
    workers: int | None = None
    top: int = 5

    @property
    def file(self) -> Path | None:
        """The file for the rows."""
        return self.csv or self.jsonl or self.parquet

    @property
    def is_printed(self) -> bool:
        """Whether the rows go to standard output."""
        return self.file == STDOUT

    @property
    def flag(self) -> str:
        """The flag that names the file."""
        return "--csv" if self.csv else "--jsonl" if self.jsonl else parquet_file.FLAG


@dataclass
class Outcome:
    """How many pictures were answered and could not be read, and how many were dealt with before."""

    answered: int = 0
    failures: int = 0
    kept: int = 0


class BulkJob:
    """Answers for all that lies at `places`; making it finds what is wrong with the configuration."""

    def __init__(self, config: BulkConfig, places: Sequence[str]):
        self._config, self._places = config, places
        self.outcome = Outcome()
        file = config.file
        # What is there is replaced at the end, so nothing of an unfinished job is kept but Parquet's parts.
        self._replaces = bool(config.csv or config.jsonl) and file.exists() and not config.resume
        self._own_file = os.path.realpath(file) if file and not config.is_printed else None
        parts = parquet_file.parts_of(file) if config.parquet else None
        self._own_folders = [each.resolve() for each in (config.sort_into, config.heatmaps, parts) if each]
        if config.parquet:
            parquet_file.require()
        if config.is_printed:
            self._check_stdout()
        elif file:
            pictures = self._namesakes(file) if file.exists() and not config.resume else ()
            check = atomic_file.check if config.parquet else tables.check
            check(config.flag, file, pictures)
        for flag, folder in ((sorting.FLAG, config.sort_into), ("--heatmaps", config.heatmaps)):
            if folder:
                self._check_folder(flag, folder)
        if config.watch:
            self._check_watch()

    def run(self, classifier: Classifier, model: str, why: Why) -> Outcome:
        """Answer, write, and say what was done. `model`: its digest. Raises UsageError where there is
        something to resume that is not of this model, OSError, and what `prediction.answers` does."""
        layout = Layout.of(classifier.classes, model, self._config.top, why)
        workers = self._config.workers or available_cores()
        stream = Stream(classifier, workers, why)
        with ExitStack() as stack:
            outputs = [stack.enter_context(output) for output in self._outputs(layout)]
            self.outcome.failures = outputs[0].failures
            if self._config.watch:
                self._watch(stream, outputs)
            else:
                self._answer_all(stream, outputs)
        return self.outcome

    def sources(self) -> Iterator[Source]:
        """The pictures."""
        return self._others(prediction.sources_of(self._places))

    def lines(self) -> Iterator[str]:
        """What was done, for people."""
        done = self.outcome
        before = f", {done.kept:,} before" if done.kept else ""
        failed = f", {done.failures:,} could not be read" if done.failures else ""
        places = [place for place in (self._config.file, self._config.sort_into) if place]
        yield (
            f"{', '.join(map(str, places))}: "
            f"{counted(done.answered, 'picture', 'pictures')} answered{before}{failed}"
        )

    def how_to_resume(self, error: BaseException) -> str | None:
        """What becomes of a job that this error ended; None where there is nothing to go on from."""
        is_replaced = self._replaces and not self._config.sort_into
        if isinstance(error, PigeonholeError) or self._config.is_printed or is_replaced:
            return None
        return "stopped; what was answered so far is kept: the same command with --resume goes on"

    def _answer_all(self, stream: Stream, outputs: Sequence[Output]) -> None:
        total = 0
        for name in self._names():
            total += 1
            self.outcome.kept += _has_all(outputs, name)
        sources = (source for source in self.sources() if not _has_all(outputs, source.name))
        progress = False if self._is_on_terminal else None
        told = _Complaints()
        with bar("answers", "pictures", self.outcome.kept, total, progress) as shown_bar:
            for answers in stream.answers(sources):
                self._give(answers, outputs, told)
                shown_bar.update(len(answers))
        told.end()

    def _watch(self, stream: Stream, outputs: Sequence[Output]) -> None:
        """Until Ctrl-C or a termination."""
        watch = Watch(self.sources, lambda name: _has_all(outputs, name))
        told = _Complaints()
        say(f"watching {', '.join(self._places)}; Ctrl-C ends it", to=sys.stderr)
        with interrupts.StopRequest() as stop, contextlib.suppress(interrupts.Stopped):
            while True:
                for answers in stream.answers(watch.look()):
                    self._give(watch.final(answers), outputs, told)
                    stop.check()
                for output in outputs:
                    output.flush()
                watch.wait(stop.check)
        told.end()

    def _give(self, answers: Sequence[Answer], outputs: Sequence[Output], told: "_Complaints") -> None:
        for output in outputs:
            if missing := [answer for answer in answers if answer.name not in output]:
                output.add(missing)
        told.hear(answers)
        failed = [answer for answer in answers if answer.error is not None]
        self.outcome.answered += len(answers) - len(failed)
        self.outcome.failures += sum(answer.name not in outputs[0] for answer in failed)

    def _outputs(self, layout: Layout) -> Iterator[Output]:
        config = self._config
        if config.csv:
            yield TextFile(config.csv, text_files.Csv(layout), config.resume)
        if config.jsonl:
            yield TextFile(config.jsonl, text_files.JsonLines(layout), config.resume)
        if config.parquet:
            yield ParquetFile(config.parquet, layout, config.resume)
        if config.sort_into:
            yield SortedFolder(config.sort_into, layout.classes, layout.model, config.link, config.resume)

    def _names(self) -> Iterator[str]:
        """The names of the same pictures; nothing is read for it."""
        if STDIN in self._places:
            yield STDIN
        yield from (source.name for source in self._others(self._files()))

    def _files(self) -> Iterator[Source]:
        return prediction.sources_of(place for place in self._places if place != STDIN)

    def _others(self, sources: Iterable[Source]) -> Iterator[Source]:
        """Those that the job does not write itself, also where a link among the pictures leads to them."""
        last, is_own = None, False
        name = os.path.basename(self._own_file or "")
        for source in sources:
            folder = os.path.dirname(source.name)
            if folder != last:
                last, real = folder, Path(os.path.realpath(folder))
                is_own = any(real.is_relative_to(own) for own in self._own_folders)
            may_be_file = self._own_file and source.name.endswith(name)
            if not (is_own or (may_be_file and os.path.realpath(source.name) == self._own_file)):
                yield source

    def _namesakes(self, file: Path) -> Iterator[str]:
        """The pictures that may be the file, which is to be replaced."""
        alike = {file.name, os.path.basename(os.path.realpath(file))}
        return (each.name for each in self._files() if os.path.basename(each.name) in alike)

    @property
    def _is_on_terminal(self) -> bool:
        """Whether the rows themselves are printed on a terminal."""
        return self._config.is_printed and sys.stdout.isatty()

    def _check_stdout(self) -> None:
        if self._config.parquet:
            raise UsageError(f"{parquet_file.FLAG} -: standard output takes --csv or --jsonl; name a file")
        if self._config.resume:
            raise UsageError(f"--resume: {self._config.flag} - keeps no rows to go on from; name a file")

    def _check_folder(self, flag: str, folder: Path) -> None:
        creation.check_output(folder, flag)
        target = folder.resolve()
        for place in self._places:
            pictures = Path(place).resolve()
            if place != STDIN and (pictures.is_relative_to(target) or target.is_relative_to(pictures)):
                raise UsageError(f"{flag} {folder}: lies among the pictures; name a folder elsewhere")

    def _check_watch(self) -> None:
        for place in self._places:
            if not os.path.isdir(place):
                raise UsageError(f"--watch: {place} is no folder")
        file = self._config.file
        if file and not self._config.resume and file.is_file():
            raise UsageError(f"{self._config.flag} {file}: is there already; --resume adds to it")


class _Complaints:
    """Files that cannot be read, named on standard error as long as they are few."""

    def __init__(self):
        self._count = 0

    def hear(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            if answer.error is None:
                continue
            self._count += 1
            if self._count <= MOST_COMPLAINTS:
                sys.stdout.flush()
                tqdm.write(shown(f"{answer.name}: {answer.error}"), file=sys.stderr)  # above a bar

    def end(self) -> None:
        if self._count > MOST_COMPLAINTS:
            more = counted(self._count - MOST_COMPLAINTS, "further file", "further files")
            say(f"{more} could not be read", to=sys.stderr)


def model_digest(run: Run, engine: str, foreign: ForeignCheckpoint) -> str:
    """What changes with the model that answers: 16 hexadecimal digits of a sha256."""
    digest = hashlib.sha256(repr((engine, foreign)).encode())
    weights = f"{glob.escape(run.prefix.name)}.[mid]*"  # .meta, .index, .data-...
    files = [run.onnx_file] if engine == "onnx" else sorted(run.prefix.parent.glob(weights))
    for file in files:
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()[:16]


def _has_all(outputs: Sequence[Output], name: str) -> bool:
    """Whether earlier jobs have dealt with the picture in every output."""
    return all(name in output for output in outputs)
