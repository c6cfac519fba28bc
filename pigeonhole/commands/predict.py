"""Say what is in pictures: class names with probabilities, best first, from a trained model.

pigeonhole predict dog.jpg
pigeonhole predict holiday/ "more/*.png" --top 3
pigeonhole predict dog.jpg --why --heatmaps seen
pigeonhole predict heap/ --csv answers.csv --resume
curl -s https://example.org/dog.jpg | pigeonhole predict -
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from pigeonhole.commands import foreign_flags, predict_flags
from pigeonhole.runs import search
from pigeonhole.terminal import counted, padded, say, shown, titled, width

if TYPE_CHECKING:
    from pigeonhole.jobs.prediction import Answer, Source, Why
    from pigeonhole.runs.run import Run

UNSURE = "unsure: perhaps none of these"
WIDEST_NAME = 60  # longer file names are not waited for when columns are aligned


def main(arguments: list[str]) -> int:
    """0 when every picture got its answer, 1 when some could not be read."""
    options = predict_flags.parse(arguments, __doc__)
    if options.undo:
        return undo(options)
    from pigeonhole.jobs import prediction

    missing, places = prediction.find_places(options.pictures)
    if predict_flags.is_bulk(options):
        failures = answer_in_bulk(options, places, missing)
    else:
        failures = answer_on_terminal(options, list(prediction.sources_of(places)), missing)
    return 1 if failures or missing else 0


def answer_on_terminal(
    options: argparse.Namespace, sources: Sequence["Source"], missing: Sequence[str]
) -> int:
    """Print the answers; gives the number of failures."""
    from pigeonhole.jobs import prediction
    from pigeonhole.model.classifier import Classifier

    model = found_model(options, missing)
    threads = 1 if options.heatmaps else None  # hundreds of small answers: several threads would only wait
    with Classifier.load(
        model, engine=options.engine, threads=threads, foreign=foreign_flags.foreign(options)
    ) as classifier:
        if options.heatmaps:
            prediction.check_heatmaps(options.heatmaps, classifier, sources)
        answers = complained(prediction.answers(classifier, sources, explanation(options, model)))
        if options.json:
            return print_json(answers, options.top)
        return print_lines(answers, options.top, sources, classifier.classes)


def answer_in_bulk(options: argparse.Namespace, places: Sequence[str], missing: Sequence[str]) -> int:
    """Write the answers where the flags say; gives the number of failures."""
    from pigeonhole.jobs import prediction
    from pigeonhole.jobs.bulk import job
    from pigeonhole.model.classifier import Classifier

    config = job.BulkConfig(**{name: getattr(options, name) for name in job.BulkConfig.__dataclass_fields__})
    bulk = job.BulkJob(config, places)
    model = found_model(options, missing)
    with Classifier.load(
        model, engine=options.engine, threads=1, foreign=foreign_flags.foreign(options)
    ) as classifier:
        if options.heatmaps:
            prediction.check_heatmaps(options.heatmaps, classifier, ())
        digest = job.model_digest(model, classifier.engine, foreign_flags.foreign(options))
        try:
            outcome = bulk.run(classifier, digest, explanation(options, model))
        except BaseException as error:
            if told := bulk.how_to_resume(error):
                say(told, to=sys.stderr)
            raise
    say(*bulk.lines(), to=sys.stderr if config.is_printed else sys.stdout)
    return outcome.failures


def undo(options: argparse.Namespace) -> int:
    """Take away what was sorted; 1 where something is kept."""
    from pigeonhole.jobs.bulk import sorting

    removed = kept = 0
    for name, reason in sorting.undo(options.undo):
        removed += reason is None
        kept += reason is not None
        if reason:
            complain(name, f"kept, {reason}")
    say(f"{options.undo}: {counted(removed, 'file', 'files')} removed" + (f", {kept:,} kept" if kept else ""))
    return 1 if kept else 0


def found_model(options: argparse.Namespace, missing: Sequence[str]) -> "Run":
    """The run that answers, after it was named, and the arguments that lead nowhere."""
    model = search.find(options.model)
    say(f"model: {model.describe()}", to=sys.stderr)
    for name in missing:
        complain(name, "no such file or folder")
    return model


def explanation(options: argparse.Namespace, run: "Run") -> "Why":
    """What is to be told besides the answers; a note where the run has nothing to tell of."""
    from pigeonhole.jobs.prediction import Why

    kept = None
    if options.why:
        from pigeonhole.features import known

        kept = known.read(run)
    if options.why and kept is None:
        only = "only the heatmaps explain" if options.heatmaps else "add --heatmaps FOLDER to explain"
        say(f"note: this run keeps no training pictures to name; {only} its answers", to=sys.stderr)
    return Why(kept, options.heatmaps)


def complained(answers: Iterable["Answer"]) -> Iterator["Answer"]:
    """The same answers; for a picture that cannot be read, the reason on standard error."""
    for answer in answers:
        if answer.error is not None:
            complain(answer.name, answer.error)
        yield answer


def complain(name: str, reason: str) -> None:
    sys.stdout.flush()
    say(f"{name}: {reason}", to=sys.stderr)


def print_lines(
    answers: Iterable["Answer"], top: int, sources: Sequence["Source"], classes: Sequence[str]
) -> int:
    """Aligned lines, the file's name first where there are several; gives the number of failures."""
    names = [columns for source in sources if (columns := width(shown(source.name))) <= WIDEST_NAME]
    name_width, class_width = max(names, default=0), max(width(shown(name)) for name in classes)
    failures = 0
    for answer in answers:
        failures += answer.error is not None
        if answer.error is None:
            ranked = answer.ranked[:top]
            line = "   ".join(f"{padded(shown(name), class_width)} {share:.2f}" for name, share in ranked)
            line += _doubt(answer)
            say(line if len(sources) == 1 else f"{padded(shown(answer.name), name_width)}  {line}")
            for reason in _reasons(answer, class_width):
                say(reason)
    return failures


def _doubt(answer: "Answer") -> str:
    """What is to be said behind the classes; nothing where there is no doubt."""
    from pigeonhole.model import doubt

    if answer.doubt == doubt.TORN:
        first, second = (shown(name) for name, _ in answer.ranked[:2])
        return f"   torn between {first} and {second}"
    return f"   {UNSURE}" if answer.doubt else ""


def _reasons(answer: "Answer", class_width: int) -> list[str]:
    """What led to the answer, as lines below it."""
    near = [
        f"{padded(shown(each.class_name), class_width)} {each.cosine:.2f}   {shown(each.name)}"
        for each in answer.nearest
    ]
    seen = [] if answer.heatmap is None else [shown(str(answer.heatmap))]
    return [f"    {line}" for line in [*titled("nearest", near), *titled("heatmap", seen)]]


def print_json(answers: Iterable["Answer"], top: int) -> int:
    """One JSON list, an object per line; gives the number of failures."""
    from pigeonhole.jobs.bulk.rows import as_json

    failures, separator = 0, "["
    for answer in answers:
        failures += answer.error is not None
        print(f"{separator}\n{json.dumps(as_json(answer, top))}", end="")
        separator = ","
    print("\n]")
    return failures
