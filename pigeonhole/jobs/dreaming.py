"""A dream from the user's picture to a file: read, changed with progress, written also when it is stopped."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pigeonhole.arguments import MOST_SIDE
from pigeonhole.art import dream, frozen_graph, opening, zoom
from pigeonhole.art.dream import Objective, Settings, Step
from pigeonhole.art.frozen_graph import Feeding
from pigeonhole.art.layered import LayeredNetwork
from pigeonhole.errors import UsageError
from pigeonhole.interrupts import Stopped, StopRequest
from pigeonhole.jobs import picture_files
from pigeonhole.pictures import images
from pigeonhole.terminal import say

MOST_PIXELS = 25_000_000  # some 60 bytes of memory each
MOST_BYTES_ZOOMED = 500_000_000  # of all pictures of a zoom; encoding them takes 2.5 times that again


@dataclass(frozen=True)
class Wish:
    """What is to be dreamt. `picture`: None for noise. `size`: the longer side in pixels that it shall have.
    `zoom`: how many pictures a zoom has; None for a single picture."""

    picture: Path | None
    output: Path
    settings: Settings
    size: int | None = None
    zoom: int | None = None

    def __post_init__(self) -> None:
        suffixes = picture_files.STILL if self.zoom is None else picture_files.MOVING
        picture_files.check_output(self.output, [self.picture] if self.picture else [], suffixes)


def open_network(named: str, feeding: Feeding | None) -> LayeredNetwork:
    """The network that `--network` names; a frozen graph of another program is fed as `feeding` says."""
    if feeding is None:
        return opening.open_network(named)
    if Path(named).suffix.lower() != frozen_graph.SUFFIX:
        raise UsageError("--input-tensor, --scale, --mean: only for a frozen graph, --network FILE.pb")
    if not Path(named).is_file():
        raise UsageError(f"--network {named}: no such file")
    return frozen_graph.read(Path(named), feeding=feeding)


def start(wish: Wish) -> np.ndarray:
    """The picture to start from, float32 [H, W, 3]. Raises UsageError for one that is too large or small."""
    size, least = wish.size, dream.SMALLEST
    if wish.picture is None:
        if size and size < least:
            raise UsageError(f"--size {size}: {least} pixels or more are needed")
        return dream.noise(wish.settings.seed, size or dream.NOISE_SIZE)
    picture = picture_files.read(wish.picture, MOST_PIXELS if size is None else None)
    own = picture.shape[:2]
    shape = own if size is None else tuple(max(1, round(side * size / max(own))) for side in own)
    picture_files.require_sides(wish.picture, own, shape, least, MOST_SIDE)
    return images.stretched(picture, *shape).astype(np.float32)


def run(wish: Wish, objective: Objective) -> int:
    """Dream, tell of each octave, and write the file; what is there is written after Ctrl-C too.

    Gives the exit status: 0, or 130 or 143 after a signal.
    """
    picture = start(wish)
    count = wish.zoom or 1
    picture_files.require_room(wish.output, picture.shape, count)
    if count * picture.size > MOST_BYTES_ZOOMED:
        raise UsageError(f"--zoom {count}: too many pictures of this size; make them smaller: --size 512")
    done: list[np.ndarray] = []
    first = last = None
    with StopRequest() as stop:
        try:
            for last in zoom.zoom(picture, objective, wish.settings, count):
                first = last.objective if last.number == 0 else first
                _tell(last, first, len(done) + 1, count)
                if last.is_last:
                    done.append(last.whole())
                stop.check()
        except (Stopped, BrokenPipeError):  # who reads what is told may have left
            if not last.is_last:
                done.append(last.whole())
        picture_files.keep(wish.output, done)
        say(f"{'stopped; what is there so far:' if stop.exit_status else 'written:'} {wish.output}")
        return stop.exit_status


def _tell(step: Step, first: float, number: int, count: int) -> None:
    """A line at the end of each octave, from the objective at its start; in a zoom, of each picture."""
    rise = f"objective {first:.3g} -> {step.objective:.3g}"
    if count > 1 and step.is_last:
        say(f"picture {number} of {count}   {rise}")
    elif count == 1 and step.number == step.steps:
        height, width = step.picture.shape[:2]
        say(f"octave {step.octave} of {step.octaves}   {width} x {height}   {rise}")
