"""Write a trained model in another form, and prove that it gives the same answers.

    pigeonhole export leaves --to onnx
    pigeonhole export leaves --to onnx savedmodel --output forms
    pigeonhole export leaves --to onnx --int8
    pigeonhole export leaves --benchmark

Each form is asked for the golden examples and up to 500 validation pictures; a certificate beside it says how
it answered. Where it answers otherwise than the run, it is not written.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pigeonhole import extras
from pigeonhole.arguments import Parser, as_path, filled
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.model.export.exporter import EXPORTERS, WRAPPED
from pigeonhole.terminal import say

if TYPE_CHECKING:
    from pigeonhole.jobs.exporting import Exported, ExportJob, Form


def main(arguments: list[str]) -> int:
    """0 when every form was written, 1 when one was not."""
    options = parse(arguments)
    extras.require("exporting", *extras.modules_of("train"))
    from pigeonhole import quiet

    quiet.import_tensorflow()
    from pigeonhole.jobs import exporting

    forms = wanted(options)
    made: list[Exported] = []
    failed = {}
    with exporting.ExportJob(forms, options.run, options.output, options.runtime) as job:
        say(f"{'model':<16}{job.run.describe()}")
        for form in forms:
            try:
                made.append(job.export(form))
            except PigeonholeError as error:
                failed[form] = str(error)
                say(f"error: {error}", to=sys.stderr)
                continue
            say(*told(made[-1]))
        if options.benchmark:
            say("", *table(job, made))
    return 1 if failed else 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = Parser("export", __doc__, "[RUN]")
    add = parser.add_argument
    add("run", nargs="?", type=filled, metavar="RUN", help="a run's folder or name (newest)")
    forms = ", ".join(EXPORTERS)
    add("--to", nargs="+", choices=list(EXPORTERS), metavar="FORM", help=f"one or more of: {forms}")
    add("--int8", action="store_true", help="compute in int8: a quarter of the size")
    add(
        "--output",
        type=as_path,
        metavar="PATH",
        help="the folder for what is written, or the file where it is one (the run's folder exports)",
    )
    add(
        "--benchmark",
        action="store_true",
        help="print a table: size, time, accuracy; without --to of all forms",
    )
    add(
        "--runtime",
        type=as_path,
        metavar="PATH",
        help="for --to web: a folder or archive of the npm package onnxruntime-web (node_modules)",
    )
    options = parser.parse_args(arguments)
    if not options.to and not options.benchmark:
        parser.error(f"--to FORM is missing: one or more of {forms}")
    return options


def wanted(options: argparse.Namespace) -> "Sequence[Form]":
    """The forms in the order in which they are asked for, each once; without any, those that can be made."""
    from pigeonhole.jobs import exporting

    every = list(exporting.all_forms())
    if not options.to:
        return _makeable([form for form in every if form.name not in WRAPPED])
    forms = [exporting.Form(name, options.int8) for name in dict.fromkeys(options.to)]
    if others := [form.name for form in forms if form not in every]:
        able = ", ".join(form.name for form in every if form.int8)
        raise UsageError(f"--int8: there is no {others[0]} in int8; there are {able}")
    if len(forms) == 1:
        exporting.require(forms[0])
    return forms


def _makeable(forms: "Sequence[Form]") -> "Sequence[Form]":
    """Those whose packages are installed; says which are left out."""
    from pigeonhole.jobs import exporting

    found, said = [], set()
    for form in forms:
        try:
            exporting.require(form)
            found.append(form)
        except extras.MissingExtra as error:
            if form.name not in said:
                say(f"{form.name:<15} left out: {error}")
            said.add(form.name)
    return found


def told(exported: "Exported") -> list[str]:
    first, *rest = exported.certificate.lines()
    return [f"{exported.form!s:<15} {exported.place}: {first}", *(f"{'':<16}{line}" for line in rest)]


def table(job: "ExportJob", made: "Sequence[Exported]") -> list[str]:
    """Size, time and accuracy of each form, the run itself first."""
    from pigeonhole.jobs.export_certificate import shown_milliseconds

    size, milliseconds = job.reference()
    examples = job.examples
    title = "accuracy" if examples.labels is None else f"accuracy ({len(examples.labels)} {examples.kind})"
    own = made[0].certificate.model_accuracy if made else None
    rows = [("the run itself", size, milliseconds, own)]
    for each in made:
        about = each.certificate
        rows.append((str(each.form), about.bytes, about.milliseconds, about.accuracy))
    lines = [f"{'form':<16}{'size':>10}{'one picture':>14}   {title}"]
    for name, size, milliseconds, accuracy in rows:
        shown = "not known" if accuracy is None else f"{100 * accuracy:.1f} %"
        lines.append(f"{name:<16}{size / 1e6:>7.1f} MB{shown_milliseconds(milliseconds):>14}   {shown}")
    return lines
