"""Labellings of drawn pictures, whose features take no time."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from pigeonhole.data.cache import Cache
from pigeonhole.features.extractor import Extractor
from pigeonhole.labelling.collection import Collection
from pigeonhole.labelling.journal import Journal
from pigeonhole.labelling.session import Session
from tests.support.small_extractor import SmallExtractor

COLOURS = {"moss": (60, 150, 60), "rust": (40, 70, 180)}  # BGR


def draw_heap(folder: Path, count: int, colours: dict = COLOURS) -> dict[str, str]:
    """So many pictures of each colour in one folder, no two alike; gives name -> colour."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for number in range(count * len(colours)):
        name = list(colours)[number % len(colours)]
        picture = np.clip(random.normal(colours[name], 25, (32, 40, 3)) + random.normal(0, 25, 3), 0, 255)
        file = folder / f"{number:04}.png"
        file.write_bytes(cv2.imencode(".png", picture.astype(np.uint8))[1].tobytes())
        found[file.name] = name
    return found


def frame(colour: str, seed: int, shape: tuple[int, int] = (48, 64)) -> bytes:
    """A JPEG file of noise in that colour, another one for each seed."""
    random = np.random.default_rng(seed)
    picture = np.clip(random.normal(COLOURS[colour], 25, (*shape, 3)) + random.normal(0, 25, 3), 0, 255)
    return cv2.imencode(".jpg", picture.astype(np.uint8))[1].tobytes()


def open_session(
    folder: Path,
    cache: Path,
    journal: Path | None = None,
    open_extractor: Callable[[], Extractor] = SmallExtractor,
) -> Session:
    """The labelling of a folder, not started."""
    kept = Cache(cache)
    file = journal or folder / "labels.csv"
    pictures = Collection.open(folder, kept, without=[file], progress=False)
    return Session(pictures, Journal(file, pictures.classes), kept, open_extractor)


@contextlib.contextmanager
def started(session: Session) -> Iterator[Session]:
    session.start()
    try:
        yield session
    finally:
        session.close()


def wait_until(holds: Callable[[], object], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


def settle(session: Session) -> None:
    """Wait until the findings are by the latest decision."""
    wait_until(lambda: (status := session.status()).problem or not status.busy)
    assert not session.status().problem
