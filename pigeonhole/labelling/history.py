"""Which actions are in force, and what taking one back restores."""

from collections import defaultdict

from pigeonhole.data.journal import Row


class History:
    """Actions as the rows of a journal tell of them, in their order.

    changes  action -> name -> label that it gave, as in the table
    done     actions in force that can be taken back, the last one last
    undone   actions that took another back and can be taken back in turn, the last one last

    A row without an action, added by hand, cannot be taken back.
    """

    def __init__(self) -> None:
        self.changes: dict[str, dict[str, str]] = {}
        self._sources: dict[str, str] = {}
        self.done: list[str] = []
        self.undone: list[str] = []
        self._undoes: dict[str, str] = {}  # of undos and redos: the action that each took back
        self._undos: set[str] = set()
        # By which action each picture was given what, of the actions in force, the last one last.
        self._given: defaultdict[str, list[tuple[str, str, str]]] = defaultdict(list)

    def add(self, row: Row) -> None:
        """Take in the next row."""
        if not row.action:
            self._given[row.name].append(("", row.label, row.source))
            self.undone.clear()
            return
        if row.action not in self.changes:
            self.changes[row.action] = {}
            self._sources[row.action] = row.source
            self._begin(row)
        self.changes[row.action][row.name] = row.label
        if row.action not in self._undos:
            self._given[row.name].append((row.action, row.label, row.source))

    def before(self, action: str) -> dict[str, str]:
        """Name -> label, once this action, one of `done`, is taken back."""
        found = {}
        for name in self.changes[action]:
            others = [label for by, label, _ in self._given[name] if by != action]
            found[name] = others[-1] if others else ""
        return found

    def again(self, undo: str) -> dict[str, str]:
        """Name -> label, once this action, one of `undone`, is taken back."""
        return self.changes[self._undoes[undo]]

    def source(self, name: str) -> str:
        """By which part of the page the picture's label in force was given; empty where nothing says so."""
        given = self._given.get(name)
        return given[-1][2] if given else ""

    def source_again(self, undo: str) -> str:
        """That of the action which this one, one of `undone`, took back."""
        return self._sources[self._undoes[undo]]

    def _begin(self, row: Row) -> None:
        if row.undoes in self.done:
            self.done.remove(row.undoes)
            self.undone.append(row.action)
            self._undoes[row.action] = row.undoes
            self._undos.add(row.action)
            for name in self.changes[row.undoes]:
                self._given[name] = [each for each in self._given[name] if each[0] != row.undoes]
        elif row.undoes in self.undone:
            self.undone.remove(row.undoes)
            self.done.append(row.action)
            self._undoes[row.action] = row.undoes
        else:
            self.done.append(row.action)
            self.undone.clear()
