"""Flags of the commands that write a published data set as class folders."""

import argparse
from pathlib import Path

from pigeonhole.arguments import as_path, count
from pigeonhole.errors import UsageError


def add_export_flags(group: argparse._ActionsContainer) -> None:
    """Where an exporter writes, and how much."""
    add = group.add_argument
    add("--train-dir", type=as_path, default=Path("training_data"), metavar="FOLDER", help="(training_data)")
    add("--test-dir", type=as_path, default=Path("testing_data"), metavar="FOLDER", help="(testing_data)")
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
