"""Where classes have uneven numbers of pictures, what the accuracy does not show."""

from collections.abc import Sequence
from dataclasses import dataclass

from pigeonhole.statistics import accuracy_line, wilson_interval
from pigeonhole.terminal import shown

# The largest class over the smallest. Of two classes with 60 and 40 of 100 pictures, one that is right ten
# points less often than the other moves the accuracy by one point against the mean over classes: enough to be
# read. With less difference in size, both figures tell the same.
UNEVEN = 1.5


@dataclass(frozen=True)
class Balance:
    """Shares are 0..1.

    accuracy    the mean over classes of the share of their pictures that are right
    fewest      pictures of the smallest class that has any, `most` those of the largest
    weakest     the class of the smallest such share, `right` of its `pictures`
    """

    accuracy: float
    fewest: int
    most: int
    weakest: str
    right: int
    pictures: int

    def lines(self) -> list[str]:
        """For people."""
        return [
            f"{100 * self.accuracy:.1f} % where every class counts alike (they have {self.fewest:,} to "
            f"{self.most:,} pictures)",
            f"weakest class {shown(self.weakest)!r}: {accuracy_line(self.right, self.pictures)}",
        ]

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the share of the weakest class."""
        return wilson_interval(self.right, self.pictures)


def balance_of(classes: Sequence[tuple[str, int, int]]) -> Balance | None:
    """`classes`: name, pictures that are right, pictures. None where they are even, or fewer than two."""
    some = [each for each in classes if each[2]]
    if len(some) < 2:
        return None
    fewest, most = min(each[2] for each in some), max(each[2] for each in some)
    if most < UNEVEN * fewest:
        return None
    weakest = min(some, key=lambda each: (each[1] / each[2], -each[2]))
    accuracy = sum(right / pictures for _, right, pictures in some) / len(some)
    return Balance(accuracy, fewest, most, *weakest)


def balance_to_json(balance: Balance | None) -> dict[str, object]:
    """For programs; None where classes are even."""
    if balance is None:
        return {"balanced_accuracy": None, "weakest_class": None}
    return {
        "balanced_accuracy": balance.accuracy,
        "weakest_class": {
            "class": balance.weakest,
            "right": balance.right,
            "pictures": balance.pictures,
            "interval_95": list(balance.interval),
        },
    }
