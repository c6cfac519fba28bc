"""A dream from the user's picture to a file: read, changed with progress, written also when it is stopped."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pigeonhole import atomic_file
from pigeonhole.art import dream, frozen_graph, opening, zoom
from pigeonhole.art.dream import Objective, Settings, Step
from pigeonhole.art.frozen_graph import Feeding
from pigeonhole.art.layered import LayeredNetwork
from pigeonhole.errors import UsageError
from pigeonhole.interrupts import Stopped, StopRequest
from pigeonhole.pictures import images
from pigeonhole.pictures.formats import ImageError
from pigeonhole.terminal import say

MOST_PIXELS = 25_000_000  # some 60 bytes of memory each
MOST_BYTES_ZOOMED = 1_000_000_000  # of all pictures of a zoom together
STILL, MOVING = (".png", ".jpg", ".jpeg", ".webp"), (".gif",)
MILLISECONDS = 80  # that each picture of a zoom is shown


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
        suffixes = STILL if self.zoom is None else MOVING
        if self.output.suffix.lower() not in suffixes:
            raise UsageError(f"--output {self.output}: its name must end with {' or '.join(suffixes)}")
        atomic_file.check("--output", self.output, [self.picture] if self.picture else [])


def open_network(named: str, feeding: Feeding | None) -> LayeredNetwork:
    """The network that `--network` names; a frozen graph of another program is fed as `feeding` says."""
    if feeding is None:
        return opening.open_network(named)
    if Path(named).suffix.lower() != frozen_graph.SUFFIX:
        raise UsageError("--input-tensor, --scale, --mean: only for a frozen graph, --network FILE.pb")
    return frozen_graph.read(Path(named), feeding=feeding)


def start(wish: Wish) -> np.ndarray:
    """The picture to start from, float32 [H, W, 3]. Raises UsageError for one that is too large or small."""
    if wish.picture is None:
        return dream.noise(wish.settings.seed, wish.size or dream.NOISE_SIZE)
    try:
        picture = _read(wish.picture, wish.size)
    except OSError as error:
        raise UsageError(
            f"{wish.picture}: cannot be read ({(error.strerror or str(error)).lower()})"
        ) from error
    except ImageError as error:
        raise UsageError(f"{wish.picture}: {error}") from error
    if min(picture.shape[:2]) < dream.SMALLEST:
        height, width = picture.shape[:2]
        raise UsageError(
            f"{wish.picture}: has {width} x {height} pixels, too few to dream on; give it more, "
            f"at least {dream.SMALLEST} on each side: --size {dream.NOISE_SIZE}"
        )
    return picture.astype(np.float32)


def _read(file: Path, size: int | None) -> np.ndarray:
    data = file.read_bytes()
    facts = images.inspect(data)
    pixels = facts.width * facts.height
    if size is None and pixels > MOST_PIXELS:
        raise ImageError(
            f"has {pixels / 1e6:,.0f} megapixels, and {MOST_PIXELS // 10**6} can be dreamt on; shrink it: "
            "--size 2000"
        )
    picture = images.decode(data)
    if size is None:
        return picture
    share = size / max(picture.shape[:2])
    return images.stretched(picture, *(max(1, round(side * share)) for side in picture.shape[:2]))


def run(wish: Wish, objective: Objective) -> int:
    """Dream, tell of each octave, and write the file; what is there is written after Ctrl-C too.

    Gives the exit status: 0, or 130 or 143 after a signal.
    """
    picture = start(wish)
    count = wish.zoom or 1
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
        except Stopped:
            if not last.is_last:
                done.append(last.whole())
        _write(wish.output, done)
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


def _write(output: Path, pictures: Sequence[np.ndarray]) -> None:
    """uint8 [H, W, 3] each; into a GIF all of them."""
    turned = [cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) for picture in pictures]
    if output.suffix.lower() in MOVING:
        animation = cv2.Animation()
        animation.frames, animation.durations = turned, [MILLISECONDS] * len(turned)
        _, encoded = cv2.imencodeanimation(output.suffix, animation)
    else:
        _, encoded = cv2.imencode(output.suffix, turned[-1])
    with atomic_file.write_bytes_out(output) as file:
        file.write(encoded.tobytes())
