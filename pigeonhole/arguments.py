"""Flags that more than one program has, and the types of their values."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from pigeonhole import cli
from pigeonhole.errors import UsageError


class Parser(argparse.ArgumentParser):
    """The parser of one command: its help says how the user starts it, a mistake is told in two lines."""

    def __init__(self, command: str, description: str, operands: str = ""):
        super().__init__(
            prog=cli.command(command),
            usage=f"%(prog)s [flags] {operands}".rstrip(),
            description=cli.as_started(description),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        """Leave with status 2, saying what is wrong and where help is."""
        self.exit(UsageError.exit_status, f"error: {message}\nhelp:  {self.prog} --help\n")


def add_reading_flags(group: argparse._ActionsContainer) -> None:
    """How a folder of class folders is read: the parameters of `dataset.read_train_sets`."""
    add = group.add_argument
    add("--classes", type=names, metavar="A,B", help="only these class folders, in this order")
    add("--validation-size", type=share, default=0.2, metavar="SHARE", help="set apart for validation (0.2)")
    add("--split", type=Path, metavar="FILE", help="take the split from an earlier run's split.csv")
    add("--fixes", type=Path, metavar="FILE", help="take labels from an edited fixes.csv of an earlier run")
    add("--fraction", type=part, default=1.0, metavar="SHARE", help="train on a seeded, stratified part (1)")
    add("--channels", type=int, choices=(1, 3), default=3, help="1 grey, 3 colour (3)")
    add("--seed", type=seed, default=0, metavar="N", help="decides the split and all shuffles (0)")
    add_cache_flags(group)


def add_cache_flags(group: argparse._ActionsContainer) -> None:
    """Where decoded pixels are kept: the parameters of `cache.of_flags`."""
    group.add_argument("--cache-dir", type=Path, metavar="FOLDER", help="where decoded pictures are kept")
    group.add_argument("--no-cache", action="store_true", help="keep decoded pictures for this run only")


def add_export_flags(group: argparse._ActionsContainer) -> None:
    """Where an exporter writes, and how much."""
    add = group.add_argument
    add("--train-dir", type=Path, default=Path("training_data"), metavar="FOLDER", help="(training_data)")
    add("--test-dir", type=Path, default=Path("testing_data"), metavar="FOLDER", help="(testing_data)")
    add("--limit", type=count, metavar="N", help="only the first N training and the first N testing pictures")
    add("--overwrite", action="store_true", help="replace files of the same names that have other content")


def check_export(options: argparse.Namespace) -> None:
    """Raise `UsageError` where an exporter's options do not go together."""
    train, test = options.train_dir.resolve(), options.test_dir.resolve()
    if train == test or train in test.parents or test in train.parents:
        raise UsageError(
            f"--train-dir {options.train_dir} and --test-dir {options.test_dir} lie in one another"
        )
    if options.source and not options.source.exists():
        raise UsageError(f"--source {options.source} does not exist")
    if options.url and not options.url.startswith(("http://", "https://")):
        raise UsageError(f"--url {options.url} does not begin with http:// or https://")


def names(text: str) -> list[str]:
    found = [name.strip() for name in text.split(",")]
    if not all(found) or len(set(found)) != len(found):
        raise argparse.ArgumentTypeError(f"{text!r}: give class names once each, separated by commas")
    return found


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to {2**31 - 1}")
    return int(text)


def positive(text: str) -> float:
    return _number(text, lambda value: 0 < value < math.inf, "a number above 0")


def share(text: str) -> float:
    return _number(text, lambda value: 0 < value < 1, "a number between 0 and 1, such as 0.2")


def part(text: str) -> float:
    return _number(text, lambda value: 0 < value <= 1, "a number above 0 and up to 1")


def below_one(text: str) -> float:
    return _number(text, lambda value: 0 <= value < 1, "a number from 0 up and below 1")


def not_negative(text: str) -> float:
    return _number(text, lambda value: 0 <= value < math.inf, "a number from 0 up")


def _number(text: str, fits: Callable[[float], bool], wanted: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not fits(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return value
