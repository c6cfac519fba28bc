"""Thumbnails: right side up, in their own proportions, made once."""

import os
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from PIL import Image

from pigeonhole.data.cache import Cache
from pigeonhole.errors import PigeonholeError
from pigeonhole.labelling import thumbnails
from pigeonhole.labelling.collection import Collection
from pigeonhole.labelling.thumbnails import Thumbnails


def save(path, width, height, turned=1):
    """Red above, blue below, as it is stored."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, :, 0] = pixels[height // 2 :, :, 2] = 255
    exif = Image.Exif()
    exif[0x0112] = turned
    Image.fromarray(pixels).save(path, exif=exif, quality=95)


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


@pytest.fixture
def records(tmp_path, cache):
    save(tmp_path / "heap/large.jpg", 1200, 400)
    save(tmp_path / "heap/thin.png", 2, 1500)
    save(tmp_path / "heap/tiny.png", 12, 10)
    save(tmp_path / "heap/turned.jpg", 800, 400, turned=6)
    found = Collection.open(tmp_path / "heap", cache, progress=False)
    return dict(zip(found.names, found.records, strict=True))


def shape(jpeg):
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape[:2]


def test_pictures_keep_their_proportions_and_are_not_enlarged(records, cache):
    made = {name: Thumbnails(cache).get(record) for name, record in records.items()}
    assert {name: shape(jpeg) for name, jpeg in made.items()} == {
        "large.jpg": (64, 192), "thin.png": (192, 1), "tiny.png": (10, 12), "turned.jpg": (192, 96),
    }  # fmt: skip
    # Turned by a quarter to the right, red is on the right.
    blue, _, red = cv2.imdecode(np.frombuffer(made["turned.jpg"], np.uint8), cv2.IMREAD_COLOR)[96, 80]
    assert red > 200 > 60 > blue
    assert shape(thumbnails.drawn(records["large.jpg"], 600)) == (200, 600)


def test_a_thumbnail_is_made_once(records, cache):
    made = Thumbnails(cache).get(records["large.jpg"])
    records["large.jpg"].entry.path.unlink()
    assert Thumbnails(cache).get(records["large.jpg"]) == made
    with pytest.raises(PigeonholeError, match="cannot be read"):
        thumbnails.drawn(records["large.jpg"])


def test_a_file_that_has_changed_is_told(records, cache):
    save(records["tiny.png"].entry.path, 13, 13)
    with pytest.raises(PigeonholeError, match="changed meanwhile"):
        Thumbnails(cache).get(records["tiny.png"])


def test_several_threads_and_programs_ask_at_once(records, cache):
    sources = [Thumbnails(cache), Thumbnails(cache)]
    asked = list(records.values()) * 20
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda ask: sources[ask[0] % 2].get(ask[1]), enumerate(asked)))
    assert len(set(found)) == 4


@pytest.mark.parametrize("when", ["before it is opened", "while it is open"])
def test_a_damaged_file_is_made_again(records, cache, when):
    source = Thumbnails(cache)
    made = source.get(records["large.jpg"])
    source.close()
    if when == "while it is open":
        source = Thumbnails(cache)
    source.file.write_bytes(os.urandom(20_000))
    if when == "before it is opened":
        source = Thumbnails(cache)
    assert source.get(records["large.jpg"]) == made
    assert source.get(records["large.jpg"]) == made
