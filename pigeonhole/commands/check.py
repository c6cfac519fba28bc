"""The pre-flight check: what was found in a folder of class folders, skipped, odd, duplicated.

pigeonhole check training_data                     what was found, skipped, odd, duplicated
pigeonhole check training_data --show 5            the same, and statistics with five pictures
pigeonhole check training_data --save-grid a.png   the same, and those pictures drawn with their classes
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pigeonhole import atomic_file
from pigeonhole.arguments import Parser, add_reading_flags, as_path, count, side
from pigeonhole.errors import UsageError
from pigeonhole.terminal import say

if TYPE_CHECKING:
    from pigeonhole.data.dataset import DataSets

PREFLIGHT_IMAGE_SIZE = 32  # the check itself needs no more, and 50,000 pictures then take 150 MB of cache
DEFAULT_DRAWN = 16  # pictures in a grid


def main(arguments: list[str]) -> int:
    settings = _parser().parse_args(arguments)
    from pigeonhole.data import overview
    from pigeonhole.data.dataset import read_train_sets

    sets = read_train_sets(
        settings.folder,
        settings.image_size,
        settings.classes,
        settings.validation_size,
        settings.seed,
        channels=settings.channels or 3,
        fraction=settings.fraction,
        split=settings.split,
        fixes=settings.fixes,
        labels=settings.labels,
        cache_dir=settings.cache_dir,
        no_cache=settings.no_cache,
    )
    report = {"preflight": sets.preflight.to_json()}
    lines = sets.preflight.lines()
    if settings.show:
        report["statistics"] = overview.overview(sets, settings.show)
        lines += ["", *overview.lines(report["statistics"])]
    if settings.json:
        print(json.dumps(report, indent=2))
    else:
        say(*lines)
    if settings.save_grid:
        _draw(settings.save_grid, sets, settings.show or DEFAULT_DRAWN)
    sets.require_trainable()
    return 1 if settings.strict and not sets.preflight.clean else 0


def _draw(file: Path, sets: "DataSets", count: int) -> None:
    from pigeonhole.pictures import grid

    sets.require_trainable()
    atomic_file.check("--save-grid", file, (record.entry.path for record in sets.records))
    chosen = sets.train.order(0)[:count]
    grid.save(file, sets.train.images[chosen], sets.train.classes[chosen])
    say(f"drawn: {file}", to=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = Parser("check", __doc__, "FOLDER")
    add = parser.add_argument
    add(
        "folder",
        type=as_path,
        metavar="FOLDER",
        help="holds one folder of pictures per class, or such folders in train and valid",
    )
    add("--show", type=count, metavar="N", help="print statistics, and N pictures of the training set")
    add("--save-grid", type=_drawing, metavar="FILE", help=f"draw N ({DEFAULT_DRAWN}) of them, with classes")
    add("--json", action="store_true", help="print everything as JSON")
    add("--strict", action="store_true", help="exit with status 1 if anything was skipped or contradictory")
    add(
        "--image-size",
        type=side,
        default=PREFLIGHT_IMAGE_SIZE,
        metavar="PIXELS",
        help=f"the side that pictures are resized to ({PREFLIGHT_IMAGE_SIZE}); training has its own",
    )
    add_reading_flags(parser)
    return parser


def _drawing(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .png or .jpg")
    try:
        atomic_file.check("--save-grid", path)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("--save-grid ")) from error
    return path
