"""The flags of `predict`."""

import argparse
from collections.abc import Callable

from pigeonhole.arguments import Parser, as_path, count, filled, names, side, thread_count
from pigeonhole.model.engines.engine import CHOICES


def parse(arguments: list[str], description: str) -> argparse.Namespace:
    """What the arguments say; leaves with status 2 where they are wrong."""
    parser = Parser("predict", description, "PICTURE ...")
    parser.add_argument(
        "pictures",
        nargs="*",
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
    _add_outputs(parser)
    _add_bulk(parser)
    _add_foreign(parser)
    options = parser.parse_args(arguments)
    if message := _contradiction(options, parser.get_default):
        parser.error(message)
    return options


def is_bulk(options: argparse.Namespace) -> bool:
    """Whether answers go elsewhere than to the terminal."""
    return any((options.csv, options.jsonl, options.parquet, options.sort_into))


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print a JSON list, one object per picture")
    output.add_argument(
        "--csv",
        type=as_path,
        metavar="FILE",
        help="write a table, a row per picture, all classes; - prints it",
    )
    output.add_argument(
        "--jsonl",
        type=as_path,
        metavar="FILE",
        help="write a JSON object per picture and line; - prints them",
    )
    output.add_argument(
        "--parquet", type=as_path, metavar="FILE", help="write the table as Parquet, for data frames"
    )


def _add_bulk(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("many pictures", "with --csv, --jsonl, --parquet or --sort-into")
    group.add_argument(
        "--sort-into",
        type=as_path,
        metavar="FOLDER",
        help="copy each picture into a folder of its class there",
    )
    group.add_argument("--link", action="store_true", help="hard links in the place of copies")
    group.add_argument(
        "--undo", type=as_path, metavar="FILE", help="take away what the undo.csv of --sort-into lists"
    )
    group.add_argument(
        "--resume", action="store_true", help="go on behind the answers that are there, after a kill, say"
    )
    group.add_argument(
        "--watch", action="store_true", help="wait for further files in the folders, until Ctrl-C"
    )
    group.add_argument(
        "--workers", type=thread_count, metavar="N", help="pictures that are computed at once (all cores)"
    )


def _add_foreign(parser: argparse.ArgumentParser) -> None:
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


def _contradiction(options: argparse.Namespace, default: Callable[[str], object]) -> str | None:
    """What is wrong about the flags together."""
    if options.undo:
        others = [name for name, value in vars(options).items() if value not in (default(name), [])]
        others.remove("undo")
        return f"--undo: takes no {_flag(others[0])}" if others else None
    if not options.pictures:
        return "the following arguments are required: PICTURE"
    if options.link and not options.sort_into:
        return "--link: only with --sort-into"
    given = [flag for flag in ("resume", "watch", "workers") if getattr(options, flag)]
    if given and not is_bulk(options):
        return f"{_flag(given[0])}: only with --csv, --jsonl, --parquet or --sort-into"
    if options.sort_into and "-" in options.pictures:
        return "--sort-into: -, the standard input, is no file that could be copied; name files"
    if options.sort_into and options.json:
        return "--json: not with --sort-into; --jsonl - prints JSON lines"
    return None


def _flag(name: str) -> str:
    return name if name == "pictures" else f"--{name.replace('_', '-')}"


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
