"""What is known of every picture file and its decoded pixels, kept on disk: each content is decoded once.

A cache folder holds an SQLite index and one file of pixel rows for each size, number of channels and resize
rule. Contents are named by their SHA-256, so a file that was copied or moved is read but not decoded again;
a file whose size and times are unchanged is not even read. Pixels are on the disk before the index refers to
them: a process killed at any instant leaves at most a tail of rows that the next one writes over. Writers
take turns; readers need not wait. The folder may be deleted whenever no program is using it.
"""

import atexit
import contextlib
import errno
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pigeonhole.data import index
from pigeonhole.data.folders import Record, Tree
from pigeonhole.data.index import Index
from pigeonhole.data.pixels import Pixels
from pigeonhole.data.survey import Survey
from pigeonhole.errors import PigeonholeError
from pigeonhole.locks import exclusive
from pigeonhole.pictures import decoders, images
from pigeonhole.terminal import say

FORMAT_VERSION = 6  # one more whenever decoding, resizing, facts, fingerprints or the index change
MOST_REBUILDS = 3  # of the index, before its disk is given up
DISK_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})


class CacheError(PigeonholeError):
    """The cache folder cannot be written: full, forbidden, broken."""


def default_directory() -> Path:
    """The platform's folder for files that can be made again, plus "pigeonhole"."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "pigeonhole"


class Cache:
    """Decoded pixels and facts in `directory`, or in a private temporary folder when that is None.

    The temporary folder lies where `tempfile` puts it (`TMPDIR`) and is removed when the process ends.
    """

    def __init__(self, directory: Path | None):
        self.temporary = directory is None
        if directory is None:
            directory = Path(tempfile.mkdtemp(prefix="pigeonhole-"))
            atexit.register(shutil.rmtree, directory, ignore_errors=True)
        self.directory = Path(directory)
        # Another decoder may decode or resize differently, or read formats that this one does not.
        self.folder = self.directory / f"v{FORMAT_VERSION}-{decoders.versions()}"
        self._index_path = self.folder / "index.sqlite"

    def survey(
        self, tree: Tree, preprocessing: images.Preprocessing, progress: bool | None = None
    ) -> tuple[list[Record], Pixels]:
        """A record for each entry of `tree`, and the pixels of those not skipped, both in the entries' order.

        The pixels are RGB or grey uint8 at the size and resize rule of `preprocessing`, before its scale and
        colour order. `progress` shows a bar on standard error; None: where that is a terminal.
        Raises `CacheError` when the cache folder cannot be used.
        """
        with self.explained():
            self.folder.mkdir(parents=True, exist_ok=True)
            for _ in range(MOST_REBUILDS):
                with contextlib.closing(self._open_index()) as opened:
                    number = self._index_path.stat().st_ino
                    with contextlib.suppress(index.Damaged):
                        return self._survey(opened, tree, preprocessing, progress)
                with exclusive(self.folder / "lock"):
                    if self._index_path.stat().st_ino == number:  # no other process has replaced it meanwhile
                        self._remove_index()
            raise OSError(errno.EIO, "the index is damaged again and again")

    def _survey(
        self, opened: Index, tree: Tree, preprocessing: images.Preprocessing, progress: bool | None
    ) -> tuple[list[Record], Pixels]:
        survey = Survey(opened, self.folder, tree, preprocessing)
        try:
            if not survey.look():
                with exclusive(self.folder / "lock"):
                    survey.complete(progress)
        except sqlite3.Error as error:
            if index.is_damage(error, opened.path):
                raise index.Damaged from error
            raise
        return survey.records, survey.pixels()

    def _open_index(self) -> Index:
        with contextlib.suppress(index.Damaged):
            return Index(self._index_path)
        with exclusive(self.folder / "lock"):
            with contextlib.suppress(index.Damaged):
                return Index(self._index_path)  # another process has replaced it meanwhile
            self._remove_index()
            return Index(self._index_path)

    def _remove_index(self) -> None:
        """Start a new index, and say so."""
        say(f"{self._index_path}: damaged; built again, so all pictures are read again", to=sys.stderr)
        index.remove(self._index_path)

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Turn what can go wrong with the cache folder into one line. (Users' files are read elsewhere.)"""
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            full = getattr(error, "errno", None) in DISK_FULL or "is full" in str(error)
            kind = "temporary folder" if self.temporary else "cache folder"
            fault = f"the disk of the {kind} {self.directory} is full"
            if not full:
                fault = f"cannot use the {kind} {self.directory}: {getattr(error, 'strerror', None) or error}"
            mend = "" if self.temporary else ", or --no-cache uses a temporary folder"
            raise CacheError(f"{fault}; --cache-dir FOLDER names another{mend}") from error


def of_flags(directory: str | os.PathLike[str] | None, none: bool) -> Cache:
    """The cache in `directory`, by default the platform's; with `none` a temporary one."""
    return Cache(None if none else Path(directory or default_directory()))
