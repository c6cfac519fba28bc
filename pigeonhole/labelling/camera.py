"""Teaching by a camera: frames become new files with a label, and what it sees is answered at once."""

import errno
import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pigeonhole import atomic_file
from pigeonhole.data import bursts, layout
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.labelling import coordinates
from pigeonhole.labelling.journal import Journal
from pigeonhole.labelling.refitting import Refitter
from pigeonhole.pictures import images
from pigeonhole.pictures.images import Preprocessing
from pigeonhole.runs.run import Run

SOURCE = "camera"  # of the decisions
MOST_PIXELS = 4_000_000  # of a frame
CHECKED_SIDE = 32  # pixels to which a frame is decoded to see whether it is a picture


@dataclass
class _Burst:
    """A recording for one class, and how many frames it has."""

    label: str
    frames: int = 0


class Camera:
    """Recordings for the pictures' folder, below which they lie in a folder of their own. Safe for threads.

    Nothing in that folder is written over. A frame's label is in the journal before `record` returns, that of
    a whole recording as one action, so that one undo takes it back.
    """

    def __init__(self, folder: Path, journal: Journal, refitter: Refitter):
        self._top, self._journal, self._refitter = folder, journal, refitter
        self.folder = folder / layout.RECORDINGS
        self._bursts: dict[str, _Burst] = {}
        self._mutex = threading.Lock()

    def begin(self, label: str) -> str:
        """Begin a recording of frames for a class; gives its name.

        Raises UsageError for what cannot be a class, and where the pictures are divided by folders: frames
        would be on none of their sides.
        """
        spelt = self._journal.spelt(label)
        if not spelt:
            raise UsageError("A class needs a name.")
        if Run(self._journal.file.parent).settings_file.is_file():
            raise UsageError("These are the pictures of a run. Label their folder to add others.")
        if self._is_divided():
            raise UsageError(
                "The folders divide these pictures into parts. Label the training part's folder by itself."
            )
        name = bursts.new()
        with self._mutex:
            self._bursts[name] = _Burst(spelt)
        return name

    def record(self, name: str, jpeg: bytes) -> int:
        """Keep a frame of this recording; gives how many it has now.

        Raises UsageError for a recording that has not begun and for what is no JPEG file, PigeonholeError
        where the frame or its label cannot be written.
        """
        _decoded(jpeg, CHECKED_SIDE)
        with self._mutex:
            burst = self._bursts.get(name)
            if burst is None:
                raise UsageError("This recording is from an earlier start of the program. Begin another one.")
            file = self.folder / bursts.file_name(name, burst.frames + 1)
            _write(file, jpeg)
            burst.frames += 1
            relative = file.relative_to(self._top).as_posix()
            try:
                self._journal.act(name, {relative: burst.label}, {relative: _digest(jpeg)}, SOURCE)
            finally:
                self._refitter.add([relative])  # without its label it is a picture as any other
            return burst.frames

    def answer(self, jpeg: bytes) -> list[tuple[str, float]]:
        """Each class with its probability, the likeliest first; none before there is a model.

        Raises UsageError for what is no JPEG file.
        """
        findings, extractor = self._refitter.findings, self._refitter.extractor
        picture = _decoded(jpeg, extractor.image_size if extractor else CHECKED_SIDE)
        if findings is None or findings.fitted is None or findings.fitted.head is None:
            return []
        place = coordinates.of_pictures(picture[np.newaxis], extractor, findings.axes)
        (shares,) = findings.fitted.answers(place)
        best = np.argsort(-shares, kind="stable")
        return [(findings.wanted.classes[one], float(shares[one])) for one in best]

    def _is_divided(self) -> bool:
        try:
            return layout.find_split(self._top) is not None
        except PigeonholeError:
            return False  # unclear, and so a heap


def _decoded(jpeg: bytes, side: int) -> np.ndarray:
    """uint8 [side, side, 3]. Raises UsageError for what is no JPEG file of a usual size."""
    try:
        facts = images.inspect(jpeg)
        if facts.format != "jpeg" or facts.width * facts.height > MOST_PIXELS:
            raise UsageError(f"A frame must be a JPEG file of at most {MOST_PIXELS / 1e6:.0f} megapixels.")
        return images.preprocess(jpeg, Preprocessing(side))
    except images.ImageError as error:
        raise UsageError(f"This frame is no picture: {error}.") from None


def _write(file: Path, data: bytes) -> None:
    """A new file, there as a whole or not at all."""
    try:
        file.parent.mkdir(exist_ok=True)
        if file.exists():
            raise FileExistsError(errno.EEXIST, "is there already")
        with atomic_file.write_binary(file) as target:
            target.write(data)
    except OSError as error:
        reason = error.strerror or error
        raise PigeonholeError(f"{file}: cannot be written ({reason}); the frame is not kept") from error


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
