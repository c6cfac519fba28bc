"""How good a model is on labelled pictures: every figure with what is needed to judge it."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pigeonhole.data.parallel import available_cores, in_parallel, one_opencv_thread
from pigeonhole.data.pixels import Pixels
from pigeonhole.errors import PigeonholeError
from pigeonhole.evaluation.balance import Balance, balance_of
from pigeonhole.evaluation.predictions import Evaluation
from pigeonhole.model.calibration import Bin, expected_calibration_error, reliability
from pigeonhole.statistics import accuracy_line, majority_share, wilson_interval
from pigeonhole.terminal import padded, shown, titled, width

RANKS = (1, 2, 3, 5)  # of top-k accuracy
THUMBNAIL = 8  # pixels along each side
NEIGHBOURS = 10_000  # training pictures that are enough for a baseline
BLOCK_BYTES = 8 << 20  # of pictures that a thread reads at a time
MATRIX_CLASSES = 15  # the widest confusion matrix that a terminal has room for
LISTED_CLASSES = 40
LISTED_CONFUSIONS = 15

Interval = tuple[float, float]  # 95 %, as fractions


@dataclass(frozen=True)
class ClassMeasures:
    """One class: of `support` pictures of it, and of `predicted` pictures answered with it.

    Recall is the share of the former that were found, precision the share of the latter that are of the
    class, F1 their harmonic mean. None where no picture
    counts towards it: all of them where the support is 0.
    """

    name: str
    support: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None
    precision_interval: Interval | None
    recall_interval: Interval | None
    f1_interval: Interval | None


@dataclass(frozen=True)
class Measures:
    """All figures about a model's answers for `total` labelled pictures; shares and errors are 0..1.

    right, total, accuracy   over all pictures, with Wilson's 95 % `interval`
    classes                  in the order of the model's outputs
    confusion                int64 [K, K], how many pictures of the row's class got the column's answer
    top_k                    k -> share of pictures whose class is among the k best answers
    majority                 the most frequent class and its share: what always answering with it would get
    nearest_thumbnail        what the class of the most similar training thumbnail would get, if known
    ece_raw, ece_calibrated  expected calibration error without and with temperature scaling
    reliability_*            the bins behind them
    unsure                   share of pictures for which the model says "none of these"
    accuracy_of_sure         the accuracy on the others, None where there are none
    torn                     share of pictures for which it hesitates between two classes
    accuracy_of_torn         the accuracy on these, None where there are none
    """

    right: int
    total: int
    accuracy: float
    interval: Interval
    classes: tuple[ClassMeasures, ...]
    confusion: np.ndarray
    top_k: dict[int, float]
    majority: tuple[str, float]
    nearest_thumbnail: float | None
    ece_raw: float
    ece_calibrated: float
    reliability_raw: list[Bin]
    reliability_calibrated: list[Bin]
    unsure: float
    accuracy_of_sure: float | None
    torn: float
    accuracy_of_torn: float | None

    def lines(self) -> list[str]:
        """The figures as people read them in a terminal."""
        cells = self._matrix() if len(self.classes) <= MATRIX_CLASSES else self._confusions()
        return [*self._summary(), "", *self._class_table(), "", *cells]

    def summary(self) -> list[str]:
        """The first of these lines, accuracy first: what holds for all classes together."""
        return list(self._summary())

    @functools.cached_property
    def balance(self) -> Balance | None:
        """The accuracy with each class counting alike, and the weakest class; None where classes are even."""
        return balance_of(
            [(each.name, int(self.confusion[k, k]), each.support) for k, each in enumerate(self.classes)]
        )

    @property
    def is_scaled(self) -> bool:
        """Whether a temperature changes the confidence; another program's checkpoint has none."""
        return abs(self.ece_raw - self.ece_calibrated) > 1e-6

    @property
    def _names(self) -> list[str]:
        return [shown(each.name) for each in self.classes]

    def _summary(self) -> Iterator[str]:
        majority, share = self.majority
        yield f"accuracy    {accuracy_line(self.right, self.total)}"
        if self.balance is not None:
            yield from titled("balanced", self.balance.lines())
        yield f"baselines   always answering {shown(majority)!r} would get {100 * share:.1f} %"
        if self.nearest_thumbnail is not None:
            thumbnail = f"{100 * self.nearest_thumbnail:.1f} %"
            yield f"            the class of the most similar training thumbnail would get {thumbnail}"
        if ranks := [f"{k}: {100 * found:.1f} %" for k, found in self.top_k.items() if k > 1]:
            yield f"top-k       the right class is among the first {', '.join(ranks)}"
        before = f"; {100 * self.ece_raw:.1f} % before temperature scaling" if self.is_scaled else ""
        yield (
            f"confidence  differs from accuracy by {100 * self.ece_calibrated:.1f} % on average "
            f"(expected calibration error{before})"
        )
        if self.unsure:
            sure = self.accuracy_of_sure
            rest = "" if sure is None else f"; {100 * sure:.1f} % of the others are right"
            yield f"unsure      {100 * self.unsure:.1f} % flagged as perhaps none of these classes{rest}"
        if self.torn:
            right = f"{100 * (self.accuracy_of_torn or 0):.1f} % of these are right"
            yield f"torn        {100 * self.torn:.1f} % between two classes; {right}"

    def _class_table(self) -> Iterator[str]:
        classes = self.classes
        chosen = sorted(range(len(classes)), key=lambda k: -1 if classes[k].f1 is None else classes[k].f1)
        if cut := chosen[LISTED_CLASSES:]:
            yield f"The {LISTED_CLASSES} classes of lowest F1, of {len(classes):,}"
        else:
            chosen = sorted(chosen)
        rows = [["class", "pictures", "precision, 95 %", "recall, 95 %", "F1, 95 %"]]
        for k in chosen[:LISTED_CLASSES]:
            each = classes[k]
            scores = (
                (each.precision, each.precision_interval),
                (each.recall, each.recall_interval),
                (each.f1, each.f1_interval),
            )
            rows.append([self._names[k], f"{each.support:,}", *(_score(*score) for score in scores)])
        yield from _columns(rows, "   ")
        if cut:
            yield ""

    def _matrix(self) -> Iterator[str]:
        yield "True class downwards, answered class across"
        yield ""
        names = self._names
        numbers = [str(number) for number in range(1, len(names) + 1)]
        wide = max(map(width, names))
        rows = [["", *numbers]]
        for number, name, counts in zip(numbers, names, self.confusion.tolist(), strict=True):
            label = f"{padded(name, wide)} {number:>2}"
            rows.append([label, *(f"{count:,}" if count else "." for count in counts)])
        yield from _columns(rows, "  ")

    def _confusions(self) -> Iterator[str]:
        confusion = self.confusion
        wrong = confusion - np.diag(confusion.diagonal())
        happened = np.flatnonzero(wrong)
        order = happened[np.argsort(-wrong.ravel()[happened], kind="stable")[:LISTED_CONFUSIONS]]
        yield "The most frequent confusions, true class and answer"
        rows = []
        for true, answer in zip(*np.unravel_index(order, wrong.shape), strict=True):
            if count := int(wrong[true, answer]):
                rows.append(
                    [
                        f"{self._names[true]} -> {self._names[answer]}",
                        f"{count:,} of {confusion[true].sum():,}",
                    ]
                )
        yield from _columns(rows, "   ") if rows else ["  none"]


