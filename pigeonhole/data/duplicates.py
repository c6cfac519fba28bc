"""The same picture twice: by content (equal bytes) or by looks (re-encoded, resized, barely cropped).

Looks are compared in two steps. A 64-bit perceptual hash, taken once per picture, names candidate pairs
without comparing all with all; then the pixels decide.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import cv2
import numpy as np

from pigeonhole.data.folders import Record

Pair = tuple[str, str]  # the names of two entries, in order

HASH_SIDE, HASH_FREQUENCIES = 32, 8
FLAT_RANGE = 4  # grey levels; less contrast than this carries no picture, only noise

MAX_DISTANCE = 7  # differing bits; re-encoded copies differ by 0 to 6, different photos by about 32
BANDS, BAND_BITS = 4, 16
BUCKETS = 1 << BAND_BITS
BUCKET_LIMIT = 16  # pairs of one picture in a bucket, so that thousands of look-alikes stay linear
MOST_OVER_AVERAGE = 8  # times the average bucket: of a larger one only so many pictures are looked at

COMPARED_SIDE = 16
MIN_CORRELATION = 0.95
MAX_DIFFERENCE = 10.0  # root mean square grey levels between two pictures scaled to the same contrast
MIN_CONTRAST = 1.0  # root mean square grey levels; below it there is no detail to correlate
BLOCK = 4096
COMPARISONS = 1 << 22  # hashes compared with one another at once


class Images(Protocol):
    """Decoded square pictures: uint8 [N, S, S, C], read by an array of row numbers."""

    def __getitem__(self, rows: np.ndarray) -> np.ndarray: ...


def _cosines() -> np.ndarray:
    """The lowest frequencies of the discrete cosine transform, float32 [8, 32]."""
    frequency = np.arange(HASH_FREQUENCIES)[:, None]
    position = np.arange(HASH_SIDE)[None, :]
    return np.cos(np.pi * (2 * position + 1) * frequency / (2 * HASH_SIDE)).astype(np.float32)


COSINES = _cosines()


def fingerprint(image: np.ndarray) -> int:
    """The 64-bit perceptual hash of an RGB uint8 [H, W, 3] picture; 0 for a flat one, which resembles none.

    The DCT hash of Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010): the
    8x8 lowest frequencies of the grey picture at 32x32, each against their median. It takes 20 microseconds
    for 128x128 and grows with the area, so give it the already reduced picture.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (HASH_SIDE, HASH_SIDE), interpolation=cv2.INTER_AREA)
    if int(small.max()) - int(small.min()) < FLAT_RANGE:
        return 0
    spectrum = (COSINES @ small.astype(np.float32) @ COSINES.T).ravel()
    middle = np.partition(spectrum, spectrum.size // 2)[spectrum.size // 2]
    return int.from_bytes(np.packbits(spectrum > middle).tobytes(), "big")


def near_duplicates(records: Sequence[Record], images: Images) -> list[Pair]:
    """Pairs of different files that show the same picture, by name, sorted.

    Row i of `images` belongs to the i-th record that was not skipped. Of files with equal content only the
    first by name takes part: those belong together by their digest already.

    Tried on 250 photos at 32 to 224 pixels: every copy in JPEG quality 10 to 95, at 50 or 200 % of the size,
    brightened or with 1 % cropped off is found, 97 % of those with 2 % cropped off, 23 % with 4 %, none with
    10 %. Mirrored, turned or recoloured copies are not looked for. Among 50,000 CIFAR-10 training pictures
    79 pairs are found, all true to the eye; among 1,797 scans of handwritten digits none.
    """
    used = [record for record in records if record.skipped is None]
    rows = _distinct_rows(used)
    prints = np.array([used[row].fingerprint for row in rows], dtype=np.uint64)
    candidates = rows[candidate_pairs(prints)]
    alike = candidates[_alike(candidates, images)]
    names = ((used[first].entry.name, used[second].entry.name) for first, second in alike)
    return sorted((min(pair), max(pair)) for pair in names)


def _distinct_rows(used: Sequence[Record]) -> np.ndarray:
    """The first row by name of each content that is not flat, int64 [M]."""
    first: dict[str, int] = {}
    for row in sorted(range(len(used)), key=lambda row: used[row].entry.name):
        if used[row].fingerprint:
            first.setdefault(used[row].digest, row)
    return np.array(sorted(first.values()), dtype=np.int64)


def candidate_pairs(prints: np.ndarray) -> np.ndarray:
    """Index pairs [P, 2], first < second, of uint64 hashes [N] at most `MAX_DISTANCE` bits apart.

    Multi-index hashing (Norouzi, Punjani, Fleet, "Fast Search in Hamming Space with Multi-Index Hashing",
    CVPR 2012): of four 16-bit bands, two hashes 7 bits apart share at least one up to a single bit. A hash is
    paired with the first `BUCKET_LIMIT` near ones of a bucket; `groups` joins the rest.
    """
    found = [np.empty(0, dtype=np.int64)]
    for band in range(BANDS):
        keys = ((prints >> np.uint64(band * BAND_BITS)) & np.uint64(BUCKETS - 1)).astype(np.int64)
        order = np.argsort(keys, kind="stable")
        keys, own = keys[order], prints[order]
        bounds = np.searchsorted(keys, np.arange(BUCKETS + 1))
        flips = [0, *(1 << bit for bit in range(BAND_BITS))]
        pairs = np.concatenate([_near_pairs(keys, own, bounds, flip) for flip in flips], axis=1)
        first, second = order[pairs]
        found.append(np.unique(np.minimum(first, second) * len(prints) + np.maximum(first, second)))
    return np.stack(np.divmod(np.unique(np.concatenate(found)), max(1, len(prints))), axis=1)


def _near_pairs(keys: np.ndarray, prints: np.ndarray, bounds: np.ndarray, flip: int) -> np.ndarray:
    """Each hash with near ones of the bucket whose key is its own but for `flip`: int64 [2, P].

    `keys`, int64 [N], are sorted, and `prints` in their order; the bucket of key k begins at `bounds[k]` and
    ends at `bounds[k + 1]`. Only the first pictures of a bucket that is much larger than the average are
    looked at, so that thousands of look-alikes stay linear.
    """
    start, end = bounds[keys ^ flip], bounds[(keys ^ flip) + 1]
    looked_at = BUCKET_LIMIT + MOST_OVER_AVERAGE * len(keys) // BUCKETS
    probes = np.arange(len(keys))
    wanted = np.full(len(keys), BUCKET_LIMIT)
    found = [np.empty((2, 0), dtype=np.int64)]
    for offset in range(looked_at):
        probes = probes[(start[probes] + offset < end[probes]) & (wanted[probes] > 0)]
        others = start[probes] + offset
        near = (np.bitwise_count(prints[probes] ^ prints[others]) <= MAX_DISTANCE) & (probes != others)
        found.append(np.stack([probes[near], others[near]]))
        wanted[probes[near]] -= 1
    return np.concatenate(found, axis=1)


def near_copies(
    prints: np.ndarray, images: Images, known_prints: np.ndarray, known_images: Images
) -> np.ndarray:
    """For each of N pictures the row of that of M known ones which it shows too, or -1: int64 [N].

    The rule is that of `near_duplicates`, for two sets with their perceptual hashes, uint64 [N] and [M], and
    equally many channels; of several the likest is taken. All hashes are compared with all: no two pictures
    of one set hide one of the other.
    """
    found = np.full(len(prints), -1, dtype=np.int64)
    probes = np.flatnonzero(prints)
    step = max(1, COMPARISONS // max(1, len(known_prints)))
    for start in range(0, len(probes), step):
        rows = probes[start : start + step]
        near = np.bitwise_count(prints[rows, None] ^ known_prints) <= MAX_DISTANCE
        candidates = np.flatnonzero(near.any(axis=0))
        if not len(candidates):
            continue
        details, contrasts = _details(rows, images)
        known_details, known_contrasts = _details(candidates, known_images)
        correlation = details @ known_details.T
        alike = near[:, candidates] & _show_the_same(correlation, contrasts[:, None], known_contrasts)
        likest = np.where(alike, correlation, -1).argmax(axis=1)
        found[rows] = np.where(alike.any(axis=1), candidates[likest], -1)
    return found


def _alike(pairs: np.ndarray, images: Images) -> np.ndarray:
    """Whether the two rows of each pair [P, 2] show the same picture, bool [P]."""
    same = [np.empty(0, dtype=bool)]
    for start in range(0, len(pairs), BLOCK):
        rows, positions = np.unique(pairs[start : start + BLOCK], return_inverse=True)
        details, contrasts = _details(rows, images)
        first, second = positions.reshape(-1, 2).T
        correlation = np.einsum("pd,pd->p", details[first], details[second])
        same.append(_show_the_same(correlation, contrasts[first], contrasts[second]))
    return np.concatenate(same)


def _show_the_same(
    correlation: np.ndarray, first_contrast: np.ndarray, second_contrast: np.ndarray
) -> np.ndarray:
    """Whether pairs of pictures show the same, from what `_details` gives, for arrays of any one shape.

    Both tests allow another brightness and contrast. The second one is in grey levels, since handwritten
    digits correlate like copies and still differ by more than any re-encoding does.
    """
    contrast = np.minimum(first_contrast, second_contrast)
    difference = contrast * np.sqrt(np.maximum(2 - 2 * correlation, 0))
    return (correlation >= MIN_CORRELATION) & (difference <= MAX_DIFFERENCE)


def _details(rows: np.ndarray, images: Images) -> tuple[np.ndarray, np.ndarray]:
    """Each picture at 16x16 without its smooth background: float32 [N, 256 * C] of length one, contrast [N].

    The background (a quadratic surface per channel) goes, since two different birds in front of one
    evening sky would otherwise correlate by more than 0.98. The contrast is in root mean square grey levels.
    """
    background = _background()
    blocks = [np.empty((0, COMPARED_SIDE**2), np.float32)]
    for start in range(0, len(rows), BLOCK):
        small = thumbnails(images[rows[start : start + BLOCK]])
        small = small.reshape(len(small), COMPARED_SIDE**2, -1).astype(np.float32)
        small -= background @ (background.T @ small)
        blocks.append(small.reshape(len(small), -1))
    details = np.concatenate(blocks[1:] or blocks)
    contrasts = np.sqrt(np.mean(details**2, axis=1))
    scale = np.sqrt(details.shape[1]) * np.maximum(contrasts, MIN_CONTRAST)
    return details / scale[:, None], contrasts


def thumbnails(images: np.ndarray) -> np.ndarray:
    """uint8 [N, S, S, C] to uint8 [N, 16, 16, C]: as much of a picture as near-copies are told by."""
    side = (COMPARED_SIDE, COMPARED_SIDE)
    small = [cv2.resize(image, side, interpolation=cv2.INTER_AREA) for image in images]
    return np.array(small, np.uint8).reshape(len(images), *side, images.shape[-1])


def _background() -> np.ndarray:
    """An orthonormal basis of the quadratic surfaces over 16x16 pixels, float32 [256, 6]."""
    y, x = np.mgrid[-1 : 1 : COMPARED_SIDE * 1j, -1 : 1 : COMPARED_SIDE * 1j].reshape(2, -1)
    surfaces = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    return np.linalg.qr(surfaces)[0].astype(np.float32)


def groups(records: Iterable[Record], pairs: Iterable[Pair]) -> list[list[Record]]:
    """The used records, those of one picture together: equal digests and `pairs`, followed transitively.

    Pairs that name a record which is not there are passed over, so one list of pairs serves every subset.
    """
    used = [record for record in records if record.skipped is None]
    parents = list(range(len(used)))
    for first, second in itertools.chain(_equal_rows(used), _rows_of(list(pairs), used)):
        parents[_root(parents, first)] = _root(parents, second)
    members: defaultdict[int, list[Record]] = defaultdict(list)
    for row, record in enumerate(used):
        members[_root(parents, row)].append(record)
    return list(members.values())


def _equal_rows(used: Sequence[Record]) -> Iterator[tuple[int, int]]:
    """Each row whose content an earlier one has, and the first such."""
    first_of: dict[str, int] = {}
    for row, record in enumerate(used):
        first = first_of.setdefault(record.digest, row)
        if first != row:
            yield row, first


def _rows_of(pairs: Sequence[Pair], used: Sequence[Record]) -> Iterator[tuple[int, int]]:
    """The rows of the pairs that are there."""
    named = {name for pair in pairs for name in pair}
    row_of = {record.entry.name: row for row, record in enumerate(used) if record.entry.name in named}
    return (
        (row_of[first], row_of[second]) for first, second in pairs if first in row_of and second in row_of
    )


def _root(parents: list[int], row: int) -> int:
    while parents[row] != row:
        parents[row] = parents[parents[row]]
        row = parents[row]
    return row
