"""Does something other than the object give its class away: file, shape, border, light, camera?

A network takes whatever tells the classes apart on the training pictures, also what will not be there later
(Geirhos et al. 2020, "Shortcut learning in deep neural networks"). A small model gets nothing but one such
kind of feature; where it tells the classes all the same, the network may have learnt that, too.

Some of it is natural: skies are smooth and blue at the border. A kind of feature is therefore held against
what the picture itself explains, see `check`.
"""

import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pigeonhole.data.folders import Record
from pigeonhole.data.folds import deal
from pigeonhole.data.parallel import available_cores, in_parallel
from pigeonhole.data.pixels import Pixels
from pigeonhole.evaluation.studies import clues
from pigeonhole.evaluation.studies.clues import Kind

GAIN = 0.10  # better than expected by this share of the pictures, ...
SIGNIFICANCE = 0.01  # ... and not by chance: a shortcut
MOST_PICTURES = 4_000  # looked at, in proportion to their classes
MOST_CLASSES = 500  # looked at, the largest; trees take memory for each class at each node
FOLDS, TREES = 5, 25
NAMED = 5  # classes in one sentence

_DANGERS = {
    clues.FILE_SIZE: "how much the pictures were compressed",
    clues.FORMAT: "how the pictures were saved",
    clues.SHAPE: "how much they are squashed",
    clues.BORDER: "the border",
    clues.COLOUR: "the light or the background",
    clues.CAMERA: "the look of a camera",
}


@dataclass(frozen=True)
class Question:
    """Whether one kind of feature tells the classes: all of them, or one (`class_name`) from the others.

    `accuracy` is that of pictures which the model was not fitted to. For one class it is taken on as many
    pictures of the class as of the others, so that a guess gets 0.5. `expected` is what always answering with
    the largest class gets, or what the picture itself explains, whichever is more. `p_value` is for chance
    alone to have made the difference, times the number of questions asked of the kind (Bonferroni).
    """

    class_name: str | None
    accuracy: float
    expected: float
    p_value: float
    fires: bool


@dataclass(frozen=True)
class Finding:
    """What one kind of feature tells: of all classes, and of each single one."""

    kind: str
    overall: Question
    classes: tuple[Question, ...]  # of two classes only the smaller: it is the same question

    @property
    def fires(self) -> bool:
        return any(question.fires for question in (self.overall, *self.classes))


@dataclass(frozen=True)
class ShortcutCheck:
    """`accuracy` is that of all kinds of features together, cross-validated, `majority` that of always
    answering `majority_class`, `p_value` that of the one beating the other by chance. `left_out` gives the
    reason for each kind of feature that cannot tell anything."""

    pictures: int
    accuracy: float
    majority: float
    majority_class: str
    p_value: float
    findings: tuple[Finding, ...]
    left_out: dict[str, str]

    @property
    def fires(self) -> bool:
        """Whether any kind of feature tells more than the picture itself explains."""
        return any(finding.fires for finding in self.findings)

    def warnings(self) -> list[str]:
        """One sentence for each shortcut."""
        return [self._warning(finding) for finding in self.findings if finding.fires]

    def lines(self) -> list[str]:
        """The check for people: one sentence for each shortcut, then all figures."""
        warned = self.warnings()
        found = "" if warned else "no shortcut found; "
        return [
            *warned,
            f"Shortcuts: {found}right by one kind of feature alone, of {self.pictures:,} pictures "
            f"(always {self.majority_class!r}: {_percent(self.majority)})",
            *(self._row(finding) for finding in self.findings),
            f"  {'all of these together':<22}{_percent(self.accuracy):>7}",
            *(f"  {kind:<22}left out: {reason}" for kind, reason in self.left_out.items()),
        ]

    def _warning(self, finding: Finding) -> str:
        overall, danger = finding.overall, f"the network may learn {_DANGERS[finding.kind]} instead."
        single = sorted((each for each in finding.classes if each.fires), key=lambda each: -each.accuracy)
        if overall.fires:
            above_all = f", above all {_names(single)}" if single and len(finding.classes) > 1 else ""
            return (
                f"From the {finding.kind} alone the class can be guessed in {_percent(overall.accuracy)} of "
                f"pictures (always answering {self.majority_class!r} would get "
                f"{_percent(self.majority)}){above_all}: {danger}"
            )
        first, *others = single
        likewise = f", and likewise {_names(others)}" if others else ""
        return (
            f"From the {finding.kind} alone {first.class_name!r} can be told from the other classes in "
            f"{_percent(first.accuracy)} of pictures (to be expected: {_percent(first.expected)})"
            f"{likewise}: {danger}"
        )

    def _row(self, finding: Finding) -> str:
        overall = finding.overall
        return (
            f"  {finding.kind:<22}{_percent(overall.accuracy):>7}, to be expected "
            f"{_percent(overall.expected)}{', a shortcut' if finding.fires else ''}"
        )


