"""Two models on the same pictures: is one better, and where do they differ?"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pigeonhole.errors import PigeonholeError
from pigeonhole.evaluation.predictions import Evaluation
from pigeonhole.terminal import padded, shown, width

SIGNIFICANT = 0.05
LISTED = 10  # changed answers of one kind in the terminal


@dataclass(frozen=True)
class Change:
    """A picture that two models answer differently: its name in the second evaluation, and class names."""

    name: str
    true: str
    first: str
    second: str


@dataclass(frozen=True)
class Comparison:
    """Two models' answers for the pictures that both were asked about.

    How many `both` have right, `only_first`, `only_second`, and `neither`. `p_value` of McNemar's exact test:
    how probable so uneven a split of the pictures that only one has right would be, were both equally good.
    `changed`: the pictures whose answer is not the same, in the order of the second evaluation.
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float
    changed: list[Change]

    @property
    def total(self) -> int:
        return self.both + self.only_first + self.only_second + self.neither

    def lines(self, first: str = "the first", second: str = "the second") -> list[str]:
        """The comparison as people read it, the models called by these names."""
        return list(_lines(self, shown(first), shown(second)))


def compare(first: Evaluation, second: Evaluation) -> Comparison:
    """Compare two evaluations on the pictures that both hold, told by content and class, wherever they lie.

    A picture that is there more than once counts once. Raises PigeonholeError where the classes
    differ or no picture is in both.
    """
    require_same_classes(first.classes, second.classes)
    before, now = _answers(first), _answers(second)
    common = [key for key in now if key in before]
    if not common:
        raise PigeonholeError(
            f"{first.root} and {second.root}: no picture is in both; test both models on the same folder"
        )
    return of_pairs([Change(now[key][0], key[1], before[key][1], now[key][1]) for key in common])


def of_pairs(pairs: Sequence[Change]) -> Comparison:
    """The comparison of two models by all pictures that both were asked about, also where they agree."""
    right = [(each.first == each.true, each.second == each.true) for each in pairs]
    only_first, only_second = right.count((True, False)), right.count((False, True))
    return Comparison(
        both=right.count((True, True)),
        only_first=only_first,
        only_second=only_second,
        neither=right.count((False, False)),
        p_value=mcnemar(only_first, only_second),
        changed=[each for each in pairs if each.first != each.second],
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """How probable so uneven a split is by chance, of the pictures that only one of two models has right.

    The exact test, binomial over these pictures (McNemar, "Note on the sampling error of the difference
    between correlated proportions or percentages", 1947); 1 where there are none.
    """
    from scipy.stats import binomtest

    discordant = only_first + only_second
    return float(binomtest(only_first, discordant).pvalue) if discordant else 1.0


def require_same_classes(first: Iterable[str], second: Iterable[str]) -> None:
    """Raise PigeonholeError where two models do not know the same classes."""
    if only_one := sorted(set(first) ^ set(second)):
        names = ", ".join(map(shown, only_one[:3])) + (", ..." if len(only_one) > 3 else "")
        raise PigeonholeError(f"only one of the two models knows {names}; compare models of the same classes")


def _answers(evaluation: Evaluation) -> dict[tuple[str, str], tuple[str, str]]:
    """(digest, true class) -> (name, answered class)."""
    classes = evaluation.classes
    return {
        (digest, classes[label]): (name, classes[answer])
        for digest, label, name, answer in zip(
            evaluation.digests, evaluation.labels, evaluation.names, evaluation.predicted, strict=True
        )
    }


def _lines(comparison: Comparison, first: str, second: str) -> Iterator[str]:
    total, wide = comparison.total, max(width(first), width(second))
    yield f"{total:,} pictures were given to both"
    for name, only in ((first, comparison.only_first), (second, comparison.only_second)):
        right = comparison.both + only
        yield f"  {padded(name, wide)}   {right:,} right, {100 * right / total:.1f} %, {only:,} of them alone"
    yield f"both are right on {comparison.both:,}, neither on {comparison.neither:,}"
    yield _verdict(comparison, first, second)
    changed = comparison.changed
    yield from _listed(f"Only {first} is right", [each for each in changed if each.first == each.true])
    yield from _listed(f"Only {second} is right", [each for each in changed if each.second == each.true])
    yield from _listed(
        "Wrong in another way", [each for each in changed if each.true not in (each.first, each.second)]
    )


def _verdict(comparison: Comparison, first: str, second: str) -> str:
    p = "p < 0.0001" if comparison.p_value < 0.0001 else f"p = {comparison.p_value:.4f}"
    better = first if comparison.only_first > comparison.only_second else second
    if comparison.p_value < SIGNIFICANT:
        return f"{better} is better: chance alone would seldom do this (McNemar's exact test, {p})"
    return f"chance alone could make this difference (McNemar's exact test, {p})"


def _listed(title: str, changes: list[Change]) -> Iterator[str]:
    if not changes:
        return
    yield ""
    yield f"{title}: {len(changes):,}"
    wide = max(width(shown(each.name)) for each in changes[:LISTED])
    for each in changes[:LISTED]:
        yield f"  {padded(shown(each.name), wide)}   {shown(each.first)} -> {shown(each.second)}"
    if len(changes) > LISTED:
        yield f"  ... and {len(changes) - LISTED:,} more"
