"""A picture in the style of others, from the user's files to a file: read, made with progress, written."""

import dataclasses
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pigeonhole.art import colours, opening, recipes, style
from pigeonhole.art.recipes import Recipe
from pigeonhole.art.style import Losses, Pictures, Step, Stylizer
from pigeonhole.errors import UsageError
from pigeonhole.interrupts import Stopped, StopRequest
from pigeonhole.jobs import picture_files
from pigeonhole.pictures import images
from pigeonhole.terminal import counted, say

DEFAULT_SIZE = 512  # pixels of the longer side


@dataclass(frozen=True)
class Wish:
    """What is asked for.

    content, styles    the pictures' files; `shares`: how much each style counts, equally by default
    output             the file to write
    size               the longer side of the result in pixels; None: the content's own, 512 at most
    network            what `opening.open_network` takes; `recipe`: a name that `recipes.choose` takes
    changes            settings of the recipe that are replaced, by name
    keeps_colours      whether the result has the content's colours
    tell_every         how many steps lie between two lines; `write_every`: between two pictures
    """

    content: Path
    styles: Sequence[Path]
    output: Path
    shares: Sequence[float] | None = None
    size: int | None = None
    network: str = opening.BUNDLED
    recipe: str = recipes.AUTO
    changes: Mapping[str, object] = field(default_factory=dict)
    keeps_colours: bool = False
    tell_every: int = 25
    write_every: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        picture_files.check_output(self.output, [self.content, *self.styles])
        if self.write_every:
            self._require_free_names()
        if self.shares is not None and len(self.shares) != len(self.styles):
            raise UsageError(
                f"--mix: {len(self.shares)} numbers for {len(self.styles)} styles; give one for each"
            )

    def _require_free_names(self) -> None:
        """No file may have a name that a picture on the way to the result could get."""
        names = re.compile(rf"{re.escape(self.output.stem)}-\d{{4,}}{re.escape(self.output.suffix)}")
        there = sorted(path for path in self.output.parent.iterdir() if names.fullmatch(path.name))
        if there:
            raise UsageError(
                f"--save-every: would overwrite {there[0]}; move it, or choose another name for --output"
            )


@dataclass
class _Best:
    """The picture with the least loss at the largest size so far."""

    step: Step | None = None

    def see(self, step: Step) -> None:
        known = self.step
        is_larger = known is None or step.picture.shape != known.picture.shape
        if is_larger or step.losses.total <= known.losses.total:
            self.step = step


def run(wish: Wish) -> int:
    """Make the picture, tell of the losses, and write it; after Ctrl-C the best so far.

    Gives the exit status: 0, or 130 or 143 after a signal.
    """
    pictures = _read(wish)
    picture_files.require_room(wish.output, pictures.content.shape)
    network = opening.open_network(wish.network)
    recipe = _recipe(wish, network.names())
    with StopRequest() as stop:
        _announce(wish, recipe, network.title, pictures)
        shown = _without_colours(pictures) if wish.keeps_colours else pictures
        stylizer = Stylizer(network, recipe, shown, wish.seed)
        say(f"{'expected':<12}{_duration(stylizer.seconds)}", "", _heading())
        best = _Best()
        started = time.perf_counter()
        try:
            for step in stylizer.steps():
                best.see(step)
                _tell(wish, step, time.perf_counter() - started)
                if wish.write_every and step.number % wish.write_every == 0:
                    _write_between(wish, step, _finished(wish, step, pictures))
                stop.check()
        except (Stopped, BrokenPipeError):  # who reads what is told may have left
            step = best.step
        picture_files.keep(wish.output, [_finished(wish, step, pictures)])
        if stop.exit_status:
            say("", "stopped; the best picture so far is kept")
        say("", f"{'written':<12}{wish.output}")
        return stop.exit_status


def _read(wish: Wish) -> Pictures:
    files = [wish.content, *wish.styles]
    content, *styles = read = [picture_files.read(file) for file in files]
    longest = wish.size or min(DEFAULT_SIZE, max(content.shape[:2]))
    content = images.stretched(content, *style.within(content.shape[:2], longest))
    # Nothing looks at a style in a larger size
    styles = [images.fitted(picture, longest) for picture in styles]
    for file, own, picture in zip(files, read, (content, *styles), strict=True):
        shapes = own.shape[:2], picture.shape[:2]
        picture_files.require_sides(file, *shapes, style.SMALLEST_SIDE, recipes.MOST_SIZE)
    return Pictures(content, styles, wish.shares or [1.0] * len(styles))


def _recipe(wish: Wish, layers: Sequence[tuple[str, int]]) -> Recipe:
    """The recipe with what the user has changed of it."""
    return dataclasses.replace(recipes.choose(wish.recipe, layers), **wish.changes)


def _without_colours(pictures: Pictures) -> Pictures:
    """In grey, the styles in the content's brightness."""
    styles = [colours.matched(each, pictures.content) for each in pictures.styles]
    return Pictures(colours.grey(pictures.content), styles, pictures.shares)


def _finished(wish: Wish, step: Step, pictures: Pictures) -> np.ndarray:
    """The step's picture at full size, uint8 [H, W, 3]."""
    height, width = pictures.content.shape[:2]
    picture = step.picture
    if picture.shape[:2] != (height, width):
        picture = images.scaled(picture, height, width)
    picture = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return colours.with_colours_of(picture, pictures.content) if wish.keeps_colours else picture


def _numbered(output: Path, step: Step) -> Path:
    """Such as `out-0025.png` for `out.png`."""
    return output.with_name(f"{output.stem}-{step.number:04}{output.suffix}")


def _write_between(wish: Wish, step: Step, picture: np.ndarray) -> None:
    """A picture on the way; a full disk does not end it."""
    file = _numbered(wish.output, step)
    try:
        picture_files.write(file, [picture])
    except OSError as error:
        say(f"not written: {file} ({(error.strerror or str(error)).lower()})")


def _announce(wish: Wish, recipe: Recipe, title: str, pictures: Pictures) -> None:
    height, width = pictures.content.shape[:2]
    say(
        f"{'content':<12}{wish.content}, {width} x {height}: {', '.join(recipe.content_layers)}",
        f"{'style':<12}{', '.join(map(str, wish.styles))}: {', '.join(recipe.style_layers)}",
        f"{'network':<12}{title}, {recipe.optimizer}, {recipe.steps} steps at each size, from {recipe.start}",
    )


def _heading() -> str:
    return f"{'step':<16}{'size':<14}{'content':>11}{'style':>11}{'variation':>11}{'seconds':>10}"


def _tell(wish: Wish, step: Step, seconds: float) -> None:
    if step.number % wish.tell_every and step.number != step.steps:
        return
    height, width = step.picture.shape[:2]
    losses: Losses = step.losses
    values = "".join(f"{value:>11.4g}" for value in losses)
    say(f"{f'{step.number} of {step.steps}':<16}{f'{width} x {height}':<14}{values}{seconds:>10.0f}")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {counted(max(1, round(seconds)), 'second', 'seconds')}"
    return f"about {round(seconds / 60):,} minutes"