def check(
    records: Sequence[Record],
    pictures: np.ndarray | Pixels,
    labels: Sequence[int] | np.ndarray,
    classes: Sequence[str],
    groups: Sequence[int] | np.ndarray | None = None,
    seed: int = 0,
) -> ShortcutCheck:
    """Look for features that give the class away without the object being looked at.

    records   N, none of them skipped
    pictures  uint8 [N, S, S, C], the same pictures decoded; may lie on disk
    labels    int [N], positions in `classes`
    groups    int [N], equal for copies of one picture, which then share a fold; None: no copies

    A kind of feature is a shortcut where its model beats what is expected by 10 points with p < 0.01 (exact
    binomial test, one-sided, on the pictures it was not fitted to): on all classes, or on telling one class
    from as many pictures of the others. Expected is at least what a guess gets. Three kinds may also follow
    from what the pictures show, there being more sky at the border of planes than of cats. The difference
    from what is expected then is tested on the same pictures (exact sign test):

    - the border is expected to tell what a coarse look at the middle of the picture tells;
    - the file's size is expected to tell what the detail tells that there is to compress;
    - the mean colour cannot be held against the object's own. It must leave at most a tenth of the mistakes.

    So a border is not reported where the middle tells its class as well; its figure is listed all the same.
    """
    labels = np.asarray(labels)
    rows = _sample(labels, seed)
    records, labels = [records[row] for row in rows], labels[rows]
    model = _Model(labels, rows if groups is None else np.asarray(groups)[rows], seed)
    kinds, left_out = _without_constant(clues.features(records, pictures, rows))
    majority_class = int(np.bincount(labels).argmax())
    majority = float(np.mean(labels == majority_class))
    together = np.concatenate([kind.features for kind in kinds.values()], axis=1) if kinds else None
    right = model.right(model.probabilities(together)) if kinds else labels == majority_class
    return ShortcutCheck(
        pictures=len(labels),
        accuracy=float(right.mean()),
        majority=majority,
        majority_class=classes[majority_class],
        p_value=_beats_share(right, majority),
        findings=tuple(_find(name, kind, model, classes) for name, kind in kinds.items()),
        left_out=left_out,
    )


def _sample(labels: np.ndarray, seed: int) -> np.ndarray:
    """Sorted indices of at most about MOST_PICTURES, the same share of each class and at least one.

    Of more than MOST_CLASSES classes, those with the most pictures are taken.
    """
    present, counts = np.unique(labels, return_counts=True)
    largest = np.sort(np.argsort(-counts, kind="stable")[:MOST_CLASSES])
    share = min(1.0, MOST_PICTURES / counts[largest].sum())
    order = np.random.default_rng(seed).permutation(len(labels))
    by_class = [order[labels[order] == label] for label in present[largest]]
    return np.sort(np.concatenate([rows[: max(1, round(share * len(rows)))] for rows in by_class]))


def _without_constant(kinds: dict[str, Kind]) -> tuple[dict[str, Kind], dict[str, str]]:
    """The kinds that differ between pictures, and why the others can tell nothing."""
    constant = {name for name, kind in kinds.items() if not np.ptp(kind.features, axis=0).any()}
    kept = {name: kind for name, kind in kinds.items() if name not in constant}
    return kept, dict.fromkeys(sorted(constant), "the same in all pictures")


