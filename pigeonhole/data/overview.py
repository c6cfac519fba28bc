"""What was read, in figures, and some of the pictures."""

import numpy as np

from pigeonhole.data.dataset import DataSet, DataSets

FIRST_LABELS = 10


def overview(sets: DataSets, count: int) -> dict:
    """Figures that describe the sets, and the first `count` training pictures in the first epoch's order."""
    order = sets.train.order(0)
    return {
        "image_shape": list(sets.train.images.shape[1:]),
        "classes": sets.classes,
        "training": _side_statistics(sets.train),
        "validation": _side_statistics(sets.valid),
        "first_labels": sets.train.label_indices[order[:FIRST_LABELS]].tolist(),
        "pictures": [_picture_statistics(sets.train, row) for row in order[:count]],
    }


def _side_statistics(data: DataSet) -> dict:
    counts = np.bincount(data.label_indices, minlength=len(data.class_names))
    return {"pictures": data.num_examples, "label_counts": dict(enumerate(counts.tolist()))}


def _picture_statistics(data: DataSet, row: int) -> dict:
    image = data.images[row]
    return {
        "name": data.names[row],
        "shape": list(image.shape),
        "minimum": int(image.min()),
        "maximum": int(image.max()),
        "label": int(data.label_indices[row]),
        "class": data.classes[row],
    }


def lines(overview: dict) -> list[str]:
    """An overview for people."""
    said = []
    for side in ("training", "validation"):
        part = overview[side]
        said += [f"{side} pictures: {part['pictures']:,}", f"  label counts: {part['label_counts']}"]
    said += [
        "classes: " + ", ".join(f"{label} {name}" for label, name in enumerate(overview["classes"])),
        f"first {FIRST_LABELS} training labels, shuffled: {overview['first_labels']}",
    ]
    for number, picture in enumerate(overview["pictures"], 1):
        said += [
            f"training picture {number}: {picture['name']}",
            f"  shape: {tuple(picture['shape'])}",
            f"  minimum: {picture['minimum']}  maximum: {picture['maximum']}",
            f"  label: {picture['label']}  class: {picture['class']}",
        ]
    return said
