"""Answers for all pictures that the user's arguments lead to."""

import glob
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pigeonhole.arguments import NEEDS_QUOTES, unquoted
from pigeonhole.data.folders import is_hidden
from pigeonhole.errors import UsageError
from pigeonhole.model.classifier import Classifier

STDIN = "-"


class Source(NamedTuple):
    """A picture to answer for: how the user knows it, and its path or content."""

    name: str
    picture: str | bytes


class Answer(NamedTuple):
    """`ranked`: (class name, probability), best first; empty where `error` says why there is none.

    `unsure`: whether the picture may show none of the classes.
    """

    name: str
    ranked: list[tuple[str, float]]
    unsure: bool = False
    error: str | None = None


def find_pictures(arguments: Sequence[str]) -> tuple[list[str], list[Source]]:
    """(arguments that lead nowhere, the pictures that the others lead to, in order).

    UsageError when there is no picture at all.
    """
    missing, sources = [], []
    for argument in arguments:
        if argument == STDIN:
            sources.append(Source(STDIN, sys.stdin.buffer.read()))
            continue
        found = [argument] if os.path.lexists(argument) else sorted(glob.glob(argument, recursive=True))
        if not found:
            if is_address(argument):
                raise UsageError(
                    f"{argument}: an address; predict takes files; save it, or pipe it to predict -"
                )
            missing.append(argument)
        for path in found:
            files = files_below(Path(path)) if os.path.isdir(path) else [path]
            sources.extend(Source(str(file), str(file)) for file in files)
    if missing and (path := unquoted(arguments)):
        raise UsageError(f"{path}: {NEEDS_QUOTES}")
    if not sources:
        raise UsageError(
            f"{arguments[0]}: " + ("no such file or folder" if missing else "no picture in this folder")
        )
    return missing, sources


def is_address(text: str) -> bool:
    """Whether the text begins as the address of a web page or of something else on the internet does."""
    return re.match(r"(?i)(https?|ftp|s3|gs|data|file):", text) is not None


def files_below(folder: Path, seen: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Every file below the folder that is not hidden, sorted; links back to a folder above are left."""
    real = folder.resolve()
    if real in seen:
        return
    for path in sorted(folder.iterdir()):
        if is_hidden(path.name):
            continue
        if path.is_dir():
            yield from files_below(path, seen | {real})
        elif path.is_file() or path.is_symlink():
            yield path


def answers(classifier: Classifier, sources: Sequence[Source]) -> Iterator[Answer]:
    """The answers in the order of the sources, as they come."""
    given = classifier.answer_each(source.picture for source in sources)
    for source, answer in zip(sources, given, strict=True):
        if isinstance(answer, Exception):
            yield Answer(source.name, [], error=str(answer))
            continue
        shares = answer.probabilities
        best_first = np.argsort(-shares, kind="stable")
        ranked = [(classifier.classes[index], float(shares[index])) for index in best_first]
        yield Answer(source.name, ranked, answer.unsure)
