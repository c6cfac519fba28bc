"""A map of the pictures that a run keeps: those that look alike to the network lie near each other."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pigeonhole.features import map as mapping
from pigeonhole.features import neighbours
from pigeonhole.features.known import KnownPictures
from pigeonhole.pictures import images
from pigeonhole.pictures.thumbnails import as_uri
from pigeonhole.report.page import Section, render
from pigeonhole.report.pictures import Limits, tiled

MOST_SHOWN = 1_500  # pictures
FEWEST = 10
WIDTH, MARGIN = 760, 24  # of the drawing
PALETTE = 8  # colours that are told apart; further classes take turns with a hue each
MOST_LABELS = 30  # classes named on the map
MIXED = 5  # pairs of classes that are listed
FEW, SIDE_OF_FEW, SIDE_OF_MANY = 500, 48, 32  # pixels of a picture that appears under the pointer
SMALLEST_SIDE = 80  # of the limits, below which there is no room for those
GOLDEN_ANGLE = 137.5  # degrees; hues that far apart differ from all before


@dataclass(frozen=True)
class Mark:
    """A picture on the map. `at`: its place among the small pictures; `group`: the number of its class."""

    name: str
    class_name: str
    group: int
    x: float
    y: float
    at: int
    is_mistake: bool
    is_suspect: bool


@dataclass(frozen=True)
class Atlas:
    """The map, and what it shows in words.

    `together`: the share of pictures whose nearest one is of the same class; `mixed`: the pairs of classes
    between which that is not so, the most frequent first, with their numbers.
    """

    known: KnownPictures
    rows: np.ndarray
    marks: list[Mark]
    height: float
    classes: Sequence[str]
    together: float
    mixed: list[tuple[str, str, int]]

    @staticmethod
    def of(
        known: KnownPictures, classes: Sequence[str], mistakes: Collection[str], suspects: Collection[str]
    ) -> "Atlas | None":
        """Place up to `MOST_SHOWN` pictures, first those of the names `mistakes` and `suspects`.

        None where there are hardly any. 1,000 pictures take some 2 s.
        """
        if len(known) < FEWEST:
            return None
        marked = np.array([name in mistakes or name in suspects for name in known.names])
        order = np.random.default_rng(0).permutation(len(known))
        rows = np.sort(order[np.argsort(~marked[order], kind="stable")][:MOST_SHOWN])
        groups = {name: number for number, name in enumerate(dict.fromkeys([*classes, *known.classes]))}
        directions = known.directions[rows]
        places = mapping.places(directions, slice(None))
        places = MARGIN + (places - places.min(axis=0)) * (WIDTH - 2 * MARGIN) / max(
            np.ptp(places[:, 0]), 1e-6
        )
        marks = [
            Mark(
                name=known.names[row],
                class_name=known.classes[row],
                group=groups[known.classes[row]],
                x=float(x),
                y=float(y),
                at=place,
                is_mistake=known.names[row] in mistakes,
                is_suspect=known.names[row] in suspects,
            )
            for place, (row, (x, y)) in enumerate(zip(rows, places, strict=True))
        ]
        near = neighbours.nearest(directions, directions, 1, np.arange(len(rows)), np.asarray).rows[:, 0]
        pairs = [(mark.class_name, marks[other].class_name) for mark, other in zip(marks, near, strict=True)]
        apart = Counter(pair for pair in pairs if pair[0] != pair[1])
        mixed = [(*pair, count) for pair, count in apart.most_common(MIXED)]
        height = float(places[:, 1].max()) + MARGIN
        return Atlas(known, rows, marks, height, list(groups), 1 - apart.total() / len(rows), mixed)

    def section(self, limits: Limits) -> Section:
        """The drawing; those marked lie over the others."""
        html = render(
            "map.html",
            marks=sorted(self.marks, key=lambda mark: mark.is_mistake + mark.is_suspect),
            labels=self._labels() if len(self.classes) <= MOST_LABELS else [],
            palette=PALETTE,
            hues=[round(GOLDEN_ANGLE * number) % 360 for number in range(len(self.classes))],
            width=WIDTH,
            height=self.height,
            known=len(self.known),
            mistakes=sum(mark.is_mistake for mark in self.marks),
            suspects=sum(mark.is_suspect for mark in self.marks),
            together=self.together,
            mixed=self.mixed,
            classes=self.classes,
            sheet=self._sheet() if limits.side >= SMALLEST_SIDE else None,
            columns=self._columns,
        )
        return Section("map", "A map of the pictures", html)

    def _labels(self) -> list[tuple[str, float, float]]:
        """Each class at the middle of its pictures."""
        found = []
        for group, name in enumerate(self.classes):
            own = np.array([(mark.x, mark.y) for mark in self.marks if mark.group == group])
            if len(own):
                found.append((name, *np.median(own, axis=0).tolist()))
        return found

    @property
    def _columns(self) -> int:
        return int(np.ceil(np.sqrt(len(self.rows))))

    def _sheet(self) -> str:
        """All pictures side by side, as a WebP data URI."""
        side = SIDE_OF_FEW if len(self.rows) <= FEW else SIDE_OF_MANY
        small = [images.resize(images.decode(self.known.thumbnail(row)), side) for row in self.rows]
        sheet = cv2.cvtColor(tiled(np.stack(small), self._columns, gap=0), cv2.COLOR_RGB2BGR)
        return as_uri(cv2.imencode(".webp", sheet, [cv2.IMWRITE_WEBP_QUALITY, 60])[1].tobytes(), "webp")
