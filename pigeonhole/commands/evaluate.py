"""Test a trained model on a folder of class folders: how good it is, where it fails, what spoils the figure.

    pigeonhole evaluate --data testing_data
    pigeonhole evaluate --data testing_data --csv answers.csv --fail-under 0.9
    pigeonhole evaluate --data testing_data --compare runs/before
    pigeonhole evaluate --data testing_data --plots figures --layer conv2 --picture dog.jpg

Every file is accounted for, test pictures that are copies of training pictures are named, and the run's
report.html gets its part about the test.
"""

import argparse
import json
import sys
from dataclasses import fields
from pathlib import Path

from pigeonhole import extras
from pigeonhole.arguments import Parser, add_cache_flags, as_path, filled, part
from pigeonhole.commands import foreign_flags
from pigeonhole.model.engines.engine import AUTO, CHOICES
from pigeonhole.runs.run import Run
from pigeonhole.terminal import say

PLOT_FLAGS = ("layer", "input_channel", "picture", "smooth", "plot_format")


def main(arguments: list[str]) -> int:
    """0 when the folder was tested, 1 when the accuracy is below what was asked for."""
    options = parse(arguments)
    extras.require("evaluating", "sklearn", "scipy")
    if options.plots or options.report or options.report_file:
        drawing = "--plots" if options.plots else "the report (--no-report leaves it out)"
        extras.require(drawing, "matplotlib")
    from pigeonhole.jobs.evaluating import EvaluationConfig, EvaluationJob

    names = {each.name for each in fields(EvaluationConfig)} - {"foreign"}
    given = {name: getattr(options, name) for name in names}
    config = EvaluationConfig(**given, foreign=foreign_flags.foreign(options))
    with EvaluationJob(config) as job:
        if not options.json:
            say(job.heading)
        tested = job.test()
        if not options.json:
            say(*tested.lines())
        written = job.write(tested)
    if options.json:
        paths = {kind: str(path) for kind, path in written.items()}
        print(json.dumps(tested.to_json() | {"written": paths}, indent=2))
    else:
        for kind, path in written.items():
            say(f"{kind:<12}{path}")
    return fail_under(tested.result.measures.accuracy, options.fail_under)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line, checked as far as that goes without reading anything."""
    parser = Parser("evaluate", __doc__)
    add = parser.add_argument
    add("--data", type=as_path, required=True, metavar="FOLDER", help="one folder per class")
    add(
        "--model",
        type=filled,
        metavar="RUN",
        help="a run, or a .meta, .onnx or .zip file (newest run)",
    )
    add("--engine", choices=CHOICES, help="what computes the answers (tensorflow; onnx for an ONNX file)")
    add(
        "--compare",
        type=filled,
        metavar="RUN",
        help="give the same pictures to this model too, and test the difference",
    )
    add("--fail-under", type=part, metavar="SHARE", help="exit with 1 where the accuracy is below it")
    add_cache_flags(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print everything as JSON")
    output.add_argument("--csv", type=as_path, metavar="FILE", help="write a table, a row per picture")
    output.add_argument(
        "--report",
        dest="report_file",
        type=as_path,
        metavar="FILE",
        help="write a report of this test here, and leave the run's as it is",
    )
    output.add_argument(
        "--no-report", dest="report", action="store_false", help="leave the run's report.html as it is"
    )
    _add_plot_flags(parser.add_argument_group("figures"))
    foreign_flags.add(parser)
    options = parser.parse_args(arguments)
    if options.engine is None:
        named = (options.model, options.compare)
        has_lone = any(Run(Path(model)).is_lone for model in named if model is not None)
        options.engine = AUTO if has_lone else "tensorflow"
    if options.plots and options.engine == AUTO:
        options.engine = "tensorflow"  # the only one that has what is drawn
    for flag in PLOT_FLAGS:
        if getattr(options, flag) is not None and not options.plots:
            parser.error(f"--{flag.replace('_', '-')}: only with --plots")
    return options


def _add_plot_flags(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--plots", type=as_path, metavar="FOLDER", help="write the report's figures as files")
    add("--plot-format", choices=("png", "svg", "pdf"), help="of these files (png)")
    add("--layer", metavar="NAME", help="a convolution, for its filters and feature maps (every one)")
    add("--input-channel", type=_channel, metavar="N", help="the filters' input that is shown (0)")
    add("--picture", type=as_path, metavar="FILE", help="whose feature maps and variations are drawn")
    add("--smooth", action="store_true", default=None, help="draw pictures, filters and maps smooth as well")


def _channel(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 up")
    return int(text)


def fail_under(accuracy: float, least: float | None) -> int:
    """The exit status, and a line where it is 1."""
    if least is None or accuracy >= least:
        return 0
    say(f"failed: the accuracy {accuracy:.4f} is below --fail-under {least:g}", to=sys.stderr)
    return 1
