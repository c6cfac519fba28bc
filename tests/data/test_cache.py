"""The cache: each content decoded once, nothing stale or damaged handed out, safe to kill and to share."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from pigeonhole.data import cache, folders
from pigeonhole.data.pixels import RowFile
from pigeonhole.errors import PigeonholeError
from pigeonhole.locks import exclusive
from pigeonhole.pictures import images
from pigeonhole.pictures.images import Preprocessing
from tests.support.numbered_pictures import draw, draw_tree

REPOSITORY = Path(__file__).parents[2]
SMALL = Preprocessing(16)
SURVEY = """
import sys
from pathlib import Path
from pigeonhole.data import cache, folders
from pigeonhole.pictures import images
root, directory, size = sys.argv[1:]
directory = None if directory == "none" else Path(directory)
records, pixels = cache.Cache(directory).survey(folders.scan(root), images.Preprocessing(int(size)))
print(len(pixels), int(pixels[:].sum()), sep="|")
"""

opened: list[str] = []
before_opening: dict[str, Callable[[], None]] = {}  # what is to happen to a file just before it is opened


def _note(event: str, details: tuple) -> None:
    if event == "open":
        opened.append(path := str(details[0]))
        before_opening.pop(path, lambda: None)()


sys.addaudithook(_note)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return draw_tree(tmp_path / "pictures", 6)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def survey(root: Path, directory: Path | None, preprocessing: Preprocessing = SMALL):
    return cache.Cache(directory).survey(folders.scan(root), preprocessing)


def assert_right(root: Path, directory: Path | None, preprocessing: Preprocessing = SMALL) -> None:
    """Every picture's pixels are those that the one decode path gives for the bytes now in its file."""
    records, pixels = survey(root, directory, preprocessing)
    used = [record for record in records if not record.skipped]
    assert len(used) == len(pixels) > 0
    for record, row in zip(used, pixels, strict=True):
        data = record.entry.path.read_bytes()
        np.testing.assert_array_equal(row, images.preprocess(data, preprocessing), record.entry.name)
        assert record.file_size == len(data)


def file_in(directory: Path, pattern: str) -> Path:
    (found,) = directory.glob(f"*/{pattern}")
    return found


def run_survey(root: Path, directory: Path | str, size: int = 16, **options) -> subprocess.Popen:
    command = [sys.executable, "-c", SURVEY, str(root), str(directory), str(size)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=REPOSITORY, text=True, stdout=pipe, stderr=pipe, **options)


def pictures_opened(action) -> list[str]:
    opened.clear()
    action()
    return [path for path in opened if path.endswith((".png", ".jpg", ".bmp"))]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("rule", ["area", "bilinear"])
def test_pixels_are_those_of_the_one_decode_path(tree, directory, channels, rule):
    draw(tree / "cats" / "large.jpg", 7)
    large = cv2.resize(cv2.imread(str(tree / "cats" / "large.jpg")), (400, 300))
    cv2.imwrite(str(tree / "cats" / "large.jpg"), large)
    assert_right(tree, directory, Preprocessing(16, channels, rule))


def test_records_tell_what_each_file_is(tree, directory):
    (tree / "cats" / "empty.png").touch()
    records, pixels = survey(tree, directory)
    again, _ = survey(tree, directory)
    assert records == again
    empty = next(record for record in records if record.entry.name == "cats/empty.png")
    assert empty.skipped == "empty" and len(pixels) == 6
    first = next(record for record in records if record.entry.name == "cats/0001.png")
    assert (first.format, first.width, first.height, len(first.digest)) == ("png", 40, 30, 64)
    assert first.fingerprint != 0


def test_unchanged_files_are_not_read_again(tree, directory):
    assert len(pictures_opened(lambda: survey(tree, directory))) == 6
    assert pictures_opened(lambda: survey(tree, directory)) == []


