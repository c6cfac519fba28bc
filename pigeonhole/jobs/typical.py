"""The sheet of a run's classes: what its network finds most typical of each, in a file and in the report."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pigeonhole import cli
from pigeonhole.art import opening, typical
from pigeonhole.art.class_odds import ClassOdds
from pigeonhole.art.typical import Settings, Stage
from pigeonhole.errors import UsageError
from pigeonhole.interrupts import Stopped, StopRequest
from pigeonhole.jobs import picture_files
from pigeonhole.pictures import grid, images, thumbnails
from pigeonhole.report import page
from pigeonhole.runs import search
from pigeonhole.runs.run import Run
from pigeonhole.terminal import padded, say, shown, width

AT_ONCE = 10  # classes
TILE, FEW, LARGE_TILE = 160, 4, 288  # pixels of a class's picture on the sheet; of that of a few classes
MOST_EMBEDDED = 400_000  # bytes of a sheet that the report shows; it only names a larger one


def run(model: str, output: Path | None, settings: Settings) -> int:
    """Make the sheet of a run's classes, into the run and its report unless `output` names another file.

    Ctrl-C ends it early: the classes that have been begun are on the sheet. Gives the exit status.
    """
    opening.require_layers(Path(model))
    found = search.find(model, "--classes")
    place = output or _place(found)
    picture_files.check_output(place)
    odds = ClassOdds(found)
    last: Stage | None = None
    made: list[np.ndarray] = []
    with StopRequest() as stop:
        try:
            for last in _stages(odds, settings):
                if last.number == last.steps:
                    _tell(odds, len(made), last)
                    made += list(typical.shown(last.pictures))
                stop.check()
        except (Stopped, BrokenPipeError):
            if last.number < last.steps:
                made += list(typical.shown(last.pictures))
        sheet = _sheet(made, odds.classes[: len(made)])
        picture_files.keep(place, [sheet])
        if output is None and not stop.exit_status:
            _report(found, place, sheet)
    say(f"{'stopped; what is there so far:' if stop.exit_status else 'written:'} {place}")
    return stop.exit_status


def _place(found: Run) -> Path:
    if not found.keeps_files:
        raise UsageError(f"--classes {found}: no folder, so say where to write: --output typical.jpg")
    return found.typical_sheet


def _stages(odds: ClassOdds, settings: Settings) -> Iterator[Stage]:
    """Of a few classes after the other, so that memory does not grow with their number."""
    side = min(odds.side, settings.side)
    for start in range(0, len(odds.classes), AT_ONCE):
        chosen = range(start, min(start + AT_ONCE, len(odds.classes)))
        yield from typical.maximise(odds.of(chosen), (len(chosen), side, side, odds.channels), settings)


def _tell(odds: ClassOdds, start: int, stage: Stage) -> None:
    """A line for each class: how sure the network is of its picture."""
    wide = max(width(shown(name)) for name in odds.classes)
    for name, value in zip(odds.classes[start:], stage.log_odds, strict=False):
        say(f"{padded(shown(name), wide)}   log-odds {value:6.1f}")


def _sheet(pictures: list[np.ndarray], classes: tuple[str, ...]) -> np.ndarray:
    """uint8 [H, W, 3]: the pictures with their classes' names, small ones enlarged smoothly."""
    side = LARGE_TILE if len(pictures) <= FEW else TILE
    return grid.draw(np.stack([images.stretched(picture, side, side) for picture in pictures]), classes)


def _report(found: Run, place: Path, sheet: np.ndarray) -> None:
    """Show the sheet in the run's report, where there is one."""
    content = place.read_bytes()
    source = thumbnails.as_uri(content, "jpeg") if len(content) <= MOST_EMBEDDED else None
    html = page.render(
        "typical.html", source=source, name=place.name, width=sheet.shape[1], height=sheet.shape[0]
    )
    if page.add(found, page.Section("typical", "What it finds most typical of each class", html)):
        say(f"report:  {cli.quote(found.report_page)}")
