"""Class folders that are made from a page, and taken away again, while others wait for nothing."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.jobs import materialising
from pigeonhole.jobs.bulk import sorting
from pigeonhole.runs import creation
from pigeonhole.terminal import counted, shown


class _Stopped(Exception):
    """The program ends."""


@dataclass(frozen=True)
class SortingState:
    """How far it is. `folder`: where it sorts or has sorted; None before. `said`: what has come of it, a
    sentence. `removed`: the files were taken away again."""

    folder: Path | None = None
    running: bool = False
    done: int = 0
    total: int = 0
    said: str = ""
    failed: bool = False
    removed: bool = False


class SortingJob:
    """Sorts the pictures of the folder `source`, by a thread, into a folder beside it. Safe for threads."""

    def __init__(self, source: Path):
        self.source = source.resolve()
        self.state = SortingState()
        self._mutex = threading.Lock()
        self._is_closed = False
        self._thread: threading.Thread | None = None

    @property
    def suggested(self) -> str:
        """A name for the folder."""
        return f"{self.source.name or 'pictures'}-sorted"

    def start(self, name: str, labels: Mapping[str, str], link: bool) -> None:
        """Put the pictures into class folders below the folder `name`; see `materialising.put`.

        Raises UsageError for a name that no folder can have, and while something is running.
        """
        if name in ("", ".", "..") or any(character in name for character in "/\\:\0") or shown(name) != name:
            raise UsageError("The new folder needs a plain name: it lies beside that of the pictures.")
        target = self.source.parent / name
        if target == self.source:
            raise UsageError("That is the folder of the pictures themselves; give another name.")
        creation.check_output(target, "folder")
        if target.exists() and not (target / sorting.UNDO).is_file() and any(target.iterdir()):
            raise UsageError(f"{target} is there already and holds other files; give another name.")

        def sort() -> str:
            outcome = materialising.put(self.source, labels, target, link, self._tell)
            before = f", {outcome.present:,} lay there before" if outcome.present else ""
            return f"{counted(outcome.made, 'picture', 'pictures')} put into {target}{before}."

        self._begin(SortingState(target, True, 0, len(labels)), sort)

    def undo(self) -> None:
        """Take away what was sorted last. Raises UsageError without that, and while something is running."""
        folder = self.state.folder
        if folder is None or not (folder / sorting.UNDO).is_file():
            raise UsageError("There is nothing to be taken away.")

        def take_away() -> str:
            kept, removed = [], 0
            for path, reason in sorting.undo(folder / sorting.UNDO):
                removed += reason is None
                kept += [] if reason is None else [f"{path} ({reason})"]
                self._tell(removed + len(kept), 0)
            left = f" Left: {', '.join(map(shown, kept[:3]))}{' …' if len(kept) > 3 else ''}." if kept else ""
            return f"{counted(removed, 'file', 'files')} taken away from {folder}.{left}"

        self._begin(SortingState(folder, True, removed=True), take_away)

    def close(self) -> None:
        """Stop between two pictures; what is there by then is listed, and sorting again goes on with it."""
        with self._mutex:
            self._is_closed, thread = True, self._thread
        if thread:
            thread.join()

    def _begin(self, state: SortingState, work: Callable[[], str]) -> None:
        with self._mutex:
            if self.state.running:
                raise UsageError("Something is running already; wait for it.")
            if self._is_closed:
                raise UsageError("The program is about to end.")
            self.state = state
            self._thread = threading.Thread(target=self._run, args=(work,), name="sorting", daemon=True)
            self._thread.start()

    def _run(self, work: Callable[[], str]) -> None:
        said, failed = "", True
        try:
            said, failed = work(), False
        except _Stopped:
            said = "Stopped."
        except PigeonholeError as error:
            said = str(error).removeprefix(f"{materialising.FLAG} ")
        except OSError as error:
            said = f"{error.filename or self.state.folder}: {error.strerror or error}"
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            raise
        finally:
            removed = self.state.removed and not failed
            self.state = replace(self.state, running=False, said=said, failed=failed, removed=removed)

    def _tell(self, done: int, total: int) -> None:
        if self._is_closed:
            raise _Stopped
        self.state = replace(self.state, done=done, total=total or done)
