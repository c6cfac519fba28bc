"""The certificate of an exported model: what it was asked for, how it answered, and whether that will do."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pigeonhole.errors import PigeonholeError
from pigeonhole.evaluation.comparison import SIGNIFICANT, mcnemar
from pigeonhole.model.export.exporting import TOLERANCE
from pigeonhole.model.export.replaying import Replayed
from pigeonhole.statistics import wilson_interval
from pigeonhole.terminal import counted

PICTURE_TOLERANCE = 1e-4  # of probabilities of photos; those of the golden examples: TOLERANCE
MOST_LOST = 0.01  # of the accuracy, by int8; one picture is allowed in any case


@dataclass(frozen=True)
class Certificate:
    """`content`: what is written as JSON."""

    content: Mapping[str, object]

    @property
    def bytes(self) -> int:
        return self.content["bytes"]

    @property
    def milliseconds(self) -> float:
        """The median time of one answer."""
        return self.content["milliseconds_a_picture"]

    @property
    def accuracy(self) -> float | None:
        """Of the exported form on the validation pictures, 0..1."""
        return self.content["pictures"]["accuracy"]

    @property
    def model_accuracy(self) -> float | None:
        """Of the run's own model on the same pictures."""
        return self.content["pictures"]["accuracy_of_the_run"]

    def lines(self) -> list[str]:
        """What was found, for people."""
        pictures, golden = self.content["pictures"], self.content["golden"]
        asked = f"{golden['equal']}"
        if pictures["n"]:
            asked = f"{pictures['equal']} of {pictures['n']} {pictures['kind']} and {asked}"
        told = [
            f"{self.bytes / 1e6:.1f} MB, {shown_milliseconds(self.milliseconds)} a picture",
            f"{asked} of {golden['n']} golden examples get the same answer; probabilities differ by up to "
            f"{max(pictures['largest_difference'], golden['largest_difference']):.2g}",
        ]
        if pictures["missing"]:
            told.append(
                f"{counted(pictures['missing'], 'further one', 'further ones')} of the run's validation "
                "pictures cannot be read any more"
            )
        if "loss" in self.content:
            told += self._lines_of_loss()
        return told

    def _lines_of_loss(self) -> list[str]:
        loss, n = self.content["loss"], self.content["pictures"]["n"]
        lost = counted(loss["only_the_run_is_right"], "picture", "pictures")
        return [
            f"int8 has {lost} wrong that the run has right, and {loss['only_int8_is_right']} right that it "
            f"has wrong: accuracy {100 * self.accuracy:.1f} % after {100 * self.model_accuracy:.1f} % "
            f"(McNemar's exact test, p = {loss['p_value']:.2f})",
            f"{counted(n, 'picture', 'pictures')} can show this much: of new ones, int8 has at most "
            f"{100 * loss['at_most']:.1f} % wrong that the run has right (95 % interval)",
        ]


def certified(about: Mapping[str, object], aside: Path, place: Path, replayed: Replayed) -> Certificate:
    """The certificate of the form that lies at `aside` and will lie at `place`.

    Raises PigeonholeError where it answers otherwise than the run's model, or, in int8, worse.
    """
    loss = _loss_by_int8(replayed) if about["int8"] else None
    if loss is None:
        _require_equal(replayed)
    examples = replayed.examples
    own, expected = replayed.golden_probabilities, examples.golden_probabilities
    content = {
        **about,
        "file": place.name,
        "bytes": sum(file.stat().st_size for file in _files(aside)),
        "sha256": {
            _shown(file, aside, place): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in _files(aside)
        },
        "golden": {
            "n": len(expected),
            "equal": int((own.argmax(1) == expected.argmax(1)).sum()),
            "largest_difference": replayed.golden_difference,
        },
        "pictures": {
            "kind": examples.kind,
            "n": len(examples.pixels),
            "missing": examples.missing,
            "equal": replayed.equal,
            "largest_difference": replayed.largest_difference,
            "accuracy": _mean(replayed.right),
            "accuracy_of_the_run": _mean(replayed.model_right),
        },
        "milliseconds_a_picture": round(replayed.milliseconds, 3),
    }
    return Certificate(content | ({"loss": loss} if loss else {}))


def _require_equal(replayed: Replayed) -> None:
    """Raise PigeonholeError unless every answer is the model's."""
    for difference, tolerance, what in (
        (replayed.golden_difference, TOLERANCE, "the golden examples"),
        (replayed.largest_difference, PICTURE_TOLERANCE, replayed.examples.kind),
    ):
        if not difference <= tolerance:  # also refuses NaN
            raise PigeonholeError(
                f"it gives {what} other probabilities, by up to {difference:.2g}; {tolerance:.0e} is allowed"
            )
    total = len(replayed.examples.pixels)
    if replayed.equal < total:
        raise PigeonholeError(f"it answers {total - replayed.equal} of {total} pictures otherwise")


def _loss_by_int8(replayed: Replayed) -> dict[str, object]:
    """What int8 costs. Raises PigeonholeError where that is more than chance or than `MOST_LOST`."""
    right, before = replayed.right, replayed.model_right
    if not np.isfinite(replayed.probabilities).all():
        raise PigeonholeError("int8 gives no numbers")
    total = len(right)
    only_run, only_int8 = int((before & ~right).sum()), int((right & ~before).sum())
    lost, p_value = only_run - only_int8, mcnemar(only_run, only_int8)
    told = f"int8 loses {lost} of {total} validation pictures"
    if lost > max(1, MOST_LOST * total):
        raise PigeonholeError(f"{told}, and {100 * MOST_LOST:.0f} % may be lost; export it without --int8")
    if lost > 0 and p_value < SIGNIFICANT:
        raise PigeonholeError(f"{told}, which is not chance (McNemar's exact test, p = {p_value:.4f})")
    return {
        "only_the_run_is_right": only_run,
        "only_int8_is_right": only_int8,
        "p_value": p_value,
        "most_lost": MOST_LOST,
        "at_most": round(wilson_interval(only_run, total)[1], 6),
    }


def shown_milliseconds(value: float) -> str:
    """`12.3 ms`; two digits of what is less than one."""
    return f"{value:.1f} ms" if value >= 1 else f"{value:.2g} ms"


def _files(place: Path) -> list[Path]:
    return sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]


def _shown(file: Path, aside: Path, place: Path) -> str:
    return place.name if file == aside else file.relative_to(aside).as_posix()


def _mean(right: np.ndarray | None) -> float | None:
    return None if right is None else round(float(right.mean()), 6)
