"""The sections about a training itself: what was trained on what, how it went, with what settings."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pigeonhole.data.augmentation import NONE, Augmentation
from pigeonhole.data.dataset import DataSets
from pigeonhole.report import figures, rendering
from pigeonhole.report.page import Section, render
from pigeonhole.runs.run import Run

if TYPE_CHECKING:
    from pigeonhole.evaluation.studies.audit import AuditResult
    from pigeonhole.evaluation.studies.learning_curve import Curve
    from pigeonhole.runs.records import Attempt

NAMED_CLASSES = 3
AHEAD = 4  # times the pictures, up to which the learning curve is drawn


def sections(run: Run, sets: DataSets, parameters: int, kept: int, findings: "AuditResult") -> list[Section]:
    """All of them; those about unseen classes and more data only where these were measured.

    `run` holds its settings and its history; PigeonholeError where one of the files is not there or damaged.
    `parameters`: how many weights the network has. `kept`: the validation, from 0, whose network was saved.
    """
    settings = run.settings()
    if settings["recipe"]:
        history = run.history()
        time = duration(history["seconds"][-1])
        curves = [_curves(history, run.logged(), kept, _are_varied(settings["recipe"]))]
    else:
        time, curves = None, []  # several ways to train have no common history
    made = [_intro(settings, sets, parameters, time), *curves, _settings(settings)]
    if findings.unseen is not None:
        html = render("unseen.html", unseen=findings.unseen)
        made.append(Section("unseen", "Would it notice a class it does not know?", html))
    if findings.learning_curve is not None:
        made.append(_learning_curve(findings.learning_curve))
    return made


def _intro(settings: dict, sets: DataSets, parameters: int, time: str | None) -> Section:
    html = render(
        "intro.html",
        heading=heading(settings["classes"]),
        classes=settings["classes"],
        network=settings["options"]["network"],
        data=settings["options"]["data"],
        side=sets.everything.images.shape[1],
        parameters=parameters,
        training=len(sets.train.label_indices),
        validation=len(sets.valid.label_indices),
        time=time,
    )
    return Section("intro", "", html)


def heading(classes: Sequence[str]) -> str:
    """The classes as a question: `cats or dogs?`, `cat, dog, frog or 7 more?`."""
    named = list(classes[:NAMED_CLASSES])
    rest = len(classes) - len(named)
    last = f"{rest} more" if rest else named.pop()
    return f"{', '.join(named)} or {last}?"


def duration(seconds: float) -> str:
    """`42 seconds`, `3 min 51 s`, `2 h 5 min`."""
    rounded = round(seconds)
    if rounded < 90:
        return f"{rounded} seconds"
    if rounded < 5400:
        return f"{rounded // 60} min {rounded % 60} s"
    return f"{rounded // 3600} h {rounded % 3600 // 60} min"


def _are_varied(recipe: dict) -> bool:
    """Whether the training pictures were not shown as they are."""
    return Augmentation(**recipe["augmentation"]) != NONE or bool(recipe["mix"])


def _curves(
    history: dict[str, np.ndarray], logged: dict[str, np.ndarray], kept: int, are_varied: bool
) -> Section:
    rows = [dict(zip(history, row, strict=True)) for row in zip(*history.values(), strict=True)]
    html = render(
        "curves.html",
        curves=rendering.svg(figures.curves(history, logged), "Loss and accuracy of training and validation"),
        rate=rendering.svg(figures.learning_rate(history), "The learning rate over the training"),
        history=rows,
        logged=len(logged["step"]),
        kept=rows[kept],
        varied=are_varied,
    )
    return Section("curves", "How the training went", html)


def _settings(settings: dict) -> Section:
    tables = {
        "What was asked for": list(flat(settings["options"])),
        "What followed from the data": list(flat(settings["recipe"])),
        "Machine": list(flat(settings["machine"])),
        "Versions": list(flat(settings["versions"])),
    }
    rest = {name: value for name, value in settings.items() if not isinstance(value, dict | list)}
    html = render("settings.html", tables=tables, rest=list(flat(rest)))
    return Section("settings", "Settings, machine, versions", html)


def flat(values: dict, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(name, value) of everything that was set, in words; nested names joined, nothing for None."""
    for name, value in values.items():
        words = (prefix + name).replace("_", " ")
        if isinstance(value, dict):
            yield from flat(value, f"{words}: ")
        elif isinstance(value, bool):
            yield words, "yes" if value else "no"
        elif isinstance(value, list):
            yield words, ", ".join(map(str, value))
        elif value is not None:
            yield words, f"{value:g}" if isinstance(value, float) else str(value)


def attempts_section(attempts: Sequence["Attempt"]) -> Section:
    """The ways to train that were tried, and how much each counts."""
    return Section(
        "attempts", "What was tried", render("attempts.html", attempts=attempts, duration=duration)
    )


def _learning_curve(curve: "Curve") -> Section:
    until = AHEAD * curve.pictures
    drawn = figures.learning_curve(curve.sizes, curve.accuracies, curve.forecast, until)
    drawing = rendering.svg(drawn, "Accuracy for different numbers of training pictures")
    lines = curve.lines()[1:]  # the first is what is drawn
    if curve.learner:
        lines = [f"this is the curve of {curve.learner}", *lines]
    html = render("learning-curve.html", drawing=drawing, lines=lines)
    return Section("learning-curve", "Would more pictures help?", html)
