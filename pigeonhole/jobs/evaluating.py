"""The test of a run on a folder of class folders, from what is asked for to the files that are written."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pigeonhole import atomic_file
from pigeonhole.data import cache, folders, tables
from pigeonhole.data.folders import Tree
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.evaluation import comparison, evaluation, misread
from pigeonhole.evaluation.comparison import Comparison
from pigeonhole.evaluation.evaluation import FolderTest
from pigeonhole.evaluation.misread import BetterWay
from pigeonhole.model.classifier import Classifier
from pigeonhole.model.engines import engine as engines
from pigeonhole.model.engines.engine import AUTO
from pigeonhole.model.interface import ForeignCheckpoint
from pigeonhole.runs import creation, search
from pigeonhole.runs.run import Run
from pigeonhole.terminal import say


@dataclass(frozen=True)
class EvaluationConfig:
    """What is asked for.

    data           holds one folder of pictures per class
    model          what `search.find` takes; None: the newest finished run
    compare        another run that is given the same pictures
    engine         what computes the answers, in `engine.CHOICES`
    cache_dir      where decoded pictures are kept; `no_cache`: only as long as this test lasts
    csv            the file for a table, a row per picture
    plots          the folder for figures; `layer`, `input_channel` and `picture` choose what is drawn,
                   `smooth` and `plot_format` how
    report         whether the run's report gets its part about the test
    report_file    the file for a report of the test alone, in place of that
    foreign        what `model`, a checkpoint of another program, does not say about itself
    """

    data: Path
    model: str | Run | None = None
    compare: str | None = None
    engine: str = AUTO
    cache_dir: Path | None = None
    no_cache: bool = False
    csv: Path | None = None
    plots: Path | None = None
    layer: str | None = None
    input_channel: int | None = None
    picture: Path | None = None
    smooth: bool | None = None
    plot_format: str | None = None
    report: bool = True
    report_file: Path | None = None
    foreign: ForeignCheckpoint | None = None


@dataclass(frozen=True)
class Tested:
    """The result of the run and, where another was compared, that one's result and how the two differ.

    `better_way`: how another program's checkpoint would have to see pictures to answer better.
    """

    result: FolderTest
    second: FolderTest | None = None
    comparison: Comparison | None = None
    better_way: BetterWay | None = None

    def lines(self) -> Iterator[str]:
        """All that was found, for people."""
        yield from self.result.lines()
        if self.better_way:
            yield self.better_way.line()
        if self.comparison:
            yield ""
            yield from self.comparison.lines(str(self.result.run), str(self.second.run))
            if self.second.copies:
                yield f"{self.second.run} learnt from {len(self.second.copies):,} of the pictures"
        yield ""

    def to_json(self) -> dict[str, object]:
        """All that was found, for programs."""
        compared = self.comparison and {"second": self.second.to_json(), **asdict(self.comparison)}
        better_way = self.better_way and asdict(self.better_way)
        return self.result.to_json() | {"comparison": compared, "better_way": better_way}


class EvaluationJob(AbstractContextManager):
    """A test whose models are restored. Within a `with` block: first `test`, then `write`.

    Making it finds the mistakes in the configuration before minutes of work: it raises UsageError where a
    path, run, layer or channel is not there, or cannot be used.
    """

    def __init__(self, config: EvaluationConfig):
        self._config = config
        self._tree = _read_folder(config)
        self._model = search.find(config.model)
        self._other = search.find(config.compare, "--compare") if config.compare else None
        self._cache = cache.of_flags(config.cache_dir, config.no_cache)
        with ExitStack() as opened:
            self._classifier = opened.enter_context(_load(self._model, config.engine, config.foreign))
            if config.plots:
                self._check_plots()
            if self._other:
                self._second = opened.enter_context(_load(self._other, config.engine))
                comparison.require_same_classes(self._classifier.classes, self._second.classes)
            self._opened = opened.pop_all()

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    @property
    def heading(self) -> str:
        """Which run answers, for people."""
        return f"model       {self._model.describe()}, {len(self._classifier.classes):,} classes"

    def test(self) -> Tested:
        """Ask the model, and the other one, for every picture."""
        result = evaluation.judge(self._classifier, self._model, self._tree, self._cache)
        way = misread.better_way(self._classifier, result.evaluation)
        if self._other is None:
            return Tested(result, better_way=way)
        second = evaluation.judge(self._second, self._other, self._tree, self._cache)
        return Tested(result, second, comparison.compare(result.evaluation, second.evaluation), way)

    def write(self, tested: Tested) -> dict[str, Path]:
        """Write what was asked for; gives each file's or folder's path by its kind."""
        written, config, result = {}, self._config, tested.result
        if config.csv:
            with tables.write(config.csv) as add:
                for row in result.table():
                    add(row)
            written["table"] = config.csv
        if config.plots:
            from pigeonhole.report import plots

            choice = {field.name: getattr(config, field.name) for field in fields(plots.Chosen)}
            chosen = plots.Chosen(**{name: value for name, value in choice.items() if value is not None})
            plots.write(config.plots, result.run, self._classifier, result.evaluation, chosen)
            written["figures"] = config.plots
        if config.report_file:
            _write_report_file(config.report_file, self._classifier, result)
            written["report"] = config.report_file
        elif config.report and self._classifier.is_foreign:
            told = f"{self._model.prefix} is a checkpoint of another program"
            say(f"no report: {told}; --report FILE writes one", to=sys.stderr)
        elif config.report and not self._model.keeps_files:
            say(f"no report: {self._model} is no run's folder; --report FILE writes one", to=sys.stderr)
        elif config.report and (page := _write_report(self._classifier, result)):
            written["report"] = page
        return written

    def _check_plots(self) -> None:
        from pigeonhole.report import plots

        if not (self._classifier.layers or self._classifier.is_foreign):
            raise UsageError(
                f"--plots: draws the inside of the network, which the engine {self._classifier.engine} "
                "does not have; add --engine tensorflow"
            )
        plots.chosen_filters(self._classifier, self._config.layer, self._config.input_channel or 0)


def _read_folder(config: EvaluationConfig) -> Tree:
    """List the folder's files."""
    if not config.data.is_dir():
        raise UsageError(f"--data {config.data}: no such folder")
    if config.plots:
        creation.check_output(config.plots, "--plots")
    if config.picture and not config.picture.is_file():
        raise UsageError(f"--picture {config.picture}: no such file")
    tree = folders.scan(config.data, for_training=False)
    if tree.split is not None or tree.test:
        raise UsageError(
            f"--data {tree.root}: holds a training and a validation folder; name the one to test on, "
            f"such as {tree.root / (tree.test.name if tree.test else 'test')}"
        )
    if config.csv:
        tables.check("--csv", config.csv, (entry.path for entry in tree.entries))
    if config.report_file:
        atomic_file.check("--report", config.report_file, (entry.path for entry in tree.entries))
    return tree


def _load(run: Run, engine: str, foreign: ForeignCheckpoint | None = None) -> Classifier:
    """Restore a model; UsageError for a checkpoint of another program of which not all is said."""
    engines.check(run, engine)
    try:
        return Classifier.load(run, engine=engine, foreign=foreign)
    except UsageError as error:  # it was found, so what is missing is what it should say of itself
        raise UsageError(f"{run.prefix}: {error}") from error


def _write_report_file(file: Path, classifier: Classifier, result: FolderTest) -> None:
    from pigeonhole.report import writing

    try:
        writing.write_test_alone(
            file, result.run, result.evaluation, result.measures, result.copies, classifier
        )
    except OSError as error:
        raise PigeonholeError(f"--report {file}: cannot be written ({error.strerror or error})") from error


def _write_report(classifier: Classifier, result: FolderTest) -> Path | None:
    """Renew the test's part of the run's report; None, and a message, where that cannot be written."""
    from pigeonhole.report import writing

    try:
        return writing.write_test(result.run, result.evaluation, result.measures, result.copies, classifier)
    except OSError as error:
        say(f"no report: {result.run} cannot be written ({error.strerror or error})", to=sys.stderr)
        return None
