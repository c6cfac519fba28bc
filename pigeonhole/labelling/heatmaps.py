"""Where a picture speaks for a class, by the model that learns along."""

import threading
from collections.abc import Callable

import numpy as np

from pigeonhole.data.folders import Record
from pigeonhole.data.reading import DECODERS
from pigeonhole.errors import PigeonholeError
from pigeonhole.evaluation import insight
from pigeonhole.features.extractor import Extractor
from pigeonhole.labelling import coordinates, thumbnails
from pigeonhole.labelling.refitting import Findings
from pigeonhole.pictures import images
from pigeonhole.pictures import thumbnails as jpegs
from pigeonhole.pictures.images import Preprocessing

LONGEST_SIDE = 640  # pixels


class Busy(PigeonholeError):
    """Another heatmap is being drawn, or this one is not wanted any more."""


class Heatmaps:
    """Heatmaps for any number of threads, one at a time: each takes all cores for a second or so."""

    def __init__(self) -> None:
        self._turn = threading.Lock()

    def draw(
        self,
        record: Record,
        position: int,
        findings: Findings,
        extractor: Extractor,
        check: Callable[[], None],
    ) -> bytes:
        """The picture as a JPEG file, upright, tinted where it speaks for a class; see `insight.occluded`.

        Empty where no place of it does.

        position  of the class, where `findings` have a head
        check     is called now and then, and may raise to stop

        Raises Busy while another one is drawn, PigeonholeError where the picture cannot be read any more.
        """
        if not self._turn.acquire(blocking=False):
            raise Busy("Another heatmap is being drawn.")
        try:
            return _drawn(record, position, findings, extractor, check)
        finally:
            self._turn.release()


def _drawn(
    record: Record, position: int, findings: Findings, extractor: Extractor, check: Callable[[], None]
) -> bytes:
    data = thumbnails.content(record)
    try:
        with DECODERS:
            pixels = images.preprocess(data, Preprocessing(extractor.image_size))
            image = thumbnails.upright(data, LONGEST_SIDE)
    except images.ImageError as error:
        raise PigeonholeError(f"{record.entry.path}: {error}") from error

    def log_odds(covered: np.ndarray) -> np.ndarray:
        place = coordinates.of_pictures(covered, extractor, findings.axes)
        return findings.fitted.log_odds(place, position)

    (heat,) = insight.occluded(log_odds, pixels[np.newaxis], check)
    if not heat.any():
        return b""
    heat = images.scaled(heat, *image.shape[:2])
    return jpegs.jpeg(insight.spotlight(image, heat), LONGEST_SIDE)
