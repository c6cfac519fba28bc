"""The classifier that other programs import: answers in words, with what explains them."""

import functools
import os
from collections.abc import Sequence
from pathlib import Path

from pigeonhole.arguments import MOST, Bounds, thread_count, up_to
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.features import known
from pigeonhole.features.known import KnownPictures
from pigeonhole.jobs import prediction
from pigeonhole.jobs.prediction import Answer, Source, Why
from pigeonhole.model import classifier
from pigeonhole.model.classifier import Picture
from pigeonhole.model.engines.engine import AUTO
from pigeonhole.model.interface import ForeignCheckpoint
from pigeonhole.runs import search
from pigeonhole.runs.run import Run


class Classifier(classifier.Classifier):
    """What a saved run answers for pictures. Safe to use from many threads.

    >>> with Classifier.load() as classifier:
    ...     for answer in classifier.answers(["dog.jpg"]):
    ...         print(answer.class_name, answer.confidence)
    """

    _run: Run

    @classmethod
    def load(
        cls,
        run: str | os.PathLike[str] | Run | None = None,
        *,
        engine: str = AUTO,
        threads: int | None = None,
        foreign: ForeignCheckpoint | None = None,
    ) -> "Classifier":
        """As of `model.classifier.Classifier.load`: by default the newest finished run."""
        if threads is not None:
            _require(threads=(threads, thread_count))
        found = search.find(run if run is None or isinstance(run, str | Run) else Path(run))
        loaded = super().load(found, engine=engine, threads=threads, foreign=foreign)
        loaded._run = found
        return loaded

    def answers(self, pictures: Sequence[Picture] | Picture, *, nearest: int = 0) -> list[Answer]:
        """The answer for each picture, in order; for one that cannot be read it says why in `error`.

        `pictures`: as of `predict`. `nearest`: of how many training pictures most like it each answer is to
        tell. Raises PigeonholeError where the run keeps no training pictures to tell of.
        """
        _require(nearest=(nearest, up_to(MOST, least=0)))
        listed = [pictures] if classifier.is_one(pictures) else pictures
        sources = [Source(_name(picture, number), picture) for number, picture in enumerate(listed)]
        why = Why(self._known, nearest=nearest) if nearest else Why()
        return list(prediction.answers(self, sources, why))

    @functools.cached_property
    def _known(self) -> KnownPictures:
        kept = known.read(self._run)
        if kept is None:
            raise PigeonholeError(f"{self._run}: keeps no training pictures to name; leave out nearest")
        return kept


def _require(**values: tuple[object, Bounds]) -> None:
    for name, (value, bounds) in values.items():
        if not bounds.hold(value):
            raise UsageError(f"{name}: {value!r} is not {bounds.wanted}")


def _name(picture: Picture, number: int) -> str:
    return str(picture) if isinstance(picture, str | os.PathLike) else f"picture {number}"
