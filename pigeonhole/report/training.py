"""The sections about a training itself: what was trained on what, how it went, with what settings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pigeonhole.report import figures, rendering
from pigeonhole.report.data import Sets
from pigeonhole.report.page import Section, render
from pigeonhole.runs.run import Run

if TYPE_CHECKING:
    from pigeonhole.evaluation.studies.audit import Findings
    from pigeonhole.evaluation.studies.learning_curve import Curve
    from pigeonhole.evaluation.studies.unseen import Unseen

NAMED_CLASSES = 3
AHEAD = 4  # times the pictures, up to which the learning curve is drawn


@dataclass(frozen=True)
class Facts:
    """What a run says of its training: its settings, and its history by column, float64 [validations]."""

    settings: dict
    history: dict[str, np.ndarray]


def read_facts(run: Run) -> Facts:
    """Raises PigeonholeError where the run lacks one of the files, or it is damaged."""
    return Facts(run.settings(), run.history())


def sections(facts: Facts, sets: Sets, parameters: int, kept: int, findings: "Findings") -> list[Section]:
    """All of them; those about unseen classes and more data only where these were measured.

    `parameters`: how many weights the network has. `kept`: the validation, from 0, whose network was saved.
    """
    made = [_intro(facts, sets, parameters), _curves(facts, kept), _settings(facts)]
    if findings.unseen is not None:
        made.append(_unseen(findings.unseen))
    if findings.learning_curve is not None:
        made.append(_learning_curve(findings.learning_curve))
    return made


def _intro(facts: Facts, sets: Sets, parameters: int) -> Section:
    html = render(
        "intro.html",
        heading=heading(facts.settings["classes"]),
        classes=facts.settings["classes"],
        network=facts.settings["options"]["network"],
        data=facts.settings["options"]["data"],
        side=facts.settings["recipe"]["image_size"],
        parameters=parameters,
        training=len(sets.train.label_indices),
        validation=len(sets.valid.label_indices),
        time=duration(facts.history["seconds"][-1]),
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
    whole = round(seconds)
    if whole < 90:
        return f"{whole} seconds"
    if whole < 5400:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _curves(facts: Facts, kept: int) -> Section:
    history = facts.history
    rows = [dict(zip(history, row, strict=True)) for row in zip(*history.values(), strict=True)]
    html = render(
        "curves.html",
        curves=rendering.svg(figures.curves(history), "Loss and accuracy of training and validation"),
        rate=rendering.svg(figures.learning_rate(history), "The learning rate over the training"),
        history=rows,
        kept=rows[kept],
    )
    return Section("curves", "How the training went", html)


def _settings(facts: Facts) -> Section:
    settings = facts.settings
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


def _unseen(unseen: "Unseen") -> Section:
    html = render("unseen.html", unseen=unseen)
    return Section("unseen", "Would it notice a class it does not know?", html)


def _learning_curve(curve: "Curve") -> Section:
    until = AHEAD * max(curve.sizes)
    drawn = figures.learning_curve(curve.sizes, curve.accuracies, curve.forecast, until)
    drawing = rendering.svg(drawn, "Accuracy for different numbers of training pictures")
    html = render(
        "learning-curve.html", drawing=drawing, lines=curve.lines()[1:]
    )  # the first is what is drawn
    return Section("learning-curve", "Would more pictures help?", html)
