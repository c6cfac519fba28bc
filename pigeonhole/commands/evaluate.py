"""Test a trained model on a folder of class folders: how good it is, where it fails, what spoils the figure.

    pigeonhole evaluate --data testing_data
    pigeonhole evaluate --data testing_data --csv answers.csv --fail-under 0.9
    pigeonhole evaluate --data testing_data --compare runs/before
    pigeonhole evaluate --data testing_data --plots figures --layer conv2 --picture dog.jpg

Every file is accounted for, test pictures that are copies of training pictures are named, and the run's
report.html gets its part about the test.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from pigeonhole import atomic_file, cli
from pigeonhole.arguments import Parser, add_cache_flags, part
from pigeonhole.errors import UsageError
from pigeonhole.model.engines.engine import AUTO, CHOICES
from pigeonhole.runs import runs

if TYPE_CHECKING:
    from pigeonhole.data.cache import Cache
    from pigeonhole.data.folders import Tree
    from pigeonhole.evaluation.comparison import Comparison
    from pigeonhole.evaluation.evaluation import Verdict
    from pigeonhole.model.classifier import Classifier

PLOT_FLAGS = ("layer", "input_channel", "picture")


def main(arguments: list[str]) -> int:
    """0 when the folder was tested, 1 when the accuracy is below what was asked for."""
    options = parse(arguments)
    tree = read_folder(options)
    model = runs.find(options.model)
    other = runs.find(options.compare, "--compare") if options.compare else None
    from pigeonhole.data import cache
    from pigeonhole.evaluation import evaluation

    store = cache.of_flags(options.cache_dir, options.no_cache)
    with load(model, options.engine) as classifier:
        if options.plots:
            check_plots(classifier, options)
        judged = evaluation.judge(classifier, model.parent, tree, store)
        compared = compare(judged, other, store, options.engine) if other else None
        if not options.json:
            print("\n".join(lines(judged, compared)), flush=True)
        written = write_files(options, classifier, judged)
    if options.json:
        print(json.dumps(to_json(judged, compared, written), indent=2))
    else:
        for kind, path in written.items():
            print(f"{kind:<12}{path}")
    return fail_under(judged.measures.accuracy, options.fail_under)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line, checked as far as that goes without reading anything."""
    parser = Parser("evaluate", __doc__)
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="FOLDER", help="one folder per class")
    add("--model", metavar="RUN", help="a run's folder or name, or a .meta file (newest)")
    add("--engine", choices=CHOICES, default="tensorflow", help="what computes the answers (tensorflow)")
    add("--compare", metavar="RUN", help="give the same pictures to this model too, and test the difference")
    add("--fail-under", type=part, metavar="SHARE", help="exit with 1 where the accuracy is below it")
    add_cache_flags(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print everything as JSON")
    output.add_argument("--csv", type=Path, metavar="FILE", help="write a table, a row per picture")
    output.add_argument("--no-report", action="store_true", help="leave the run's report.html as it is")
    _add_plot_flags(parser.add_argument_group("figures"))
    options = parser.parse_args(arguments)
    if options.plots and options.engine == AUTO:
        options.engine = "tensorflow"  # the only one that has what is drawn
    for flag in PLOT_FLAGS:
        if getattr(options, flag) is not None and not options.plots:
            parser.error(f"--{flag.replace('_', '-')}: only with --plots")
    return options


def _add_plot_flags(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--plots", type=Path, metavar="FOLDER", help="write the report's figures as PNG files")
    add("--layer", metavar="NAME", help="a convolution, for its filters and feature maps (every one)")
    add("--input-channel", type=_channel, metavar="N", help="the filters' input that is shown (0)")
    add("--picture", type=Path, metavar="FILE", help="whose feature maps and variations are drawn")


def _channel(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 up")
    return int(text)


def read_folder(options: argparse.Namespace) -> "Tree":
    """List the folder's files, and find the mistakes in paths now and not after minutes of work."""
    from pigeonhole.data import folders

    if not options.data.is_dir():
        raise UsageError(f"--data {options.data}: no such folder")
    if options.plots and options.plots.exists() and not options.plots.is_dir():
        raise UsageError(f"--plots {options.plots}: a file, not a folder")
    if options.picture and not options.picture.is_file():
        raise UsageError(f"--picture {options.picture}: no such file")
    tree = folders.scan(options.data)
    if tree.split is not None:
        raise UsageError(
            f"--data {tree.root}: holds a training and a validation folder; name the one to test on, "
            f"such as {tree.root / (tree.left_alone or ['test'])[0]}"
        )
    if options.csv:
        atomic_file.check("--csv", options.csv, (entry.path for entry in tree.entries))
    return tree


def load(prefix: Path, engine: str) -> "Classifier":
    """Restore a model of Pigeonhole's own; UsageError for a checkpoint of another program."""
    from pigeonhole.model.classifier import Classifier

    try:
        return Classifier.load(prefix, engine=engine)
    except UsageError as error:  # it was found, so what is missing is what it should say of itself
        raise UsageError(
            f"{prefix}: a checkpoint of another program, which does not say how it wants its pictures; "
            f"{cli.command('predict')} --csv asks it for answers"
        ) from error


def check_plots(classifier: "Classifier", options: argparse.Namespace) -> None:
    """Find a layer or channel that is not there now and not after minutes of work."""
    from pigeonhole.report import plots

    if not classifier.layers:
        raise UsageError(
            f"--plots: draws the inside of the network, which the engine {classifier.engine} does not have; "
            "add --engine tensorflow"
        )
    plots.chosen_filters(classifier, options.layer, options.input_channel or 0)


def compare(judged: "Verdict", other: Path, store: "Cache", engine: str) -> tuple["Verdict", "Comparison"]:
    """The other model's verdict on the same folder, and how the two differ."""
    from pigeonhole.evaluation import comparison, evaluation

    with load(other, engine) as classifier:
        second = evaluation.judge(classifier, other.parent, judged.tree, store)
    return second, comparison.compare(judged.evaluation, second.evaluation)


def lines(judged: "Verdict", compared: tuple["Verdict", "Comparison"] | None) -> Iterable[str]:
    """All that was found, for people."""
    yield from judged.lines()
    if compared:
        second, comparison = compared
        yield ""
        yield from comparison.lines(str(judged.run), str(second.run))
        if second.copies:
            yield f"{second.run} learnt from {len(second.copies):,} of the pictures"
    yield ""


def to_json(
    judged: "Verdict", compared: tuple["Verdict", "Comparison"] | None, written: dict[str, Path]
) -> dict[str, object]:
    """All that was found, for programs."""
    found = judged.to_json() | {"comparison": None}
    if compared:
        second, comparison = compared
        found["comparison"] = {"second": second.to_json(), **asdict(comparison)}
    return found | {"written": {kind: str(path) for kind, path in written.items()}}


def write_files(options: argparse.Namespace, classifier: "Classifier", judged: "Verdict") -> dict[str, Path]:
    """Write what was asked for; gives each file's or folder's path by its kind."""
    written = {}
    if options.csv:
        write_csv(options.csv, judged.table())
        written["table"] = options.csv
    if options.plots:
        from pigeonhole.report import plots

        choice = {flag: getattr(options, flag) for flag in PLOT_FLAGS if getattr(options, flag) is not None}
        plots.write(options.plots, judged.run, classifier, judged.evaluation, plots.Chosen(**choice))
        written["figures"] = options.plots
    if not options.no_report and (page := write_report(classifier, judged)):
        written["report"] = page
    return written


def write_csv(file: Path, rows: Iterable[Sequence[str]]) -> None:
    """The rows as a table that appears whole."""
    with atomic_file.write(file) as opened:
        csv.writer(opened).writerows(rows)


def write_report(classifier: "Classifier", judged: "Verdict") -> Path | None:
    """Renew the test's part of the run's report; None, and a word about it, where that cannot be written."""
    from pigeonhole.report import writing

    try:
        return writing.write_test(judged.run, judged.evaluation, judged.measures, judged.copies, classifier)
    except OSError as error:
        print(f"no report: {judged.run} cannot be written ({error.strerror or error})", file=sys.stderr)
        return None


def fail_under(accuracy: float, least: float | None) -> int:
    """The exit status, and a line where it is 1."""
    if least is None or accuracy >= least:
        return 0
    print(f"failed: the accuracy {accuracy:.4f} is below --fail-under {least:g}", file=sys.stderr)
    return 1