def test_each_unchanged_file_is_asked_for_its_size_and_times_once(tmp_path, directory, monkeypatch):
    monkeypatch.setattr("pigeonhole.data.survey.WINDOW_FILES", 4)
    tree = draw_tree(tmp_path / "pictures", 10)
    survey(tree, directory)
    asked, stat = [], os.stat

    def noted(path, *details, **options):
        asked.append(str(path))
        return stat(path, *details, **options)

    monkeypatch.setattr(os, "stat", noted)
    survey(tree, directory)
    pictures = [path for path in asked if path.endswith(".png")]
    assert len(pictures) == len(set(pictures)) == 10


def test_new_pictures_in_some_of_many_windows(tmp_path, directory, monkeypatch):
    monkeypatch.setattr("pigeonhole.data.survey.WINDOW_FILES", 4)
    tree = draw_tree(tmp_path / "pictures", 30)
    assert_right(tree, directory)
    for name in ("cats/0000.png", "cats/0015a.png", "dogs/last.png"):
        draw(tree / name, 50 + len(name))
    assert len(pictures_opened(lambda: survey(tree, directory))) == 3
    assert_right(tree, directory)


def test_a_file_that_changes_while_being_read_is_left_out_this_time(tree, directory):
    path = tree / "dogs" / "0002.png"
    before_opening[str(path)] = lambda: draw(path, 80)
    records, pixels = survey(tree, directory)
    reasons = {record.entry.name: record.skipped for record in records if record.skipped}
    assert reasons == {"dogs/0002.png": "changed while being read"} and len(pixels) == 5
    assert_right(tree, directory)
    assert len(survey(tree, directory)[1]) == 6


def test_added_changed_and_removed_pictures(tree, directory):
    survey(tree, directory)
    draw(tree / "dogs" / "new.jpg", 50)
    draw(tree / "dogs" / "0002.png", 51)
    (tree / "cats" / "0001.png").unlink()
    assert len(pictures_opened(lambda: survey(tree, directory))) == 2
    assert_right(tree, directory)


def test_same_size_and_time_of_modification_do_not_hide_a_swap(tmp_path, directory):
    one, two = tmp_path / "pictures" / "cats" / "a.bmp", tmp_path / "pictures" / "dogs" / "b.bmp"
    draw(one, 1)
    draw(two, 2)
    for path in (one, two):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    survey(tmp_path / "pictures", directory)
    time.sleep(0.02)  # the clock of a file system ticks every few milliseconds
    one.rename(tmp_path / "third")
    two.rename(one)
    (tmp_path / "third").rename(two)
    assert_right(tmp_path / "pictures", directory)


def test_a_content_is_decoded_once_wherever_it_lies(tree, directory):
    survey(tree, directory)
    with sqlite3.connect(file_in(directory, "index.sqlite")) as index:  # decoding again would say otherwise
        for digest, facts in index.execute("SELECT digest, facts FROM facts").fetchall():
            facts = facts.replace('"png"', '"remembered"')
            own = zlib.crc32(facts.encode(), zlib.crc32(digest.encode()))
            index.execute("UPDATE facts SET facts = ?, own = ? WHERE digest = ?", (facts, own, digest))
    rows = file_in(directory, "pixels*").stat().st_size
    shutil.copytree(tree, tree.with_name("copy"))
    records, _ = survey(tree.with_name("copy"), directory)
    assert {record.format for record in records} == {"remembered"}
    assert_right(tree.with_name("copy"), directory)
    assert file_in(directory, "pixels*").stat().st_size == rows


def test_copies_that_arrive_together_share_a_row(tmp_path, directory):
    tree = tmp_path / "pictures"
    for number in range(300):  # more than one commit's worth at this size
        draw(tree / ("cats" if number % 2 else "dogs") / f"{number:04}.png", number % 3)
    assert_right(tree, directory, Preprocessing(256))
    assert file_in(directory, "pixels*").stat().st_size == 3 * 256 * 256 * 3


def test_settings_do_not_mix(tree, directory):
    for preprocessing in (
        SMALL,
        Preprocessing(24),
        Preprocessing(16, 1),
        Preprocessing(16, 3, "bilinear"),
        SMALL,
    ):
        assert_right(tree, directory, preprocessing)


