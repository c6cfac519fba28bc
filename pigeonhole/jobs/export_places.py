"""Where exported forms lie: places that are free or hold an earlier export, known by its certificate."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from pigeonhole.errors import UsageError, first_line
from pigeonhole.model.export import exporting
from pigeonhole.runs.run import Run

CERTIFICATE = ".certificate.json"  # behind the name of the form
FLAG = "--output"
_SUFFIXES = (".onnx", ".tflite", ".pb", ".keras", ".zip", ".xml", ".html")  # of files; no folder is meant


def find(names: Sequence[str], run: Run, output: Path | None = None) -> list[Path]:
    """Where each form will lie, of which `names` are the files and folders.

    `output`: the folder, or the file where there is one name; None: `exports` in the run. Nothing is written.
    Raises UsageError where that cannot be written to, or holds anything else than an earlier export.
    """
    if output is None and run.origin is not None:
        raise UsageError(f"{run}: an archive; say with {FLAG} where to write")
    found = _inside(run.exports_folder if output is None else output, names)
    folder = found[0].parent
    _require_writable(folder if folder.exists() else folder.parent, folder)
    for place in found:
        _require_free(place)
    return found


def certificate_of(place: Path) -> Path:
    """Where the certificate of an exported file or folder lies."""
    return place.with_name(place.name + CERTIFICATE)


@contextlib.contextmanager
def folder_of(place: Path) -> Iterator[None]:
    """The place's folder is there within the block; one that the block leaves empty is gone after it."""
    try:
        place.parent.mkdir()
    except FileExistsError:
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # not empty
            place.parent.rmdir()


def reason(error: Exception, place: Path) -> str:
    """Why the form was not written, in a line that names no file of its making."""
    if isinstance(error, OSError) and error.strerror:
        named = error.filename and os.fsdecode(error.filename)
        return f"{error.strerror}: {named if named and exporting.ASIDE not in named else place}"
    return first_line(error)


def _inside(output: Path, names: Sequence[str]) -> list[Path]:
    wanted = Path(names[0]).suffix
    if str(output) == "-":
        raise UsageError(f"{FLAG} -: standard output is not written to; name a file or folder")
    if output.is_dir():
        return [output / name for name in names]
    if len(names) == 1 and wanted and output.suffix == wanted:
        if not output.parent.is_dir():
            raise UsageError(f"{FLAG} {output}: its folder does not exist")
        return [output]
    if os.path.lexists(output):
        raise UsageError(f"{FLAG} {output}: not a folder; name another")
    if output.suffix in _SUFFIXES:
        raise UsageError(f"{FLAG} {output}: not the place for {' and '.join(names)}; name a folder")
    if not output.absolute().parent.is_dir():
        raise UsageError(f"{FLAG} {output}: the folder {output.parent} does not exist")
    return [output / name for name in names]


def _require_writable(folder: Path, named: Path) -> None:
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UsageError(
            f"{named}: cannot be written to ({error.strerror}); name another place with {FLAG}"
        ) from error


def _require_free(place: Path) -> None:
    """Raise UsageError unless the place is empty or holds an earlier export, and nothing but that."""
    certificate = certificate_of(place)
    if not os.path.lexists(place) and not os.path.lexists(certificate):
        return
    of_export = _named_in(certificate)
    if of_export is None or place.is_symlink():
        raise UsageError(
            f"{place if os.path.lexists(place) else certificate}: is there already and no earlier export, "
            f"which is never overwritten; name another place with {FLAG}"
        )
    for path in sorted(place.rglob("*")) if place.is_dir() else ():
        is_folder = path.is_dir() and not path.is_symlink()
        if not is_folder and path.relative_to(place).as_posix() not in of_export:
            raise UsageError(
                f"{path}: lies in an earlier export, none of whose files it is, and would be lost; "
                f"move it, or name another place with {FLAG}"
            )


def _named_in(certificate: Path) -> set[str] | None:
    """The files that the certificate names; None where it is no certificate."""
    try:
        return set(json.loads(certificate.read_text("utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