def measure(evaluation: Evaluation, nearest_thumbnail: float | None = None) -> Measures:
    """The figures of an evaluation. Raises PigeonholeError where it has no picture."""
    from scipy.special import softmax

    if not evaluation.total:
        raise PigeonholeError(f"{evaluation.root}: no picture to measure on; add some to its class folders")
    labels, right = evaluation.labels, evaluation.right
    raw = softmax(evaluation.logits, axis=1)
    majority, share = majority_share(labels.tolist())
    sure, torn = ~evaluation.unsure, evaluation.torn
    confusion = _confusion(evaluation)
    return Measures(
        right=int(right.sum()),
        total=evaluation.total,
        accuracy=float(right.mean()),
        interval=wilson_interval(int(right.sum()), evaluation.total),
        classes=_classes(evaluation.classes, confusion),
        confusion=confusion,
        top_k=_top_k(evaluation.logits, labels),
        majority=(evaluation.classes[majority], share),
        nearest_thumbnail=nearest_thumbnail,
        ece_raw=expected_calibration_error(raw, labels),
        ece_calibrated=expected_calibration_error(evaluation.probabilities, labels),
        reliability_raw=reliability(raw, labels),
        reliability_calibrated=reliability(evaluation.probabilities, labels),
        unsure=float(evaluation.unsure.mean()),
        accuracy_of_sure=float(right[sure].mean()) if sure.any() else None,
        torn=float(torn.mean()),
        accuracy_of_torn=float(right[torn].mean()) if torn.any() else None,
    )