def test_records_do_not_depend_on_what_the_cache_has_seen(tree, directory, tmp_path):
    for number in range(20):
        draw(tree / "cats" / f"large{number}.jpg", 100 + number)
    survey(tree, directory, Preprocessing(8))
    after_another_size, _ = survey(tree, directory, Preprocessing(32))
    alone, _ = survey(tree, tmp_path / "another cache", Preprocessing(32))
    assert after_another_size == alone


def test_killed_at_any_moment(tmp_path, directory):
    tree = draw_tree(tmp_path / "pictures", 700)
    wanted = 200 * 256 * 256 * 3
    child = run_survey(tree, directory, 256)
    while child.poll() is None and sum(f.stat().st_size for f in directory.glob("*/pixels*")) < wanted:
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL, "it was done too soon to be killed"
    child.communicate()
    with sqlite3.connect(file_in(directory, "index.sqlite")) as index:
        (kept,) = index.execute("SELECT count(*) FROM rows").fetchone()
    assert 0 < kept < 700
    assert len(pictures_opened(lambda: assert_right(tree, directory, Preprocessing(256)))) == 700 - kept + 700


def test_a_tail_without_index_is_written_over(tree, directory):
    survey(tree, directory)
    with file_in(directory, "pixels*").open("ab") as file:
        file.write(b"half a row")
    draw(tree / "cats" / "new.png", 60)
    assert_right(tree, directory)
    assert file_in(directory, "pixels*").stat().st_size == 7 * 16 * 16 * 3


def test_two_processes_at_once(tmp_path, directory):
    tree = draw_tree(tmp_path / "pictures", 300)
    children = [run_survey(tree, directory) for _ in range(3)]
    outputs = [child.communicate() for child in children]
    assert {(child.returncode, out) for child, (out, _) in zip(children, outputs, strict=True)} == {
        (0, outputs[0][0])
    }
    assert outputs[0][0].startswith("300|")
    assert file_in(directory, "pixels*").stat().st_size == 300 * 16 * 16 * 3
    assert_right(tree, directory)


def test_the_second_process_waits_and_says_so(tree, directory):
    survey(tree, directory)
    draw(tree / "cats" / "new.png", 60)
    with exclusive(file_in(directory, "lock")):
        child = run_survey(tree, directory)
        assert "waiting" in child.stderr.readline()
        assert child.poll() is None
    out, rest = child.communicate()
    assert out.startswith("7|") and rest == ""


def test_reading_goes_on_while_another_process_writes(tree, directory):
    survey(tree, directory)
    with exclusive(file_in(directory, "lock")):
        assert_right(tree, directory)


