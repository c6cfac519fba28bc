"""How long the search for the nearest pictures takes, all with all and by cells, and what cells miss.

    python benchmarks/neighbours.py --data TRAIN --pictures 50000

Mirrored copies of some pictures are added, one for each 25. A picture is found where it is among the three
nearest of its mirrored copy, since so many are compared by their pixels. Each count of pictures is searched
in turn, so that it shows how the time grows. The features are those that copies are sought by, of pictures
resized to --side; to compute them is not counted.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import environment  # noqa: E402
import numpy as np  # noqa: E402

from pigeonhole.data import cache, folders  # noqa: E402
from pigeonhole.features import copies, extractor  # noqa: E402
from pigeonhole.features.cells import nearest_in_cells  # noqa: E402
from pigeonhole.features.neighbours import Neighbours, nearest  # noqa: E402
from pigeonhole.features.store import Features  # noqa: E402
from pigeonhole.pictures.images import Preprocessing  # noqa: E402

PICTURES_PER_COPY = 25
BATCH = 500  # pictures


def main() -> None:
    options = _parser().parse_args()
    pixels = read(options.data, options.side)
    order = np.random.default_rng(0).permutation(len(pixels))
    print("\n".join(environment.lines(f"{options.side} px")))
    print(
        f"{'pictures':>10}{'all with all':>16}{'found':>9}{'by cells':>12}{'found':>9}{'nearest as well':>18}"
    )
    for count in sorted({min(each, len(pixels)) for each in options.pictures}):
        compare(pixels, order[:count])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="FOLDER", help="class folders")
    add("--pictures", type=int, nargs="+", default=[12_500, 25_000, 50_000], metavar="N", help="at most")
    add("--side", type=int, default=64, metavar="PIXELS", help="that they are resized to (64)")
    return parser


def read(folder: Path, side: int) -> np.ndarray:
    """All pictures, uint8 [n, S, S, 3], from the cache that training has."""
    tree = folders.scan(folder)
    _, pixels = cache.Cache(cache.default_directory()).survey(tree, Preprocessing(side))
    return pixels


def compare(pixels: np.ndarray, rows: np.ndarray) -> None:
    copied = rows[::PICTURES_PER_COPY]
    plain = coordinates(pixels, rows, copied)
    count = len(rows)
    places = np.arange(0, count, PICTURES_PER_COPY)  # of what was copied
    itself = np.arange(len(plain))
    told, first = [], []
    searches: list[tuple[str, Callable[[], Neighbours]]] = [
        ("all with all", lambda: nearest(plain, plain, copies.USUAL, itself, np.asarray)),
        ("by cells", lambda: nearest_in_cells(plain, plain, copies.USUAL, itself)),
    ]
    for name, search in searches:
        began = time.perf_counter()
        found = search()
        seconds = time.perf_counter() - began
        share = np.mean((found.rows[count:, : copies.NEAREST] == places[:, None]).any(axis=1))
        environment.note(f"{name}, {count:,} pictures", seconds, "s")
        told.append((seconds, share))
        first.append(found.rows[:, 0])
    (usual, exact), (seconds, share) = told
    same = np.mean(first[0] == first[1])
    environment.note(f"copies found by cells, {count:,} pictures", share, "share")
    print(f"{count:10,}{usual:14.1f} s{exact:9.1%}{seconds:10.1f} s{share:9.1%}{same:18.1%}", flush=True)


def coordinates(pixels: np.ndarray, rows: np.ndarray, copied: np.ndarray) -> np.ndarray:
    """float32 [n + c, d] of the pictures, and then of the mirrored copies of some."""
    opened = extractor.open_pretrained(pixels.shape[1], engine=extractor.AUTO)
    try:
        parts = [
            opened(np.ascontiguousarray(images))
            for chosen, step in ((rows, 1), (copied, -1))
            for first in range(0, len(chosen), BATCH)
            for images in [pixels[chosen[first : first + BATCH]][:, :, ::step]]
        ]
    finally:
        opened.close()
    return copies.coordinates(Features(np.concatenate(parts).astype(np.float16)))[0]


if __name__ == "__main__":
    main()
