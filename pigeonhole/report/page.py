"""The report's page: one HTML file that opens anywhere, made from the sections that a run keeps.

The sections lie in the run's report.json, so that an evaluation can renew its own months after the training,
without the training pictures. Whatever changes there, report.html is written again from all of them.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from pigeonhole import atomic_file
from pigeonhole.errors import PigeonholeError
from pigeonhole.runs import objects, seals
from pigeonhole.runs.run import Run

MAX_BYTES = 5_000_000  # of the page; what is mailed or opened on a phone should not be larger
FRAME_BYTES = 100_000  # of those, what the page needs around its sections
OUT_OF_FOLD = "out-of-fold"  # the section that is there where all pictures were judged so
TEST = "test-"  # begins the ids of an evaluation's sections; all others are the training's
STORE_FORMAT = 1

_OF_PICTURES = (
    *("figures", "confusion", "mistakes", "doubtful"),
    *("attention", "classes", "calibration", "random"),
)
PARTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (  # id, title, ids of its sections: the page's order
    ("on-test", "Test pictures", tuple(TEST + name for name in (*_OF_PICTURES, "copies", "skipped"))),
    ("on-validation", "Validation pictures", ("validation", OUT_OF_FOLD, *_OF_PICTURES, "unseen")),
    ("on-training", "Training", ("attempts", "curves", "learning-curve")),
    (
        "on-data",
        "The data",
        ("balance", "preflight", "shortcuts", "suspects", "map", "sample", "augmentation"),
    ),
    ("on-network", "The network", ("layers", "filters", "maps", "typical")),
    ("on-settings", "How it was made", ("settings",)),
)
FOLDED = "on-validation"  # where there is a test, since that tells more
_HEAD = ("intro", "summary", f"{TEST}summary", "next-steps")
_KNOWN = {*_HEAD, *(name for _, _, names in PARTS for name in names)}


@dataclass(frozen=True)
class Section:
    """A piece of the page: `html` stands below a heading of level 3, escaped already.

    `id` is one of those that `PARTS` puts in order, or "intro", "summary" or "next-steps", which stand at the
    head. Every HTML id within begins with it.
    """

    id: str
    title: str
    html: str

    def __post_init__(self) -> None:
        if self.id not in _KNOWN:
            raise ValueError(f"no section of a report is named {self.id!r}")

    @property
    def of_test(self) -> bool:
        return self.id.startswith(TEST)

    @property
    def num_bytes(self) -> int:
        return len(self.html.encode("utf-8", "replace"))


@functools.cache
def templates() -> jinja2.Environment:
    """The templates, which escape whatever is not HTML already."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pigeonhole.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "percent": percent,
        "figure": figure,
        "points": points,
        "base_name": base_name,
        "sentence": sentence,
    }
    return environment


def render(template: str, **values: object) -> str:
    """A template of this package, filled in."""
    return templates().get_template(template).render(values).strip()


def percent(share: float) -> str:
    """`81.6 %`, unbreakable; small shares and those near one keep what tells them from none and all."""
    digits = 1 if share in (0, 1) or 0.0005 <= share < 0.9995 else 2
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def sentence(text: str) -> str:
    """The text with a capital letter."""
    return text[:1].upper() + text[1:]


def points(interval: tuple[float, float]) -> str:
    """`79.1 to 83.9 %`."""
    return f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}\N{NO-BREAK SPACE}%"


def figure(value: float) -> str:
    """A measured number with as many digits as mean something, and a proper minus."""
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")


def base_name(name: str) -> str:
    """The last part of a posix path."""
    return name.rpartition("/")[2]


def read(run: Run) -> dict[str, Section]:
    """The sections that the run keeps, by id; none where there is no report yet.

    Raises PigeonholeError when the file is there and damaged, or a newer Pigeonhole's.
    """
    path = run.report_store
    try:
        stored = objects.parse(path, path.read_bytes())
    except FileNotFoundError:
        return {}
    except PigeonholeError as error:
        raise PigeonholeError(f"{error}; delete it to start again") from error
    try:
        if stored["format"] != STORE_FORMAT:
            raise PigeonholeError(
                f"{path}: written by another version of Pigeonhole; delete it to start again"
            )
        return {name: Section(name, **parts) for name, parts in stored["sections"].items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise PigeonholeError(f"{path}: damaged ({error}); delete it to start again") from error


def update(run: Run, sections: Sequence[Section]) -> Path:
    """Put the training's sections, or the test's, in the place of those that the run has; give the page.

    All of `sections` are of one kind. Raises OSError, and PigeonholeError as `read` does.
    """
    (of_test,) = {section.of_test for section in sections}
    kept = {name: section for name, section in read(run).items() if section.of_test != of_test}
    kept |= {section.id: section for section in sections}
    return _write(run, kept)


def add(run: Run, section: Section) -> Path | None:
    """Put one section into the run's report, or in the place of its like; None where there is no report.

    The next training of this run takes the training's away again. Raises as `update` does, and
    PigeonholeError where the page would become too large.
    """
    kept = read(run)
    if not kept:
        return None
    kept[section.id] = section
    if sum(each.num_bytes for each in kept.values()) > MAX_BYTES - FRAME_BYTES:
        raise PigeonholeError(f"{run.report_page}: would become larger than {MAX_BYTES // 10**6} MB")
    return _write(run, kept)


def _write(run: Run, kept: dict[str, Section]) -> Path:
    stored = {name: {"title": section.title, "html": section.html} for name, section in kept.items()}
    objects.write(run.report_store, {"format": STORE_FORMAT, "sections": stored})
    seals.forget(run.report_page)
    with atomic_file.write(run.report_page) as file:
        file.write(assemble(run.name, kept))
    seals.note(run.report_page)
    return run.report_page


def assemble(title: str, sections: dict[str, Section]) -> str:
    """The page's HTML."""
    headlines = [sections[name] for name in (f"{TEST}summary", "summary") if name in sections]
    return render(
        "page.html",
        title=title,
        style=_source("report.css"),
        script=_source("report.js"),
        intro=sections.get("intro"),
        headline=headlines[0] if headlines else None,
        next_steps=sections.get("next-steps"),
        parts=list(_parts(sections)),
        folded=FOLDED if len(headlines) > 1 else None,
    )


def _parts(sections: dict[str, Section]) -> Iterator[tuple[str, str, list[Section]]]:
    """Id, title and sections of each part that has any; with a test, the validation's summary is in one."""
    present = dict(sections)
    if {"summary", f"{TEST}summary"} <= sections.keys():
        present["validation"] = Section("validation", "In short", sections["summary"].html)
    for name, title, ids in PARTS:
        if chosen := [present[section] for section in ids if section in present]:
            yield name, "All pictures" if OUT_OF_FOLD in ids and OUT_OF_FOLD in present else title, chosen


def _source(name: str) -> str:
    return templates().loader.get_source(templates(), name)[0]
