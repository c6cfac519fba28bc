"""Pictures out of an archive into class folders: safe names, nobody's files harmed, and rerun at will."""

import hashlib
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from pigeonhole.data.folders import is_hidden
from pigeonhole.data.sources import sample
from pigeonhole.errors import PigeonholeError
from pigeonhole.pictures import images
from pigeonhole.terminal import say

LABELS_FILE = "labels.txt"
PNG_SETTINGS = [cv2.IMWRITE_PNG_COMPRESSION, 1]  # small pictures hardly shrink further, but take far longer
CHUNK = 250  # pictures per task: long enough to hide the pool's own cost
LONGEST_NAME = 60  # characters of up to four bytes each; file systems stop at 255
FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f\x7f-\x9f\ud800-\udfff]')
DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # not file names on Windows


class ExportError(PigeonholeError):
    """The target folder holds something that an export must not touch or be mixed with."""


@dataclass(frozen=True)
class Picture:
    """One picture to write: its class, its file name and its pixels, uint8 [H,W,3] RGB or [H,W] grey."""

    class_name: str
    file_name: str
    pixels: np.ndarray


@dataclass(frozen=True)
class Written:
    """What became of the pictures of one export."""

    new: int
    kept: int  # already there with these very pixels
    others: int  # files in the same class folders that this export does not write


def safe_name(text: str) -> str:
    """Return `text` as a visible file or folder name that lies in its folder on every system.

    What an archive calls a picture or a class may be "../../.bashrc" or "C:\\con". Raises `ExportError` where
    nothing is left.
    """
    last_part = unicodedata.normalize("NFC", text).replace("\\", "/").rstrip("/").rpartition("/")[2]
    name = FORBIDDEN.sub("_", last_part).strip(" .")[-LONGEST_NAME:].strip(" .")
    if not name:
        raise ExportError(f"{text[:LONGEST_NAME]!r} cannot be the name of a file or folder")
    return f"_{name}" if DEVICE.match(name) or is_hidden(name) else name


def png_name(text: str, taken: set[str]) -> str:
    """Return a safe file name ending in .png that is not in `taken` (in any case), and add it there."""
    stem = os.path.splitext(safe_name(text))[0]
    name, repeat = f"{stem}.png", 1
    while name.casefold() in taken:
        repeat += 1
        name = f"{stem}_{repeat}.png"
    taken.add(name.casefold())
    return name


def known_files(folder: Path, is_known: Callable[[str], object]) -> list[Path]:
    """The folder's files whose names are known, or those in its folders where it has none of its own."""
    for places in ("*", "*/*"):
        found = [path for path in sorted(folder.glob(places)) if is_known(path.name) and path.is_file()]
        if found:
            return found
    return []


def md5(data: bytes) -> str:
    """The hexadecimal md5: weak against malice, but what data sets publish."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def class_folders(class_names: Sequence[str]) -> list[str]:
    """Return the classes' folder names, in the same order; raises `ExportError` if two would share one."""
    folders = [safe_name(name) for name in class_names]
    if len({name.casefold() for name in folders}) < len(folders):
        raise ExportError(
            f"two classes would share a folder: {', '.join(sorted(folders, key=str.casefold))[:200]}"
        )
    return folders


def export(exports: Mapping[Path, Sequence[Picture]], classes: Sequence[str], overwrite: bool) -> None:
    """Write each folder's pictures into its class folders, and say what became of them.

    Nothing is written before all folders are seen to be fit for it. Raises `ExportError`.
    """
    for folder in exports:
        check_folder(folder, classes)
    for folder, pictures in exports.items():
        make_room(folder)
        write_labels(folder, classes, overwrite)
        say(f"{folder}: {_describe(write(folder, classes, pictures, overwrite), len(classes))}")


def describe_checksums(published: Mapping[str, bool]) -> str:
    """Say which of the source's files are the published ones."""
    if not published:
        return "its files have no published checksums (their structure is right)"
    different = [name for name, is_published in published.items() if not is_published]
    if different:
        return f"NOT the published files: {', '.join(different)} (their structure is right)"
    return f"all {len(published)} files with a published checksum have it"


