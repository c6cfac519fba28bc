"""Every file of the corpus gets the verdict that was fixed for it; damaged further, a verdict at all."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from pigeonhole.pictures import images
from tests.support.odd_files import CORPUS, USED, OddFile, write_corpus


def verdict_of(data: bytes) -> str:
    try:
        images.decode(data)
    except images.ImageError as error:
        return str(error)
    return USED


@pytest.mark.parametrize("odd_file", CORPUS, ids=lambda odd_file: odd_file.name)
def test_verdict(odd_file: OddFile) -> None:
    assert verdict_of(odd_file.data) == odd_file.verdict


@pytest.mark.parametrize(
    "odd_file",
    [odd_file for odd_file in CORPUS if odd_file.verdict == USED],
    ids=lambda odd_file: odd_file.name,
)
def test_facts_and_colour(odd_file: OddFile) -> None:
    facts, image = images.inspect(odd_file.data), images.decode(odd_file.data)
    assert facts.oddities == odd_file.oddities
    assert image.shape == (facts.height, facts.width, 3)
    assert image.dtype == np.uint8
    if odd_file.mean is not None:
        np.testing.assert_allclose(image.mean((0, 1)), odd_file.mean, atol=2)


def test_the_corpus_covers_what_it_should(tmp_path: Path) -> None:
    verdicts = write_corpus(tmp_path / "odd")
    names = [path.name for path in (tmp_path / "odd").iterdir()]
    assert sorted(names) == sorted(verdicts)
    # One name per file also where case does not count, as on Windows and macOS.
    assert len({name.lower() for name in names}) == len(CORPUS) >= 70
    for extension in ("jpg", "png", "webp", "gif", "tiff", "bmp", "ppm", "avif"):
        kinds = {name.split("_", 1)[1].split(".")[0] for name in names if name.startswith(f"{extension}_")}
        assert kinds >= {"whole", "empty", "only_head", "without_head", "cut_in_half", "cut_at_end"}
        assert any("flip" in kind for kind in kinds)


def mutated(random: np.random.Generator) -> bytes:
    """A file of the corpus with a few bytes flipped, overwritten, removed or inserted."""
    data = bytearray(CORPUS[random.integers(len(CORPUS))].data[:20_000])
    for _ in range(random.integers(1, 5)):
        at = int(random.integers(min(len(data), 150) if random.random() < 0.6 else len(data)) if data else 0)
        edit = random.integers(4)
        if edit == 0 and data:
            data[at] ^= 1 << int(random.integers(8))
        elif edit == 1:
            data[at : at + 4] = random.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"])
        elif edit == 2:
            del data[at : at + int(random.integers(1, 20))]
        else:
            data[at:at] = random.bytes(int(random.integers(1, 20)))
    return with_right_checksums(bytes(data)) if random.random() < 0.5 else bytes(data)


def with_right_checksums(data: bytes) -> bytes:
    """A PNG whose checksums fit again, so that its damage reaches the decoder; other data as it is."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    repaired, position = bytearray(data), 8
    while position + 12 <= len(data):
        end = position + 8 + int.from_bytes(data[position : position + 4], "big")
        repaired[end : end + 4] = struct.pack(">I", zlib.crc32(data[position + 4 : end]))
        position = end + 4
    return bytes(repaired[: len(data)])


def test_any_bytes_give_a_picture_or_an_image_error() -> None:
    random = np.random.default_rng(20)
    refused = 0
    for _ in range(1500):
        data = mutated(random)
        try:
            facts, image = images.inspect(data), images.decode(data, reduce_to=8)
        except images.ImageError as error:
            refused += 1
            assert 0 < len(str(error)) < 80
            assert "\n" not in str(error)
        else:
            assert image.dtype == np.uint8
            assert image.ndim == 3
            assert image.shape[0] <= facts.height
    assert 300 < refused < 1500


def test_random_bytes_behind_every_signature() -> None:
    random = np.random.default_rng(21)
    for odd_file in CORPUS:
        for kept in (4, 12, 40):
            with pytest.raises(images.ImageError):
                images.decode(odd_file.data[:kept] + random.bytes(64))
