"""The sections about the pictures that a training had: what was found, what is odd, what they look like."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pigeonhole.data.augmentation import Augmentation
from pigeonhole.data.dataset import DataSet, DataSets
from pigeonhole.data.preflight import Preflight
from pigeonhole.pictures.thumbnails import data_uri
from pigeonhole.report import variations
from pigeonhole.report.page import Section, render
from pigeonhole.report.pictures import LISTED_CLASSES, Limits

if TYPE_CHECKING:
    from pigeonhole.data.fixes import Suspect
    from pigeonhole.evaluation.studies.audit import AuditResult

SEED = 0  # of the sample and of the picture that is shown varied
NAMED = 20  # names or groups of names listed under one finding


@dataclass(frozen=True)
class Remark:
    """One kind of thing that the pre-flight noticed: a sentence, how often, some of the names."""

    title: str
    count: int
    names: list[str]


def sections(
    sets: DataSets, varying: tuple[Augmentation, str] | None, findings: "AuditResult", limits: Limits
) -> list[Section]:
    """All sections about the data; those about suspects and shortcuts only where these were looked for.

    `varying`: how pictures were varied and for what network; None where several networks were trained.
    """
    made = [
        _balance(sets),
        _preflight(sets.preflight, findings.copies or ()),
        _sample(sets.train, limits),
    ]
    if varying:
        made.append(_augmentation(sets.train, *varying, limits))
    if findings.suspects is not None:
        made.append(_suspects(sets, findings.suspects, findings.all_labels, limits))
    if findings.shortcuts is not None:
        html = render("shortcuts.html", check=findings.shortcuts)
        made.append(Section("shortcuts", "Could it have learnt a shortcut?", html))
    return made


def _balance(sets: DataSets) -> Section:
    classes = sets.train.class_names
    counts = [np.bincount(side.label_indices, minlength=len(classes)) for side in (sets.train, sets.valid)]
    largest = int(sum(counts).max())
    rows = [
        {"name": name, "train": int(train), "valid": int(valid)}
        for name, train, valid in zip(classes, *counts, strict=True)
    ]
    html = render(
        "balance.html",
        rows=rows,
        largest=largest,
        imbalance=sets.preflight.imbalance,
        listed=LISTED_CLASSES,
    )
    return Section("balance", "Pictures of each class", html)


def _preflight(preflight: Preflight, copies: Sequence[Sequence[str]]) -> Section:
    """`copies`: further pairs that show the same picture."""
    facts = preflight.to_json()
    made = remarks(facts)
    if copies:
        title = "Pairs that seem to show the same picture, mirrored, cropped or changed"
        made.append(Remark(title, len(copies), _joined(copies[:NAMED], " ~ ")))
    html = render("preflight.html", facts=facts, remarks=made)
    return Section("preflight", "What was found in the folder", html)


def remarks(facts: dict) -> list[Remark]:
    """What a pre-flight (`Preflight.to_json()`) has to say beyond its counts, the gravest first."""
    groups = (
        ("Could not be read, and was left out", [f"{s['name']}: {s['reason']}" for s in facts["skipped"]]),
        ("The same picture under two labels", _joined(facts["copies_across_classes"], " = ")),
        ("Pictures that look the same under two labels", _joined(facts["look_alikes_across_classes"], " ~ ")),
        ("In the training and in the validation folder", _joined(facts["on_both_sides"], " ~ ")),
        (
            "Named as another format than they are",
            [f"{w['name']}: is in fact {w['format'].upper()}" for w in facts["wrong_extensions"]],
        ),
        ("The same picture more than once in a class", _joined(facts["copies"], " = ")),
        ("Pictures that look the same in a class", _joined(facts["look_alikes"], " ~ ")),
        ("Too few pictures to learn much from", [f"{n}: {c}" for n, c in facts["small_classes"].items()]),
        *((oddity.capitalize(), names) for oddity, names in facts["oddities"].items()),
        ("Files outside the class folders, not read", facts["strays"]),
        ("Folders left alone, kept for testing", facts["left_alone"]),
    )
    return [Remark(title, len(names), list(names[:NAMED])) for title, names in groups if names]


def _joined(groups: Sequence[Sequence[str]], relation: str) -> list[str]:
    return [relation.join(group) for group in groups]


def _sample(train: DataSet, limits: Limits) -> Section:
    """Some pictures of the classes in turn, drawn by chance."""
    order = np.random.default_rng(SEED).permutation(len(train.label_indices))
    labels = train.label_indices[order]
    turn = np.empty(len(order), np.int64)
    for label in np.unique(labels):
        turn[labels == label] = np.arange(np.count_nonzero(labels == label))
    chosen = order[np.lexsort((labels, turn))][: limits.gallery * 3 // 2]
    pictures = [
        {
            "src": data_uri(train.images[row], limits.side),
            "name": train.names[row],
            "true": train.class_names[train.label_indices[row]],
        }
        for row in chosen
    ]
    html = render("sample.html", pictures=pictures, total=len(order))
    return Section("sample", "Some of the training pictures", html)


def _augmentation(train: DataSet, augmentation: Augmentation, network: str, limits: Limits) -> Section:
    """One picture and what the training made of it."""
    row = int(np.random.default_rng(SEED).integers(len(train.label_indices)))
    image = train.images[row]
    how, varied = variations.of(image, augmentation, network)
    html = render(
        "augmentation.html",
        name=train.names[row],
        original=data_uri(image, limits.side),
        varied=[data_uri(one, limits.side) for one in varied],
        how=how,
    )
    return Section("augmentation", "One picture, varied" if len(varied) else "Pictures as they are", html)


def _suspects(sets: DataSets, suspects: "Sequence[Suspect]", all_labels: bool, limits: Limits) -> Section:
    looked_at = sets.everything if all_labels else sets.valid
    row_of = {name: row for row, name in enumerate(looked_at.names)}
    shown = [
        {
            "src": data_uri(looked_at.images[row_of[suspect.name]], limits.side),
            "name": suspect.name,
            "given": suspect.given,
            "suggested": suspect.suggested,
            "confidence_given": float(suspect.confidence_given),
            "confidence_suggested": float(suspect.confidence_suggested),
        }
        for suspect in suspects[: limits.gallery * 2]
    ]
    html = render(
        "suspects.html", suspects=shown, total=len(suspects), pictures=len(row_of), all_labels=all_labels
    )
    return Section("suspects", "Labels that look wrong", html)