def _describe(written: Written, class_count: int) -> str:
    """Say what an export did to one folder."""
    total = written.new + written.kept
    line = (
        f"{total:,} pictures in {class_count} classes ({written.new:,} new, {written.kept:,} there already)"
    )
    return line + (
        f"; besides, there are {written.others:,} files that are not of this export" if written.others else ""
    )


def check_folder(folder: Path, classes: Sequence[str]) -> None:
    """Raise `ExportError` if `folder` holds other classes than `classes`; the untouched sample is nothing."""
    if not folder.exists() or sample.is_untouched(folder):
        return
    others = sorted(
        path.name
        for path in folder.iterdir()
        if path.is_dir() and not is_hidden(path.name) and path.name not in classes
    )
    if others:
        named = ", ".join(others[:5]) + (", ..." if len(others) > 5 else "")
        raise ExportError(f"{folder} holds other classes ({named}): move them away or name another folder")


def make_room(folder: Path) -> None:
    """Take the untouched sample out of `folder` and say so; anything else stays."""
    if folder.exists() and sample.is_untouched(folder):
        count = sample.take_away(folder)
        say(f"{folder}: the bundled sample of {count:,} handwritten digits was removed")


def write_labels(folder: Path, classes: Sequence[str], overwrite: bool = False) -> None:
    """Write the class names, in the order of their labels, into `folder/labels.txt`, as `write` does."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = "".join(f"{class_name}\n" for class_name in classes).encode()
    _write_file(
        folder / LABELS_FILE, labels, overwrite, lambda found: found.splitlines() == labels.splitlines()
    )


def write(
    folder: Path, classes: Sequence[str], pictures: Sequence[Picture], overwrite: bool = False
) -> Written:
    """Write `pictures` as PNG files into `folder/<class>/`.

    Uses all cores. A file that is there with the same pixels is kept, so an export that was killed can be run
    again; one with other content is the user's unless `overwrite` says otherwise, and raises `ExportError`.
    """
    for class_name in classes:
        (folder / class_name).mkdir(parents=True, exist_ok=True)

    def write_chunk(chunk: Sequence[Picture]) -> list[bool]:
        return [_write_picture(folder, picture, overwrite) for picture in chunk]

    new = 0
    chunks = [pictures[start : start + CHUNK] for start in range(0, len(pictures), CHUNK)]
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(total=len(pictures), desc=str(folder), unit=" pictures", disable=None) as bar,
    ):
        for outcomes in pool.map(write_chunk, chunks):
            new += sum(outcomes)
            bar.update(len(outcomes))
    return Written(new, len(pictures) - new, _count_others(folder, classes, pictures))


def _write_picture(folder: Path, picture: Picture, overwrite: bool) -> bool:
    pixels = picture.pixels[..., ::-1] if picture.pixels.ndim == 3 else picture.pixels
    _, encoded = cv2.imencode(".png", np.ascontiguousarray(pixels), PNG_SETTINGS)
    path = folder / picture.class_name / picture.file_name
    return _write_file(path, encoded.tobytes(), overwrite, lambda found: _same_pixels(found, picture.pixels))


def _write_file(path: Path, data: bytes, overwrite: bool, is_same: Callable[[bytes], bool]) -> bool:
    """Whether the file had to be written: not if it is there with `data`, or with what counts as the same."""
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        pass
    else:
        if found == data or is_same(found):
            return False
        if not overwrite:
            raise ExportError(
                f"{path} is there with other content: move it away, or replace it with --overwrite"
            )
    # A killed export leaves complete files and at most a few hidden ones, which the next run writes over.
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_bytes(data)
    unfinished.replace(path)
    return True


def _same_pixels(found: bytes, pixels: np.ndarray) -> bool:
    """Whether a PNG that another version of the encoder may have written holds these pixels."""
    try:
        decoded = images.decode(found)
    except images.ImageError:
        return False
    expected = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    return np.array_equal(decoded, expected)


def _count_others(folder: Path, classes: Iterable[str], pictures: Iterable[Picture]) -> int:
    ours = {(picture.class_name, picture.file_name) for picture in pictures}
    return sum(
        (class_name, name) not in ours
        for class_name in classes
        for name in os.listdir(folder / class_name)
        if not is_hidden(name)
    )
