"""The flags of `predict`."""

import argparse
from collections.abc import Callable

from pigeonhole.arguments import Parser, as_path, count, filled, thread_count
from pigeonhole.commands import foreign_flags
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
    foreign_flags.add(parser)
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