class _Model:
    """Random trees, asked about pictures that they were not fitted to, nor to a copy of them."""

    def __init__(self, labels: np.ndarray, groups: np.ndarray, seed: int):
        self.labels, self.seed = labels, seed
        self._fold_of = deal(labels, groups, FOLDS, seed)

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """float [N, L]: what the model of the other folds says to each picture of each label that occurs."""
        present, labels = np.unique(self._fold_of), np.unique(self.labels)
        folds = present if len(present) > 1 else []  # copies of one picture tell nothing
        found = np.zeros((len(features), len(labels)))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The number of unique classes is greater than")
            of_fold = functools.partial(self._of_fold, np.float32(features))
            told = in_parallel(of_fold, folds, available_cores())
            for fold, (known, probabilities) in zip(folds, told, strict=True):
                rows, columns = np.flatnonzero(self._fold_of == fold), np.searchsorted(labels, known)
                found[rows[:, None], columns] = probabilities
        return found

    def _of_fold(self, features: np.ndarray, fold: int) -> tuple[np.ndarray, np.ndarray]:
        """The labels of the other folds, and what the trees of those say to each picture on average.

        These are the trees of scikit-learn's `ExtraTreesClassifier`, which takes twice as long around them.
        """
        import sklearn
        from sklearn.tree import ExtraTreeClassifier

        inside, random, total = self._fold_of == fold, np.random.RandomState(self.seed), 0
        fitted_to, labels, asked = features[~inside], self.labels[~inside], features[inside]
        with sklearn.config_context(skip_parameter_validation=True):
            for _ in range(TREES):
                chance = random.randint(np.iinfo(np.int32).max)
                tree = ExtraTreeClassifier(max_features="sqrt", min_samples_leaf=5, random_state=chance)
                tree.fit(fitted_to, labels, check_input=False)
                total = total + tree.predict_proba(asked, check_input=False)
        return tree.classes_, total / TREES

    def right(self, probabilities: np.ndarray) -> np.ndarray:
        """bool [N]: whether the most probable label is the picture's."""
        return np.unique(self.labels)[probabilities.argmax(axis=1)] == self.labels

    def right_about(self, label: int, probabilities: np.ndarray) -> np.ndarray:
        """bool [N]: whether the label is called more probable than usual for its pictures, and only those."""
        truth = self.labels == label
        of_label = probabilities[:, np.searchsorted(np.unique(self.labels), label)]
        return (of_label > truth.mean()) == truth


def _find(name: str, kind: Kind, model: _Model, classes: Sequence[str]) -> Finding:
    told = model.probabilities(kind.features)
    explained = None if kind.explanation is None else model.probabilities(kind.explanation)
    present, counts = np.unique(model.labels, return_counts=True)
    single = present if len(present) > 2 else present[counts.argmin() :][:1]
    ask = functools.partial(_question, may_leave=kind.may_leave, questions=len(single) + 1)
    natural = None if explained is None else model.right(explained)
    overall = ask(None, model.right(told), natural, counts.max() / counts.sum())
    about_classes = []
    for label in single:
        rows = _balanced(model.labels == label, model.seed)
        natural = None if explained is None else model.right_about(label, explained)[rows]
        about_classes.append(ask(classes[label], model.right_about(label, told)[rows], natural, 0.5))
    return Finding(name, overall, tuple(about_classes))


def _balanced(members: np.ndarray, seed: int) -> np.ndarray:
    """Indices of as many members as others, drawn at random."""
    random = np.random.default_rng(seed)
    inside, outside = (random.permutation(np.flatnonzero(part)) for part in (members, ~members))
    count = min(len(inside), len(outside))
    return np.concatenate([inside[:count], outside[:count]])


def _question(
    class_name: str | None,
    right: np.ndarray,
    explained: np.ndarray | None,
    guess: float,
    may_leave: float,
    questions: int,
) -> Question:
    """The answer by `right` bool [n], against the share `guess` and what `explained`, bool [n], had right."""
    expected, chance = float(guess), _beats_share(right, guess)
    if explained is not None:
        expected = max(expected, float(explained.mean()))
        chance = max(chance, _beats(right, explained))
    accuracy, p_value = float(right.mean()), min(1.0, chance * questions)
    gains = accuracy - expected >= max(GAIN, (1 - may_leave) * (1 - expected)) - 1e-9
    return Question(class_name, accuracy, expected, p_value, bool(gains and p_value < SIGNIFICANCE))


def _beats_share(right: np.ndarray, share: float) -> float:
    """How often so many or more would be right by chance: exact binomial test, one-sided."""
    from scipy.stats import binomtest

    return float(binomtest(int(right.sum()), len(right), share, alternative="greater").pvalue)


def _beats(right: np.ndarray, other: np.ndarray) -> float:
    """The same against another model's answers: exact sign test on the pictures where only one is right."""
    from scipy.stats import binomtest

    only, differing = int((right & ~other).sum()), int((right != other).sum())
    return float(binomtest(only, differing, alternative="greater").pvalue) if differing else 1.0


def _names(questions: Sequence[Question]) -> str:
    """The classes asked about; the first few where they are many."""
    names = ", ".join(repr(question.class_name) for question in questions[:NAMED])
    return f"{names} and {len(questions) - NAMED} more" if len(questions) > NAMED else names


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