def nearest_thumbnail(
    train_images: np.ndarray | Pixels,
    train_labels: np.ndarray,
    images: np.ndarray | Pixels,
    labels: np.ndarray,
) -> float:
    """A baseline: the share right when each picture gets the class of the most similar training picture.

    Images uint8 [N, S, S, C], alike in S and C, labels int [N]. Similar are those whose thumbnails of 8 x 8
    pixels have the least Euclidean distance; of more than 10,000 training pictures a random sample is
    compared. What a network gains over this it owes to more than colour and coarse shape.
    """
    from sklearn.neighbors import NearestNeighbors

    known = np.arange(len(train_labels))
    if len(known) > NEIGHBOURS:
        known = np.sort(np.random.default_rng(0).choice(known, NEIGHBOURS, replace=False))
    neighbours = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(_thumbnails(train_images, known))
    asked = _thumbnails(images, np.arange(len(labels)))
    nearest = neighbours.kneighbors(asked, return_distance=False)[:, 0]
    return float(np.mean(train_labels[known[nearest]] == labels))


def _thumbnails(images: np.ndarray | Pixels, rows: np.ndarray) -> np.ndarray:
    """float32 [n, values] of the pictures in these rows, read in blocks, since they may lie on disk."""

    def of_block(block: np.ndarray) -> np.ndarray:
        return np.stack([_square_means(picture) for picture in images[block]])

    step = max(1, BLOCK_BYTES // int(np.prod(images.shape[1:])))
    blocks = (rows[start : start + step] for start in range(0, len(rows), step))
    with one_opencv_thread():
        parts = list(in_parallel(of_block, blocks, available_cores()))
    return np.concatenate(parts).reshape(len(rows), -1)


def _square_means(picture: np.ndarray) -> np.ndarray:
    """uint8 [S, S, C] -> float32 [8, 8, C], the means of 8 x 8 squares; what is smaller stays so."""
    side, count = len(picture), min(THUMBNAIL, len(picture))
    ends = np.arange(count + 1) * side // count
    sums = cv2.integral(picture, sdepth=cv2.CV_64F)[np.ix_(ends, ends)].reshape(count + 1, count + 1, -1)
    sums = np.diff(np.diff(sums, axis=0), axis=1)
    sides = np.diff(ends)
    return (sums / np.outer(sides, sides)[..., None]).astype(np.float32)


def _confusion(evaluation: Evaluation) -> np.ndarray:
    count = len(evaluation.classes)
    pairs = evaluation.labels * count + evaluation.predicted
    return np.bincount(pairs, minlength=count**2).reshape(count, count)


def _classes(classes: Sequence[str], confusion: np.ndarray) -> tuple[ClassMeasures, ...]:
    counts = (confusion.diagonal(), confusion.sum(axis=0), confusion.sum(axis=1))
    return tuple(map(_class, classes, *(each.tolist() for each in counts)))


def _class(name: str, hits: int, predicted: int, support: int) -> ClassMeasures:
    if not support:
        return ClassMeasures(name, 0, predicted, None, None, None, None, None, None)
    return ClassMeasures(
        name,
        support,
        predicted,
        hits / predicted if predicted else None,
        hits / support,
        2 * hits / (support + predicted),
        wilson_interval(hits, predicted) if predicted else None,
        wilson_interval(hits, support),
        _f1_interval(hits, support + predicted - hits),
    )


def _f1_interval(hits: int, concerned: int) -> Interval:
    """Wilson's interval for F / (2 - F), carried over to F.

    That is the share of hits among the pictures concerned, those of the class and those taken for it: a
    binomial proportion, of which F1 is a rising function (the "Wilson indirect" method of Lam, Gopal and
    Qian, "Confidence Intervals for the F1 Score: A Comparison of Four Methods", 2023).
    """
    low, high = wilson_interval(hits, concerned)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def _top_k(logits: np.ndarray, labels: np.ndarray) -> dict[int, float]:
    # Of equal logits the first comes first, as with argmax: the best one is the accuracy.
    own = logits[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(logits.shape[1]) < labels[:, None]
    rank = np.count_nonzero((logits > own) | ((logits == own) & earlier), axis=1)
    return {k: float((rank < k).mean()) for k in RANKS if k < logits.shape[1]}


def _score(value: float | None, interval: Interval | None) -> str:
    """`84.3  82.0-86.4`, in per cent."""
    if value is None or interval is None:
        return "-"
    low, high = interval
    return f"{100 * value:.1f} {100 * low:5.1f}-{100 * high:.1f}"


def _columns(rows: Sequence[Sequence[str]], between: str) -> Iterator[str]:
    """Rows of cells as aligned lines, the first column to the left, the others to the right."""
    wide = [max(map(width, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [" " * (columns - width(cell)) + cell for cell, columns in zip(others, wide[1:], strict=True)]
        yield "  " + between.join([padded(first, wide[0]), *cells])
