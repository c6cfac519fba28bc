"""A model's answers for labelled pictures: what all honest figures and the report are made from."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pigeonhole.data.pixels import Pixels
from pigeonhole.evaluation.insight import as_logits
from pigeonhole.model import doubt
from pigeonhole.model.classifier import Classifier
from pigeonhole.pictures.images import as_input

BATCH = 256  # pictures of which a checkpoint of another program is given copies


@dataclass(frozen=True)
class Evaluation:
    """N labelled pictures of K classes and what the model said to each.

    root           the folder that was read; `names` are posix paths relative to it
    classes        K class names, in the order of the model's outputs
    labels         int64 [N], the folder's opinion: positions in `classes`
    images         uint8 [N, S, S, C], RGB or grey 0..255, as the network sees them; may lie on disk
    logits         float32 [N, K], raw
    probabilities  float32 [N, K], calibrated
    features       float32 [N, F], the penultimate layer
    unsure         bool [N], where the model says "none of these"
    digests        N sha256 of the files' content, hexadecimal
    skipped        name -> reason, the files that could not be read and are not among the N
    """

    root: Path
    classes: tuple[str, ...]
    names: Sequence[str]
    labels: np.ndarray
    images: np.ndarray | Pixels
    logits: np.ndarray
    probabilities: np.ndarray
    features: np.ndarray
    unsure: np.ndarray
    digests: Sequence[str]
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """N."""
        return len(self.labels)

    @property
    def predicted(self) -> np.ndarray:
        """int64 [N], the class with the highest probability."""
        return self.logits.argmax(axis=1)

    @property
    def confidence(self) -> np.ndarray:
        """float32 [N], the probability of the predicted class."""
        return self.probabilities.max(axis=1)

    @property
    def torn(self) -> np.ndarray:
        """bool [N], where the model hesitates between two classes and is not `unsure`."""
        return doubt.are_torn(self.probabilities) & ~self.unsure

    @property
    def right(self) -> np.ndarray:
        """bool [N]."""
        return self.predicted == self.labels

    def select(self, chosen: np.ndarray) -> "Evaluation":
        """The part of the pictures that `chosen`, bool [N] or indices, names."""
        rows = np.flatnonzero(chosen) if np.asarray(chosen).dtype == bool else np.asarray(chosen)
        arrays = ("labels", "images", "logits", "probabilities", "features", "unsure")
        parts = {name: getattr(self, name)[rows] for name in arrays}
        texts = {name: [getattr(self, name)[row] for row in rows] for name in ("names", "digests")}
        return replace(self, **parts, **texts)


def answer(
    classifier: Classifier,
    root: Path,
    names: Sequence[str],
    labels: np.ndarray,
    images: np.ndarray | Pixels,
    digests: Sequence[str],
) -> Evaluation:
    """Ask a model for all labelled pictures; the parameters and what is given are fields of `Evaluation`.

    The pictures are preprocessed already, uint8 [N, S, S, C] at the model's size. A model of an older
    Pigeonhole, which has no rule for "none of these", is never unsure. Of a checkpoint of another program the
    probabilities alone are known: the logits are their logarithms, and there are no features.
    """
    found: Sequence[np.ndarray] = ()
    if classifier.is_foreign:
        parts = (images[start : start + BATCH] for start in range(0, len(images), BATCH))
        inputs = (as_input(part, classifier.preprocessing) for part in parts)
        probabilities = np.concatenate([classifier.predict_pixels(part) for part in inputs])
        logits = as_logits(probabilities)
        features = np.zeros((len(probabilities), 0), np.float32)
    else:
        flags = ["unsure"] if classifier.has("unsure") else []
        logits, probabilities, features, *found = classifier.fetch(
            images, ["logits", "y_pred", "features", *flags]
        )
    return Evaluation(
        root=root,
        classes=classifier.classes,
        names=names,
        labels=np.asarray(labels, dtype=np.int64),
        images=images,
        logits=logits,
        probabilities=probabilities,
        features=features,
        unsure=found[0] if found else np.zeros(len(images), dtype=bool),
        digests=digests,
    )
