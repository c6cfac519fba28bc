"""Answers for all pictures that the user's arguments lead to."""

import glob
import itertools
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pigeonhole.arguments import NEEDS_QUOTES, unquoted
from pigeonhole.data.walking import files_below
from pigeonhole.errors import UsageError
from pigeonhole.model import classifier as answering
from pigeonhole.model import doubt
from pigeonhole.model.classifier import Classifier, Picture
from pigeonhole.pictures import grid, images
from pigeonhole.runs import creation

if TYPE_CHECKING:  # without a reason to be told, an answer starts sooner
    from pigeonhole.features.known import KnownPictures, Near

STDIN = "-"
NEAREST = 5  # training pictures named for each answer
LONGEST_STEM = 100  # letters of a picture's name in that of its heatmap


class Source(NamedTuple):
    """A picture to answer for: how the user knows it, and its path, content or pixels."""

    name: str
    picture: Picture


@dataclass(frozen=True)
class Answer:
    """What a model says to a picture.

    `ranked`: (class name, probability), best first; empty where `error` says why there is none.

    `unsure`: whether the picture may show none of the classes. Where they were asked for, `nearest`: training
    pictures, the nearest first, and `heatmap`: the file that shows what spoke for the answer.
    """

    name: str
    ranked: list[tuple[str, float]]
    unsure: bool = False
    error: str | None = None
    nearest: "Sequence[Near]" = ()
    heatmap: Path | None = None

    @property
    def class_name(self) -> str | None:
        """The most probable class; None where the picture cannot be read."""
        return self.ranked[0][0] if self.ranked else None

    @property
    def confidence(self) -> float:
        """The probability of `class_name`, calibrated, 0..1; 0 where the picture cannot be read."""
        return self.ranked[0][1] if self.ranked else 0.0

    @property
    def doubt(self) -> str | None:
        """As of `classifier.Answer`."""
        return doubt.kind([share for _, share in self.ranked], self.unsure)


@dataclass(frozen=True)
class Why:
    """What is to be told besides each answer: the `nearest` so many of the `known` training pictures, and a
    heatmap in the folder `heatmaps`."""

    known: "KnownPictures | None" = None
    heatmaps: Path | None = None
    nearest: int = NEAREST


def find_pictures(arguments: Sequence[str]) -> tuple[list[str], list[Source]]:
    """(arguments that lead nowhere, the pictures that the others lead to, in order).

    UsageError when there is no picture at all.
    """
    missing, places = find_places(arguments)
    return missing, list(sources_of(places))


def find_places(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """(arguments that lead nowhere, the files and folders that the others lead to, in order).

    UsageError when there is no picture at all.
    """
    missing, places = [], []
    for argument in arguments:
        is_there = argument == STDIN or os.path.lexists(argument)
        found = [argument] if is_there else sorted(glob.glob(argument, recursive=True))
        if not found:
            if is_address(argument):
                raise UsageError(
                    f"{argument}: an address; predict takes files; save it, or pipe it to predict -"
                )
            missing.append(argument)
        places += found
    if missing and (path := unquoted(arguments)):
        raise UsageError(f"{path}: {NEEDS_QUOTES}")
    if not any(_leads_to_files(place) for place in places):
        raise UsageError(
            f"{arguments[0]}: " + ("no such file or folder" if missing else "no picture in this folder")
        )
    return missing, places


def sources_of(places: Iterable[str]) -> Iterator[Source]:
    """The pictures that lie at these places, one after the other; a folder's are sorted by name."""
    for place in places:
        if place == STDIN:
            yield Source(STDIN, sys.stdin.buffer.read())
        elif os.path.isdir(place):
            yield from (Source(path, path) for path in files_below(str(Path(place))))
        else:
            yield Source(place, place)


def _leads_to_files(place: str) -> bool:
    return not os.path.isdir(place) or any(True for _ in files_below(place))


def is_address(text: str) -> bool:
    """Whether the text begins as the address of a web page or of something else on the internet does."""
    return re.match(r"(?i)(https?|ftp|s3|gs|data|file):", text) is not None


def answers(classifier: Classifier, sources: Sequence[Source], why: Why = Why()) -> Iterator[Answer]:
    """The answers in the order of the sources, as they come.

    Raises PigeonholeError where the model has no features to compare with those of the known pictures, and
    OSError where a heatmap cannot be written.
    """
    given = classifier.answer_each((source.picture for source in sources), why.known is not None)
    for source, answer in zip(sources, given, strict=True):
        yield told(classifier, source, answer, why)


def told(
    classifier: Classifier,
    source: Source,
    answer: answering.Answer | images.ImageError,
    why: Why = Why(),
) -> Answer:
    """What the classifier answered for the source, its classes ranked, and `why`. Raises as `answers`."""
    if isinstance(answer, Exception):
        return Answer(source.name, [], error=str(answer))
    shares = answer.probabilities
    best_first = np.argsort(-shares, kind="stable")
    ranked = [(classifier.classes[index], float(shares[index])) for index in best_first]
    nearest = why.known.nearest(answer.features[np.newaxis], why.nearest)[0] if why.known else ()
    heatmap = _heatmap(why.heatmaps, classifier, source, int(best_first[0])) if why.heatmaps else None
    return Answer(source.name, ranked, answer.unsure, None, nearest, heatmap)


def check_heatmaps(folder: Path, classifier: Classifier, sources: Iterable[Source]) -> None:
    """Raise UsageError where no heatmap of these pictures can be made, or `folder` is not for them."""
    if not classifier.has("logits"):
        raise UsageError("--heatmaps: only for models of Pigeonhole's own, which have logits")
    creation.check_output(folder, "--heatmaps")
    place = folder.resolve()
    if any(place == Path(each.picture).resolve().parent for each in sources if isinstance(each.picture, str)):
        raise UsageError(f"--heatmaps {folder}: lies among the pictures; name a folder elsewhere")


def _heatmap(folder: Path, classifier: Classifier, source: Source, class_index: int) -> Path:
    """Write a PNG file of the picture, next to itself as it spoke for the class. No file is replaced."""
    from pigeonhole.evaluation import insight

    content = source.picture if isinstance(source.picture, bytes) else Path(source.picture).read_bytes()
    pixels = classifier.read(content)
    pair = [
        images.shown(pixels, classifier.preprocessing),
        insight.spoke_for(classifier, pixels, class_index),
    ]
    if pair[0].shape[2] == 1:
        pair[0] = pair[0].repeat(3, axis=2)
    stem = "picture" if source.name == STDIN else Path(source.name).stem[:LONGEST_STEM]
    numbered = (f"{stem}.png" if number == 1 else f"{stem}-{number}.png" for number in itertools.count(1))
    folder.mkdir(parents=True, exist_ok=True)
    place = next(folder / name for name in numbered if not os.path.lexists(folder / name))
    grid.save(place, np.stack(pair), [Path(source.name).name, f"spoke for {classifier.classes[class_index]}"])
    return place
