"""A folder that fills: its files once they are complete, each one once."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from pigeonhole.jobs.prediction import Answer, Source

LOOK_SECONDS = 1.0  # between two looks at the folders, or ten times as long as a look takes
CHECK_SECONDS = 0.2  # between two questions whether to go on
# A file is complete when its size and time are the same at two looks; one that cannot be read, once it has
# been left alone for so long, since an upload may have paused.
PATIENCE_SECONDS = 20.0


class _Seen(NamedTuple):
    """A file as a look found it: its size and time of change, and since when it is like that."""

    stamp: tuple[int, int]
    since: float


class Watch:
    """The files that come, by looks at what `listed` gives: the sources that are there at present."""

    def __init__(self, listed: Callable[[], Iterator[Source]], is_done: Callable[[str], bool]):
        self._listed = listed
        self._is_done = is_done
        self._waiting: dict[str, _Seen] = {}  # not complete when last seen
        self._answered: set[str] = set()
        self._look_took = 0.0

    def look(self) -> Iterator[Source]:
        """The files that are complete now and not answered."""
        started = time.monotonic()
        before, self._waiting = self._waiting, {}
        for source in self._listed():
            is_known = source.name in self._answered or source.name in self._waiting  # twice, of two places
            if is_known or self._is_done(source.name):
                continue
            try:
                status = os.stat(source.picture)
            except OSError:
                continue  # gone again
            stamp = status.st_size, status.st_mtime_ns
            seen = before.get(source.name)
            if seen and seen.stamp == stamp:
                self._waiting[source.name] = seen
                yield source
            else:
                self._waiting[source.name] = _Seen(stamp, started)
        self._look_took = time.monotonic() - started

    def final(self, answers: Sequence[Answer]) -> list[Answer]:
        """Those of the answers that are final; of an unreadable file, once it was left alone for long."""
        final = []
        for answer in answers:
            seen = self._waiting[answer.name]
            if answer.error is None or time.monotonic() - seen.since >= PATIENCE_SECONDS:
                final.append(answer)
                self._answered.add(answer.name)
                del self._waiting[answer.name]
        return final

    def wait(self, check: Callable[[], None]) -> None:
        """Until the next look; calls `check` meanwhile, which may raise."""
        end = time.monotonic() + max(LOOK_SECONDS, 10 * self._look_took)
        check()
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, CHECK_SECONDS))
            check()
