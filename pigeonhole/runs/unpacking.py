"""A run that came as a zip archive, perhaps of a stranger, unpacked for as long as the process lasts."""

import atexit
import shutil
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from pigeonhole.errors import PigeonholeError
from pigeonhole.runs.run import MODEL, Inside, Run

MOST_BYTES = 4 << 30  # of all files together
MOST_ENTRIES = 100_000  # of the archive
_BLOCK = 1 << 20


def unpack(archive: Path) -> Run:
    """The run in the archive, whose files lie in one folder of it, in a folder that is removed at exit.

    Only files with the names that a run's files have are taken, from the folder with the shortest path that
    has a model; links become plain files, and nothing is written outside of the temporary folder. Raises
    PigeonholeError where the archive is damaged, encrypted or too large, or holds no run.
    """
    target = Path(tempfile.mkdtemp(prefix="pigeonhole-"))
    atexit.register(shutil.rmtree, target, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            _extract(_entries(opened, archive), opened, archive, target)
    except PigeonholeError:
        raise
    except OSError as error:
        raise PigeonholeError(f"{archive}: cannot be unpacked ({error.strerror or error})") from error
    except Exception as error:  # zipfile and its decoders raise anything
        raise PigeonholeError(f"{archive}: damaged or no zip archive ({error})") from error
    if Run(target).checkpoint_file.is_file():
        return Run(target, origin=archive)
    return Run(target / Run.onnx_file.name, origin=archive)


def _entries(opened: zipfile.ZipFile, archive: Path) -> list[zipfile.ZipInfo]:
    """The files of the run, one of each name. Raises PigeonholeError."""
    entries = opened.infolist()
    if len(entries) > MOST_ENTRIES:
        raise PigeonholeError(f"{archive}: refused, it has {len(entries):,} entries")
    by_folder: dict[PurePosixPath, list[zipfile.ZipInfo]] = {}
    for entry in entries:
        path = PurePosixPath(entry.filename)
        if _is_of_run(path.name) and not entry.is_dir():
            by_folder.setdefault(path.parent, []).append(entry)
    models = [
        folder
        for folder, inside in by_folder.items()
        if {Run.checkpoint_file.name, Run.onnx_file.name} & {Path(entry.filename).name for entry in inside}
    ]
    if not models:
        raise PigeonholeError(
            f"{archive}: holds no run; pack the folder of a finished run, or its model.onnx"
        )
    chosen = by_folder[min(models, key=lambda folder: (len(folder.parts), str(folder)))]
    names = [Path(entry.filename).name for entry in chosen]
    if len(set(names)) < len(names):
        raise PigeonholeError(f"{archive}: refused, it has two files of one name")
    return chosen


def _extract(entries: list[zipfile.ZipInfo], opened: zipfile.ZipFile, archive: Path, target: Path) -> None:
    """Write the files. What is said about their sizes is not believed."""
    left = MOST_BYTES
    for entry in entries:
        if entry.flag_bits & 1:
            raise PigeonholeError(f"{archive}: encrypted; unpack it and name the folder")
        with opened.open(entry) as source, (target / Path(entry.filename).name).open("xb") as file:
            while block := source.read(_BLOCK):
                left -= len(block)
                if left < 0:
                    raise PigeonholeError(f"{archive}: refused, unpacked it is larger than a run can be")
                file.write(block)


def _is_of_run(name: str) -> bool:
    """Whether a file of a run's folder has this name."""
    known = {each.name for each in vars(Run).values() if isinstance(each, Inside)}
    return name in known or name.startswith((f"{MODEL}.meta", f"{MODEL}.index", f"{MODEL}.data-"))
