"""The user's decisions, written at once to an append-only labels.csv that several windows may share.

Nothing that has been written is changed: taking back an action adds rows that restore the labels before it,
so undo has no end and can itself be taken back. See `data.journal` for the table.
"""

import re
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from pigeonhole.data import journal as table
from pigeonhole.data.fixes import Fix
from pigeonhole.data.journal import Row
from pigeonhole.data.layout import normal
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.labelling.history import History
from pigeonhole.labelling.journal_file import JournalFile
from pigeonhole.terminal import counted, shown

UNDECIDED = ""
Label = str | None  # a class; UNDECIDED; None for a picture that is left out
REVIEW = "review"  # the source of a decision upon a label that looked wrong: it is doubted no more
RENAME = "rename"  # that of the rows by which a class has another name
_ACTION = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Journal:
    """Labels of pictures by name (posix path below the folder), as the journal `file` has them.

    labels   name -> class, of the pictures that have one
    removed  names of the pictures that are left out
    called   class -> another name that it has now
    classes  those of `given`, then the others in the order in which they came up, while a picture has them;
             each in the place of what it was called before
    notice   what has befallen the file and what to do, for the user; empty where it is as it should be

    given     the classes of the folders, which need no picture
    is_fixed  these keep their names, and can only be made one
    follower  is called after each action, before another program can write

    Copy `labels` and `removed` before going through them: other threads
    change them. Every decision is on the disk before the call that makes it returns; one that cannot be
    written raises and leaves the file as it was. Safe to use from several threads, and with other processes
    that write the same file.
    Raises UsageError where `file` is there and no journal, or cannot be written.
    """

    def __init__(
        self,
        file: Path,
        given: Iterable[str] = (),
        follower: "Callable[[Journal], None] | None" = None,
        is_fixed: bool = False,
    ):
        self.file = Path(file)
        self._given, self._is_fixed = tuple(given), is_fixed
        self._follower = follower
        self._mutex = threading.RLock()
        self._news: set[str] = set()  # names that `refresh` has not told of
        self._rows = JournalFile(self.file)
        self._missed: dict[str, Label] = {}  # what was decided before something befell the file
        self.notice = ""
        self._forget()
        self._rows.check()
        self.refresh()

    @property
    def classes(self) -> list[str]:
        with self._mutex:
            given = [self.called.get(name, name) for name in self._given]
            own = [self.called.get(name, name) for name in self._used] + [*self._used]
            return list(dict.fromkeys([*given, *(name for name in own if self._used[name])]))

    @property
    def actions(self) -> int:
        """How many actions of the user are in force: an action that was taken back counts no more."""
        with self._mutex:
            return len(self._history.done)

    @property
    def can_redo(self) -> bool:
        """Whether an action was taken back and none has come since."""
        with self._mutex:
            return bool(self._history.undone)

    def decisions(self) -> list[Fix]:
        """What is decided at present, for `Collection.decided`."""
        with self._mutex:
            return [Fix(name, label, self._digests[name]) for name, label in self._decided().items()]

    def reviewed(self) -> list[Fix]:
        """Those of `decisions` that were made upon labels which looked wrong."""
        return [fix for fix in self.decisions() if self.is_reviewed(fix.name)]

    def is_reviewed(self, name: str) -> bool:
        with self._mutex:
            return self._history.source(name) == REVIEW

    def undecided(self) -> list[str]:
        """The names of pictures that were decided upon and are undecided again."""
        with self._mutex:
            return [name for name in self._digests if name not in self.labels and name not in self.removed]

    def act(
        self, action: str, changes: Mapping[str, Label], digests: Mapping[str, str], source: str = ""
    ) -> bool:
        """Write one action of the user: name -> class, UNDECIDED, or None to leave the picture out.

        action   an id made by whoever asks, of letters, digits, "-" and "_": what has been written of an
                 action is not written again, so that a request can be repeated
        digests  name -> sha256 of the content that is decided upon
        source   what led to the decision, such as "group"

        Gives whether anything was new. Raises UsageError for a label that cannot be a class.
        """
        _check_action(action)
        changes = {name: self.spelt(label) for name, label in changes.items()}
        with self._turn() as file:
            written = self._history.changes.get(action, {})
            rows = [
                Row(name, self._word(label), digests.get(name, ""), action, source=source)
                for name, label in changes.items()
                if name not in written
            ]
            self._append(file, rows)
            return bool(rows)

    def rename(self, action: str, old: str, new: str, pictures: Mapping[str, str]) -> bool:
        """Call a class by another name, as one action; by that of another class, the two are one.

        pictures  name -> sha256 of the content, of all pictures that have the class

        Gives whether anything was new. Raises UsageError for a name that cannot be a class.
        """
        _check_action(action)
        new = self._new_name(old, new)
        with self._turn() as file:
            if old == new:
                return False
            mine = {name: self._digests[name] for name, label in self.labels.items() if label == old}
            rows = []
            if self._is_fixed:
                mine = {**pictures, **mine}
            else:
                before = [name for name, label in self.called.items() if label == old]
                before += [old] if old not in self.called else []
                rows = [Row.of_class(name, "" if name == new else new, action, RENAME) for name in before]
            for name, digest in mine.items():
                source = REVIEW if self.is_reviewed(name) else RENAME
                rows.append(Row(name, new, digest, action, source=source))
            written = self._history.changes.get(action, {})
            rows = [row for row in rows if row.name not in written]
            self._append(file, rows)
            return bool(rows)

    def undo(self, action: str, target: str | None = None) -> list[str]:
        """Take back the action `target`, by default the last one that is in force; gives its pictures' names.

        What was decided since on one of its pictures stays. `action`: an id as of `act`. Gives no name where
        there is nothing to take back.
        """
        return self._restore(action, target, self._history.before, "done")

    def redo(self, action: str) -> list[str]:
        """Bring again what was taken back last, unless a new action has come since; gives the names."""
        return self._restore(action, None, self._history.again, "undone")

    def refresh(self) -> set[str]:
        """Take in what others have written; gives the names of the pictures that were decided upon since the
        last call, by them or by this journal.

        Raises UsageError where the file has become another one that is no journal, PigeonholeError where it
        cannot be read: what was known is known still.
        """
        with self._mutex:
            try:
                with self.file.open("rb", buffering=0) as file:
                    self._take(file)
            except FileNotFoundError:
                self._rows.forget()
                self._learn_anew([])
            except OSError as error:
                raise PigeonholeError(f"{self.file}: cannot be read ({error.strerror})") from error
            news, self._news = self._news, set()
            return news

    def spelt(self, label: Label, but: str | None = None) -> Label:
        """The label as the journal has it: that of a class which differs in upper and lower case alone.

        `but`: a class that does not count.

        Raises UsageError for one that cannot be a class.
        """
        if not label:
            return label
        name = normal(label.strip())
        is_name = shown(name) == name and name.strip(" .")  # also of a folder
        if not is_name or "/" in name or "\\" in name:
            raise UsageError(f"{label!a}: cannot be a class; give a name of one line, without slashes")
        with self._mutex:
            if table.is_removal(name, self._given):
                raise UsageError(
                    f"{name}: is the word for pictures to be left out; give the class another name"
                )
            known = {each.casefold(): each for each in self.classes if each != but}
        return known.get(name.casefold(), name)

    def _new_name(self, old: str, new: str) -> str:
        name = self.spelt(new, but=old)
        if not name:
            raise UsageError("A class needs a name.")
        if name.lower() == table.REMOVE:
            raise UsageError(f"{name}: is the word for pictures to be left out; give the class another name")
        if self._is_fixed and name not in self._given:
            raise UsageError(
                f"{name}: is no class of this run, whose classes keep their names; give the name of another "
                "one to make the two one, or label the folder of the pictures"
            )
        return name

    def _word(self, label: Label) -> str:
        return table.removal(self._given) if label is None else label

    def _restore(self, action: str, target: str | None, changes_of, stack: str) -> list[str]:
        _check_action(action)
        if not self.file.exists():
            return []
        with self._turn() as file:
            if action in self._history.changes:
                return list(self._history.changes[action])
            candidates = getattr(self._history, stack)
            target = target or (candidates[-1] if candidates else None)
            if target not in candidates:
                return []
            source = self._history.source_again(target) if stack == "undone" else ""
            rows = [
                Row(name, label, self._digests.get(name, ""), action, target, source)
                for name, label in changes_of(target).items()
            ]
            self._append(file, rows)
            return [row.name for row in rows]

    def _forget(self) -> None:
        self.labels: dict[str, str] = {}
        self.removed: set[str] = set()
        self.called: dict[str, str] = {}
        self._digests: dict[str, str] = {}
        self._used: Counter[str] = Counter()  # class -> pictures, in the order in which classes came up
        self._history = History()

    def _decided(self) -> dict[str, Label]:
        return {**dict.fromkeys(self.removed), **self.labels}

    @contextmanager
    def _turn(self) -> Iterator[FileIO]:
        """The file under its lock, with all that others have written taken in."""
        with self._mutex, self._rows.locked() as file:
            self._take(file)
            yield file
            if self._follower:
                self._follower(self)

    def _take(self, file: FileIO) -> None:
        """Take in the rows behind those that are known, or all where the file is another one."""
        rows, is_anew = self._rows.news(file, self._history.changes)
        if is_anew:
            self._learn_anew(rows)
            return
        for row in rows:
            self._learn(row)
            self._news.add(row.name)

    def _learn_anew(self, rows: Iterable[Row]) -> None:
        """Know these rows and no others; where decisions are lost by that, `notice` says so."""
        before = self._decided()
        missed = self._missed or before
        self._forget()
        self._news |= before.keys()
        for row in rows:
            self._learn(row)
            self._news.add(row.name)
        now = self._decided()
        lost = sum(name not in now or now[name] != label for name, label in missed.items())
        self._missed, self.notice = (missed, self._told(lost, len(missed))) if lost else ({}, "")

    def _told(self, lost: int, of: int) -> str:
        gone = f"{lost:,} of {counted(of, 'decision', 'decisions')} in it {'is' if lost == 1 else 'are'} gone"
        return (
            f"{self.file}: another program has changed, replaced or removed it, and {gone}. "
            "If that was not meant, put the former file back"
        )

    def _learn(self, row: Row) -> None:
        self._history.add(row)
        if (name := row.class_name) is not None:
            self.called.pop(name, None)
            self.called |= {name: row.label} if row.label else {}
            return
        if row.name in self.labels:
            self._used[self.labels.pop(row.name)] -= 1
        self.removed.discard(row.name)
        self._digests[row.name] = row.digest
        if not row.label:
            return
        if table.is_removal(row.label, self._given):
            self.removed.add(row.name)
        else:
            self.labels[row.name] = row.label
            self._used[row.label] += 1

    def _append(self, file: FileIO, rows: Collection[Row]) -> None:
        """Add rows that are on the disk when this returns, or none of them."""
        if rows:
            self._rows.append(file, rows)
            self._take(file)


def _check_action(action: str) -> None:
    if not _ACTION.fullmatch(action):
        raise UsageError(f"{action!a}: no id of an action; give letters, digits, - and _, at most 64")
