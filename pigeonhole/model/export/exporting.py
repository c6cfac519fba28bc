"""How an exported form comes into its place, and the ONNX file that every run has."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from pigeonhole.errors import PigeonholeError, first_line
from pigeonhole.model import golden, metagraph
from pigeonhole.model.export.exporter import Source, exporter_of
from pigeonhole.runs import seals, search
from pigeonhole.runs.run import Run

TOLERANCE = 1e-5  # of probabilities: the same float32 arithmetic in another order


def export(run: Path) -> Path:
    """Write the finished `run`'s ONNX file into the run, and give its path.

    It appears there only after it has given the golden examples' answers; otherwise nothing is left of it and
    the run is as before. Raises PigeonholeError where it cannot be made.
    """
    exporter, place = exporter_of("onnx"), Run(run).onnx_file
    session = metagraph.restore(search.find(run).prefix)
    try:
        with making(place) as aside:
            exporter.write(Source(Run(run), session), aside)
            examples, expected = metagraph.read_golden(session)
            golden.check_numerics(expected, exporter.load(aside)(examples.pixels), TOLERANCE)
            seals.forget(place)
    except Exception as error:  # converters and runtimes raise anything
        raise PigeonholeError(f"no {exporter.TITLE} was written: {first_line(error)}") from error
    finally:
        session.close()
    seals.note(place)
    return place


@contextlib.contextmanager
def making(place: Path, *beside: Path) -> Iterator[Path]:
    """Where a file or folder is to be made that takes its place once the block has ended.

    `beside`: further files, made as `unfinished` says, that take theirs right before. After an error nothing
    is left of any, and what was there before is as it was.
    """
    made = [*beside, place]
    for path in made:
        _remove(unfinished(path))
    try:
        yield unfinished(place)
        for path in made:
            if unfinished(path).is_dir():
                _remove(path)  # a folder takes the place of none but an empty one
            unfinished(path).replace(path)
    finally:
        for path in made:
            _remove(unfinished(path))


def unfinished(path: Path) -> Path:
    """Where a file or folder is while it is made; with the same suffix, which some libraries go by."""
    return path.with_name(f".{path.name}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
