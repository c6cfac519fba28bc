"""How an exported form comes into its place, and the ONNX file that every run has."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pigeonhole import locks
from pigeonhole.errors import PigeonholeError, first_line
from pigeonhole.model import golden, metagraph
from pigeonhole.model.export.exporter import Source, exporter_of
from pigeonhole.runs import seals, search
from pigeonhole.runs.run import Run

TOLERANCE = 1e-5  # of probabilities: the same float32 arithmetic in another order
ASIDE = ".pigeonhole-export."  # a folder in which something is made begins so
_LOCK = "lock"  # its file that a living process holds


def export(run: Path) -> Path:
    """Write the finished `run`'s ONNX file into the run, and give its path.

    It appears there only after it has given the golden examples' answers; otherwise nothing is left of it and
    the run is as before. Raises PigeonholeError where it cannot be made.
    """
    exporter, place = exporter_of("onnx"), Run(run).onnx_file
    session = metagraph.restore(search.find(run).prefix)
    try:
        with making(place) as aside:
            made = aside / place.name
            exporter.write(Source(Run(run), session), made)
            examples, expected = metagraph.read_golden(session)
            golden.check_numerics(expected, exporter.load(made)(examples.pixels), TOLERANCE)
            seals.forget(place)
    except Exception as error:  # converters and runtimes raise anything
        raise PigeonholeError(f"no {exporter.TITLE} was written: {first_line(error)}") from error
    finally:
        session.close()
    seals.note(place)
    return place


@contextlib.contextmanager
def making(place: Path, *beside: Path) -> Iterator[Path]:
    """A folder in which `place` is to be made, by its name; once the block has ended it takes its place.

    `beside`: further files of the same folder, made by their names too, that take theirs right before. After
    an error nothing is left of any, and what was there before is as it was. What a process that was killed
    has left aside is removed.
    """
    _remove_leftovers(place.parent)
    aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=place.parent))
    try:
        with locks.at_once(aside / _LOCK):
            yield aside
            for path in (*beside, place):
                _put(aside / path.name, path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _put(made: Path, place: Path) -> None:
    """Move it to its place. An earlier folder goes aside first: a folder replaces none but an empty one."""
    if not place.is_dir() or place.is_symlink():
        made.replace(place)
        return
    earlier = made.with_name(f"earlier {place.name}")
    place.rename(earlier)
    try:
        made.rename(place)
    except BaseException:  # Ctrl-C too
        if not place.exists():
            earlier.rename(place)
        raise


def _remove_leftovers(folder: Path) -> None:
    for aside in folder.glob(f"{ASIDE}*"):
        if (aside / _LOCK).is_file() and not locks.is_held(aside / _LOCK):
            shutil.rmtree(aside, ignore_errors=True)
