"""The sections about test pictures that do not count: copies of training pictures, and damaged ones."""

from collections.abc import Mapping

import numpy as np

from pigeonhole.evaluation.leakage import Copy
from pigeonhole.evaluation.predictions import Evaluation
from pigeonhole.report.page import TEST, Section, render
from pigeonhole.statistics import wilson_interval

LISTED = 100


def copies_section(evaluation: Evaluation, copies: Mapping[str, Copy] | None) -> Section:
    """Which test pictures the training has seen, and the accuracy without them; None: it is not known."""
    title = "Are any of them from the training?"
    if copies is None:
        return Section(f"{TEST}copies", title, render("copies-unknown.html"))
    original = evaluation.right[[name not in copies for name in evaluation.names]]
    html = render(
        "copies.html",
        copies=sorted(copies.items())[:LISTED],
        total=len(copies),
        right=int(original.sum()),
        originals=len(original),
        interval=wilson_interval(int(np.sum(original)), len(original)) if len(original) else None,
    )
    return Section(f"{TEST}copies", title, html)


def skipped_section(evaluation: Evaluation) -> Section:
    """The files that could not be read, and why."""
    html = render(
        "skipped.html", skipped=list(evaluation.skipped.items())[:LISTED], total=len(evaluation.skipped)
    )
    return Section(f"{TEST}skipped", "Files that could not be read", html)
