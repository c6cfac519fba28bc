"""A picture of the user's that a job reads, and one that it made and writes."""

import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from pigeonhole import atomic_file
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.pictures import images
from pigeonhole.pictures.formats import ImageError

STILL, MOVING = (".png", ".jpg", ".jpeg", ".webp"), (".gif",)
MILLISECONDS = 80  # that each picture of an animation is shown
_QUALITY = 92  # of JPEG and WebP
# Of the bytes of a picture's pixels, what its file has at most; 1 for any other
_SHARE = {".jpg": 1 / 2, ".jpeg": 1 / 2, ".gif": 1 / 2}
# Pixels of a side that the format, or libjpeg and libpng, can hold at most
_LONGEST = {".png": 1_000_000, ".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383, ".gif": 65_535}


def check_output(output: Path, pictures: Sequence[Path] = (), suffixes: Sequence[str] = STILL) -> None:
    """Raise UsageError where `--output` has another suffix, cannot be written, or is one of the pictures."""
    if output.suffix.lower() not in suffixes:
        raise UsageError(f"--output {output}: its name must end with {' or '.join(suffixes)}")
    atomic_file.check("--output", output, pictures)


def read(file: Path, most_pixels: int | None = None) -> np.ndarray:
    """uint8 [H, W, 3]. Raises UsageError, naming the file, for anything else than a picture, and for one of
    more pixels."""
    if file.is_char_device() or file.is_block_device():
        raise UsageError(f"{file}: a device, no picture")
    try:
        data = file.read_bytes()
        facts = images.inspect(data)
        pixels = facts.width * facts.height
        if most_pixels and pixels > most_pixels:
            raise UsageError(
                f"{file}: has {pixels / 1e6:,.0f} megapixels, and {most_pixels // 10**6} are the most; "
                "shrink it: --size 2000"
            )
        return images.decode(data)
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({(error.strerror or str(error)).lower()})") from error
    except ImageError as error:
        raise UsageError(f"{file}: {error}") from error


def require_sides(file: Path, own: tuple[int, int], shape: tuple[int, int], least: int, most: int) -> None:
    """Raise UsageError where a picture of height and width `own` is worked on as `shape`, and a side of that
    is under `least` pixels. `most`: what `--size` takes."""
    if min(shape) >= least:
        return
    (height, width), (own_height, own_width) = shape, own
    seen = f"{own_width} x {own_height} pixels"
    if shape != own:
        seen += f" become {width} x {height}, which"
    needed = math.ceil(least * max(own) / min(own))
    mend = f"give --size {needed:,} or more" if needed <= most else "cut out a part that is less long"
    raise UsageError(f"{file}: {seen} are too few, {least} on each side are needed; {mend}")


def require_room(output: Path, shape: Sequence[int], count: int = 1) -> None:
    """Raise UsageError where the file's format cannot hold a picture [H, W, 3], or the disk `count` such."""
    suffix, other = output.suffix.lower(), "make it smaller by --size"
    if max(shape[:2]) > _LONGEST[suffix]:
        seen = f"{shape[1]} x {shape[0]} pixels, and {suffix} holds {_LONGEST[suffix]:,} a side"
        other += ", or name a .png file" if suffix in STILL[1:] else ""
        raise UsageError(f"--output {output}: {seen}; {other}")
    needed, free = count * math.prod(shape) * _SHARE.get(suffix, 1), shutil.disk_usage(output.parent).free
    if needed > free and not output.exists():
        seen = f"may take {needed / 1e6:,.1f} MB, and {free / 1e6:,.1f} are free there"
        raise UsageError(f"--output {output}: {seen}; make room, or name another place")


def write(output: Path, pictures: Sequence[np.ndarray]) -> None:
    """Pictures uint8 [H, W, 3]: all of them into an animation, the last into any other file."""
    _put(output, _encoded(output, pictures))


def keep(output: Path, pictures: Sequence[np.ndarray]) -> None:
    """Write what took long to make, as `write` does; where that fails, into the working directory or the
    temporary folder. Raises PigeonholeError then, which says why, and where it is now."""
    encoded = _encoded(output, pictures)
    try:
        _put(output, encoded)
    except OSError as error:
        for folder in (".", tempfile.gettempdir()):
            if other := _put_aside(folder, output, encoded):
                why = (error.strerror or str(error)).lower()
                raise PigeonholeError(f"{output}: cannot be written ({why}); it is in {other}") from error
        raise


def _put_aside(folder: str, output: Path, encoded: bytes) -> str | None:
    """The name of a new file with that content in the folder; None where the disk fails there too."""
    try:
        file, name = tempfile.mkstemp(output.suffix, f"{output.stem}-", folder)
        os.close(file)
    except OSError:
        return None
    try:
        _put(Path(name), encoded)
    except OSError:
        os.unlink(name)
        return None
    return name


def _put(output: Path, encoded: bytes) -> None:
    with atomic_file.write_bytes_out(output) as file:
        file.write(encoded)


def _encoded(output: Path, pictures: Sequence[np.ndarray]) -> bytes:
    suffix = output.suffix.lower()
    if suffix in MOVING:
        animation = cv2.Animation()
        animation.frames = [cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) for picture in pictures]
        animation.durations = [MILLISECONDS] * len(pictures)
        is_encoded, encoded = cv2.imencodeanimation(suffix, animation)
    else:
        quality = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY, cv2.IMWRITE_WEBP_QUALITY, _QUALITY]
        settings = [] if suffix == ".png" else quality
        turned = cv2.cvtColor(pictures[-1], cv2.COLOR_RGB2BGR)
        is_encoded, encoded = cv2.imencode(suffix, turned, settings)
    if not is_encoded:
        raise PigeonholeError(f"{output}: {suffix} cannot hold this picture; name a .png file")
    return encoded.tobytes()
