"""Say what is in pictures: class names with probabilities, best first, from a trained model.

pigeonhole predict dog.jpg
pigeonhole predict holiday/ "more/*.png" --top 3
pigeonhole predict dog.jpg --why --heatmaps seen
curl -s https://example.org/dog.jpg | pigeonhole predict -
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pigeonhole.arguments import Parser, as_path, count, filled, names, side
from pigeonhole.data import tables
from pigeonhole.model.engines.engine import CHOICES
from pigeonhole.runs import search
from pigeonhole.terminal import counted, padded, say, shown, titled, width

if TYPE_CHECKING:
    from pigeonhole.jobs.prediction import Answer, Source, Why
    from pigeonhole.model.interface import ForeignCheckpoint
    from pigeonhole.runs.run import Run

UNSURE = "unsure: perhaps none of these"
WIDEST_NAME = 60  # longer file names are not waited for when columns are aligned


def main(arguments: list[str]) -> int:
    """0 when every picture got its answer, 1 when some could not be read."""
    options = parse(arguments)
    from pigeonhole.jobs import prediction
    from pigeonhole.model.classifier import Classifier

    missing, sources = prediction.find_pictures(options.pictures)
    if options.csv:
        files = (source.picture for source in sources if isinstance(source.picture, str))
        tables.check("--csv", options.csv, files)
    model = search.find(options.model)
    say(f"model: {model.describe()}", to=sys.stderr)
    for name in missing:
        complain(name, "no such file or folder")
    threads = 1 if options.heatmaps else None  # hundreds of small answers: several threads would only wait
    with Classifier.load(
        model, engine=options.engine, threads=threads, foreign=foreign(options)
    ) as classifier:
        if options.heatmaps:
            prediction.check_heatmaps(options.heatmaps, classifier, sources)
        why = explanation(options, model)
        answers = complained(prediction.answers(classifier, sources, why))
        if options.csv:
            failures = write_csv(options.csv, answers, classifier.classes, why)
        elif options.json:
            failures = print_json(answers, options.top)
        else:
            failures = print_lines(answers, options.top, sources, classifier.classes)
    return 1 if failures or missing else 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = Parser("predict", __doc__, "PICTURE ...")
    parser.add_argument(
        "pictures",
        nargs="+",
        type=filled,
        metavar="PICTURE",
        help="a file, a folder with all below it, a pattern, or - (stdin)",
    )
    parser.add_argument(
        "--model", type=filled, metavar="RUN", help="a run, or a .meta, .onnx or .zip file (newest run)"
    )
    parser.add_argument(
        "--engine",
        choices=CHOICES,
        default=CHOICES[0],
        help="what computes the answers; auto: ONNX Runtime, which starts in a moment, where it can (auto)",
    )
    parser.add_argument("--top", type=count, default=5, metavar="K", help="how many classes to print (5)")
    parser.add_argument(
        "--why", action="store_true", help="name the training pictures most like each picture"
    )
    parser.add_argument(
        "--heatmaps",
        type=as_path,
        metavar="FOLDER",
        help="write a picture there for each answer that shows what spoke for it, a second or two for each",
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print a JSON list, one object per picture")
    output.add_argument(
        "--csv", type=as_path, metavar="FILE", help="write a table, a row per picture, all classes"
    )
    group = parser.add_argument_group(
        "checkpoints of other programs",
        "what such a checkpoint does not say; the defaults are those of the classic tutorial",
    )
    group.add_argument("--labels", type=names, metavar="A,B", help="class names in the checkpoint's order")
    group.add_argument("--input-tensor", metavar="NAME", help="takes the pictures (x)")
    group.add_argument("--output-tensor", metavar="NAME", help="gives the answers (y_pred)")
    group.add_argument("--logits", action="store_const", const=True, help="the output needs a softmax")
    group.add_argument(
        "--feed", type=_feed, action="append", metavar="NAME=VALUE", help="another input; repeatable"
    )
    group.add_argument("--colour-order", choices=("rgb", "bgr"), help="(bgr)")
    group.add_argument("--scale", type=_factor, metavar="FACTOR", help="multiplies 0..255 (1/255)")
    group.add_argument("--image-size", type=side, metavar="PIXELS", help="(by the input tensor's shape)")
    group.add_argument("--resize", choices=("area", "bilinear"), help="(bilinear)")
    return parser.parse_args(arguments)


def foreign(options: argparse.Namespace) -> "ForeignCheckpoint":
    """What the flags say about a checkpoint of another program."""
    from pigeonhole.model.interface import ForeignCheckpoint

    names = (
        "labels", "input_tensor", "output_tensor", "logits", "colour_order", "scale", "image_size", "resize"
    )  # fmt: skip
    given = {name: getattr(options, name) for name in names}
    return ForeignCheckpoint(**given, feeds=dict(options.feed or ()))


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
    failures, separator = 0, "["
    for answer in answers:
        failures += answer.error is not None
        ranked = [{"class": name, "probability": share} for name, share in answer.ranked[:top]]
        said = {"predictions": ranked, "unsure": answer.unsure, "doubt": answer.doubt}
        if answer.nearest:
            said["nearest"] = [
                {"file": each.name, "class": each.class_name, "cosine": each.cosine}
                for each in answer.nearest
            ]
        if answer.heatmap:
            said["heatmap"] = str(answer.heatmap)
        content = said if answer.error is None else {"error": answer.error}
        print(f"{separator}\n{json.dumps({'file': answer.name, **content})}", end="")
        separator = ","
    print("\n]")
    return failures


def write_csv(table: Path, answers: Iterable["Answer"], classes: Sequence[str], why: "Why") -> int:
    """A row per picture with all probabilities, and `why`. Gives the number of failures."""
    from pigeonhole.model import doubt

    failures, rows = 0, 0
    more = _reason_columns(why)
    with tables.write(table) as add:
        columns = ["file", "prediction", "confidence", "unsure", "error", *tables.share_columns(classes)]
        add([*columns, doubt.COLUMN, *more])
        for answer in answers:
            rows += 1
            if answer.error is not None:
                failures += 1
                add([answer.name, "", "", "", answer.error, *[""] * (len(classes) + 1 + len(more))])
                continue
            (best, confidence), shares = answer.ranked[0], dict(answer.ranked)
            said = [best, f"{confidence:.6f}", "yes" if answer.unsure else "no", ""]
            cells = _reason_cells(answer)
            cells += [""] * (len(more) - len(cells))
            numbers = (f"{shares[name]:.6f}" for name in classes)
            add([answer.name, *said, *numbers, answer.doubt or "", *cells])
    failed = f", {failures:,} could not be read" if failures else ""
    say(f"{table}: {counted(rows - failures, 'picture', 'pictures')} answered{failed}")
    return failures


def _reason_columns(why: "Why") -> list[str]:
    from pigeonhole.jobs.prediction import NEAREST

    heatmap = ["heatmap"] if why.heatmaps else []
    numbers = range(1, NEAREST + 1) if why.known else ()
    return heatmap + [f"nearest_{number}{part}" for number in numbers for part in ("", "_class", "_cosine")]


def _reason_cells(answer: "Answer") -> list[str]:
    heatmap = [str(answer.heatmap)] if answer.heatmap else []
    near = [(each.name, each.class_name, f"{each.cosine:.4f}") for each in answer.nearest]
    return heatmap + [cell for cells in near for cell in cells]


def _factor(text: str) -> float:
    above, _, below = text.partition("/")
    try:
        return float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(
            f"a number or a fraction such as 1/255 is needed, not {text}"
        ) from None


def _feed(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise argparse.ArgumentTypeError(f"NAME=VALUE is needed, not {text}")
    return name, value