def overwrite(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwrite_middle(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(os.urandom(2000))


def foreign_database(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE files (path BLOB PRIMARY KEY, somebody TEXT)")


@pytest.mark.parametrize("harm", [overwrite, cut, overwrite_middle, foreign_database, Path.unlink])
def test_a_damaged_index_is_made_anew(tmp_path, directory, harm):
    tree = draw_tree(tmp_path / "pictures", 60)
    survey(tree, directory)
    harm(file_in(directory, "index.sqlite"))
    assert_right(tree, directory)
    assert pictures_opened(lambda: survey(tree, directory)) == []


def test_an_index_that_another_process_has_just_replaced_is_kept(tree, directory):
    survey(tree, directory)
    path = file_in(directory, "index.sqlite")
    whole = path.read_bytes()
    with exclusive(file_in(directory, "lock")):
        overwrite(path)
        child = run_survey(tree, directory)
        assert "waiting" in child.stderr.readline()
        path.write_bytes(whole)
        before = path.stat().st_ino
    assert child.communicate()[0].startswith("6|")
    assert path.stat().st_ino == before and path.read_bytes() == whole


@pytest.mark.parametrize("harm", [overwrite, cut, overwrite_middle, Path.unlink])
def test_damaged_rows_are_never_handed_out(tmp_path, directory, harm):
    tree = draw_tree(tmp_path / "pictures", 20)
    survey(tree, directory)
    harm(file_in(directory, "pixels*"))
    assert_right(tree, directory)
    assert pictures_opened(lambda: survey(tree, directory)) == []


def keep_time(path: Path, harm: Callable[[Path], None]) -> None:
    """Do harm to a file so that its size and times do not tell."""
    before = path.stat()
    harm(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def test_a_row_damaged_in_silence_is_decoded_anew_and_said_once(tree, directory, capsys):
    survey(tree, directory)
    keep_time(file_in(directory, "pixels*"), lambda path: flip(path, 8 * 16 * 16 * 3 * 2 + 77))
    assert_right(tree, directory)
    (line,) = capsys.readouterr().err.splitlines()
    assert "the cached pixels of" in line and "decoded again" in line
    assert len(pictures_opened(lambda: survey(tree, directory))) == 1  # written anew by the next program
    assert_right(tree, directory)
    assert capsys.readouterr().err == ""


def test_every_row_damaged_in_silence(tree, directory, capsys):
    survey(tree, directory)
    keep_time(file_in(directory, "pixels*"), overwrite)
    records, pixels = survey(tree, directory)
    chosen = pixels.select([3, 1])
    expected = [
        images.preprocess(records[place].entry.path.read_bytes(), SMALL) for place in range(len(records))
    ]
    np.testing.assert_array_equal(pixels[4], expected[4])
    np.testing.assert_array_equal(chosen[:], np.stack([expected[3], expected[1]]))
    np.testing.assert_array_equal(np.asarray(pixels), np.stack(expected))
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: draw(path, 90)])
def test_a_damaged_row_whose_picture_is_no_longer_there(tree, directory, harm):
    survey(tree, directory)
    keep_time(file_in(directory, "pixels*"), overwrite)
    _, pixels = survey(tree, directory)
    harm(tree / "cats" / "0001.png")
    with pytest.raises(PigeonholeError, match=r"0001.png: (changed meanwhile|vanished); start again"):
        pixels[:]


def test_any_flipped_bit_of_the_index_is_found(tree, directory, capsys):
    """No traceback, no other record and no other pixels; damage that matters is said in one line."""
    records, pixels = survey(tree, directory)
    path = file_in(directory, "index.sqlite")
    whole = path.read_bytes()
    rows = file_in(directory, "pixels*")
    random = np.random.default_rng(3)
    rebuilt = 0
    for bit in random.integers(0, 8 * len(whole), int(os.environ.get("FLIPS", 40))):
        flip(path, int(bit))
        now, again = survey(tree, directory)
        assert now == records, bit
        np.testing.assert_array_equal(again[:], pixels[:])
        said = capsys.readouterr().err.splitlines()
        assert len(said) <= 1 and all("index.sqlite: damaged; built again" in line for line in said)
        rebuilt += len(said)
        shutil.rmtree(directory)
        survey(tree, directory)
        assert rows.is_file()
    assert rebuilt


def test_rows_that_are_still_right_survive_damage_to_others(tmp_path, directory):
    tree = draw_tree(tmp_path / "pictures", 20)
    survey(tree, directory)
    cut(file_in(directory, "pixels*"))
    assert len(pictures_opened(lambda: survey(tree, directory))) == 10


def test_a_rebuilt_cache_leaves_an_older_reader_its_pixels(tree, directory):
    _, pixels = survey(tree, directory)
    before = pixels[:]
    file_in(directory, "index.sqlite").unlink()
    draw(tree / "cats" / "0000.png", 70)
    survey(tree, directory)
    np.testing.assert_array_equal(pixels[:], before)


def test_a_full_disk_is_one_clear_line(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount a small file system here")
    try:
        tree = draw_tree(tmp_path / "pictures", 60)
        with pytest.raises(cache.CacheError) as error:
            survey(tree, disk / "cache", Preprocessing(128))
        line = str(error.value)
        assert f"the disk of the cache folder {disk / 'cache'} is full" in line
        assert "--cache-dir" in line and "--no-cache" in line and "\n" not in line
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        assert_right(tree, disk / "cache", Preprocessing(128))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_cache_folder_that_cannot_be_made(tree, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        cache.CacheError, match=r"cannot use the cache folder .*file.*--cache-dir .*--no-cache"
    ):
        survey(tree, tmp_path / "file" / "cache")


@contextlib.contextmanager
def without_roots_rights() -> Iterator[None]:
    """Root may read everything, so as nobody where the tests run as root."""
    before = os.geteuid()
    os.seteuid(65534 if before == 0 else before)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_no_permission_is_a_reason_and_not_remembered():
    with tempfile.TemporaryDirectory() as place:  # unlike tmp_path, not within a folder closed to others
        os.chmod(place, 0o755)
        tree = draw_tree(Path(place) / "pictures", 4)
        directory = Path(place) / "cache"
        directory.mkdir()
        directory.chmod(0o777)
        for mode, expected in ((0, "no permission"), (0o644, None), (0, "no permission")):
            (tree / "dogs" / "0000.png").chmod(mode)
            with without_roots_rights():
                records, pixels = survey(tree, directory)
            reasons = {record.skipped for record in records}
            assert reasons == {None, expected}
            assert len(pixels) == (3 if expected else 4)


def test_a_file_that_vanished_and_one_too_large(tree, directory):
    with (tree / "cats" / "film.jpg").open("wb") as film:
        film.truncate((1 << 30) + 1)
    found = folders.scan(tree)
    (tree / "dogs" / "0000.png").unlink()
    records, pixels = cache.Cache(directory).survey(found, SMALL)
    reasons = {record.entry.name: record.skipped for record in records if record.skipped}
    assert reasons == {"cats/film.jpg": "over 1 GiB", "dogs/0000.png": "vanished"}
    assert len(pixels) == 5


def test_the_temporary_cache_is_removed_at_exit(tree, tmp_path):
    place = tmp_path / "temporary"
    place.mkdir()
    out, _ = run_survey(tree, "none", env=os.environ | {"TMPDIR": str(place)}).communicate()
    assert out.startswith("6|")
    assert list(place.iterdir()) == []


def test_a_bar_only_where_it_is_wanted(tree, directory, capfd):
    survey(tree, directory)
    assert capfd.readouterr().err == ""
    draw(tree / "cats" / "new.png", 60)
    cache.Cache(directory).survey(folders.scan(tree), SMALL, progress=True)
    assert "7/7" in capfd.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="each platform has its own folder")
def test_the_default_directory_follows_the_platform(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache.default_directory() == Path("/somewhere/pigeonhole")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.default_directory() == Path.home() / ".cache" / "pigeonhole"


def test_pixels_read_like_an_array(tree, directory):
    _, pixels = survey(tree, directory)
    array = np.asarray(pixels)
    assert pixels.shape == array.shape == (6, 16, 16, 3) and pixels.dtype == array.dtype == np.uint8
    for index in (2, -1, slice(1, 5, 2), [3, 0, 3], np.arange(6) % 2 == 0, np.array([], int)):
        np.testing.assert_array_equal(pixels[index], array[index])
    np.testing.assert_array_equal(pixels.select([4, 1])[:], array[[4, 1]])
    assert len(pixels.select([])) == 0 and pixels.select([])[:].shape == (0, 16, 16, 3)
    with pytest.raises(IndexError):
        pixels[6]
    pixels[0][:] = 0
    np.testing.assert_array_equal(pixels[0], array[0])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_flat_however_much_is_read(tmp_path):
    side, count = 128, 6000  # 295 MB of rows, empty but mapped all the same
    path = tmp_path / "rows.bin"
    path.touch()
    os.truncate(path, count * side * side * 3)
    pixels = RowFile(path, (side, side, 3)).open(range(count))
    before = resident_megabytes()
    peak = 0.0
    for batch in np.random.default_rng(0).permutation(count).reshape(-1, 50):
        pixels[batch]
        peak = max(peak, resident_megabytes())
    assert peak - before < 100


def resident_megabytes() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
