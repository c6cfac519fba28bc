"""Sorting into class folders: originals untouched, clashes kept apart, kills survived, and all taken back."""

import csv
import errno
import os
import shutil
from pathlib import Path

import pytest

from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.jobs.bulk import sorting
from pigeonhole.jobs.bulk.job import BulkConfig, BulkJob
from pigeonhole.jobs.bulk.sorting import SortedFolder
from pigeonhole.jobs.prediction import Answer
from pigeonhole.model.classifier import Classifier
from tests.support import bulk_jobs, saved_runs

CLASSES = ("cat", "dog")
TARGET = Path("sorted")


@pytest.fixture(autouse=True)
def pictures(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("a/1.png", "b/1.png", "c/1.png", "a/2.png")):
        saved_runs.write_picture(Path("photos") / name, number)
    return Path("photos")


def answer(name: str, best: str = "cat", unsure: bool = False, error: str | None = None) -> Answer:
    ranked = [] if error else sorted([(best, 0.9), *((c, 0.1) for c in CLASSES if c != best)], key=str)
    return Answer(f"photos/{name}", sorted(ranked, key=lambda pair: -pair[1]), unsure, error)


def sort(*answers: Answer, classes=CLASSES, model="0123", link=False, resume=False) -> None:
    with SortedFolder(TARGET, classes, model, link, resume) as folder:
        folder.add([each for each in answers if each.name not in folder])


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def sorted_files() -> list[str]:
    return [name for name in contents(TARGET) if name != "undo.csv"]


def stamps(folder: Path) -> dict[str, tuple]:
    return {str(p): (p.stat().st_mtime_ns, p.stat().st_size, p.read_bytes()) for p in folder.rglob("*.png")}


FOUR = (
    answer("a/1.png"),
    answer("b/1.png"),
    answer("c/1.png", "dog", unsure=True),
    answer("a/2.png", error="damaged PNG"),
)


@pytest.mark.parametrize("link", [False, True])
def test_each_picture_lies_in_its_folder_and_the_originals_are_as_before(pictures, link):
    before = stamps(pictures)
    sort(*FOUR, link=link)
    assert stamps(pictures) == before
    found = contents(TARGET)
    names = sorted_files()
    assert len(names) == 4 and {"cat/1.png", "unsure/1.png", "unreadable/2.png"} < set(names)
    (other,) = set(names) - {"cat/1.png", "unsure/1.png", "unreadable/2.png"}
    assert other.startswith("cat/1-") and other.endswith(".png")
    assert found["cat/1.png"] == Path("photos/a/1.png").read_bytes()
    assert found[other] == Path("photos/b/1.png").read_bytes()
    assert Path("photos/a/1.png").samefile(TARGET / "cat" / "1.png") is link
    assert not [name for name in os.listdir(TARGET) if name.startswith(".")]


@pytest.mark.parametrize("link", [False, True])
def test_undo_takes_away_what_was_made_and_nothing_else(pictures, link):
    TARGET.joinpath("cat").mkdir(parents=True)
    TARGET.joinpath("cat", "1.png").write_bytes(b"mine")
    before = stamps(pictures)
    sort(*FOUR, link=link)
    assert len(sorted_files()) == 5
    assert [reason for _, reason in sorting.undo(TARGET / "undo.csv")] == [None] * 4
    assert contents(TARGET) == {"cat/1.png": b"mine"}
    assert sorted(os.listdir(TARGET)) == ["cat"] and stamps(pictures) == before


def test_undo_of_a_new_folder_leaves_nothing(pictures):
    sort(*FOUR)
    list(sorting.undo(TARGET / "undo.csv"))
    assert not TARGET.exists()


def test_undo_keeps_what_is_changed_and_what_is_the_last_of_its_kind():
    sort(*FOUR)
    names = sorted_files()
    Path(TARGET, "cat/1.png").write_bytes(b"edited")
    os.remove("photos/c/1.png")
    Path("photos/a/2.png").write_bytes(b"another picture")
    told = dict(sorting.undo(TARGET / "undo.csv"))
    assert told.pop("cat/1.png") == "changed"
    assert told.pop("unsure/1.png") == "its original is gone"
    assert told.pop("unreadable/2.png") == "its original has changed"
    assert list(told.values()) == [None]
    assert sorted(set(names) - told.keys()) == sorted_files() and Path(TARGET, "undo.csv").exists()


@pytest.mark.parametrize("content", [b"one line\nno end", b"no end", b"crea,ted\nx"])
def test_undo_leaves_a_file_that_is_no_list_as_it_is(content):
    Path("mine.txt").write_bytes(content)
    with pytest.raises(UsageError, match=r"--undo mine.txt: "):
        list(sorting.undo(Path("mine.txt")))
    assert Path("mine.txt").read_bytes() == content


def test_undo_and_resuming_work_from_any_folder(monkeypatch, pictures):
    sort(*FOUR)
    monkeypatch.chdir(TARGET)
    with SortedFolder(Path("."), CLASSES, "0123", False, True) as folder:
        assert f"../{FOUR[0].name}" not in folder and os.path.abspath(f"../{FOUR[0].name}") in folder
    assert [reason for _, reason in sorting.undo(Path("undo.csv"))] == [None] * 4


def test_undo_keeps_a_link_that_has_become_the_only_one():
    sort(answer("a/1.png"), link=True)
    os.remove("photos/a/1.png")
    Path("photos/a/1.png").symlink_to(Path(TARGET, "cat/1.png").absolute())
    assert list(dict(sorting.undo(TARGET / "undo.csv")).values()) == ["its original has changed"]
    assert Path("photos/a/1.png").read_bytes()


def test_a_picture_that_the_disk_does_not_give_is_noted_and_a_full_disk_is_named(monkeypatch):
    def fail(number):
        def copyfile(source, target):
            raise OSError(number, os.strerror(number), source)

        return copyfile

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", fail(errno.EIO))
        sort(answer("a/1.png", error="input/output error"))
        patch.setattr(shutil, "copyfile", fail(errno.ENOSPC))
        with pytest.raises(OSError, match=r"No space left on device: 'sorted'"):
            sort(answer("b/1.png"), resume=True)
    sort(answer("a/1.png"), answer("b/1.png"), resume=True)
    assert sorted_files() == ["cat/1.png"]
    assert Path(TARGET, "cat/1.png").read_bytes() == Path("photos/b/1.png").read_bytes()


def test_undo_of_links_keeps_one_whose_original_is_gone():
    sort(*FOUR, link=True)
    os.remove("photos/a/1.png")
    shutil.copy("photos/b/1.png", "photos/a/1.png")
    told = dict(sorting.undo(TARGET / "undo.csv"))
    assert told["cat/1.png"] == "its original has changed"
    assert Path(TARGET, "cat/1.png").exists() and len(sorted_files()) == 1


@pytest.mark.parametrize("created", ["../photos/b/1.png", "photos/b/1.png", "cat/../../photos/b/1.png"])
def test_a_forged_list_removes_nothing_elsewhere(tmp_path, created):
    sort(answer("a/1.png"))
    shutil.copy("photos/b/1.png", "copy.png")
    digest = "sha256:" + sorting._digest(Path("copy.png"))
    path = str(tmp_path / created) if not created.startswith((".", "cat")) else created
    with Path(TARGET, "undo.csv").open("a") as file:
        file.write(f"{path},copy.png,{digest},0123\n")
    told = dict(sorting.undo(TARGET / "undo.csv"))
    assert Path("photos/b/1.png").exists()
    assert told == {"cat/1.png": None, path: "not a file of this folder"}


def test_a_folder_that_has_become_a_link_is_not_followed(tmp_path):
    sort(answer("a/1.png"))
    shutil.move(TARGET / "cat", tmp_path / "elsewhere")
    (TARGET / "cat").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert dict(sorting.undo(TARGET / "undo.csv")) == {"cat/1.png": "not a file of this folder"}
    assert (tmp_path / "elsewhere" / "1.png").exists()


@pytest.mark.parametrize("moment", ["link", "mkdir", "copyfile", "torn"])
def test_a_kill_at_any_moment_loses_and_doubles_nothing(monkeypatch, moment):
    class Killed(BaseException):
        pass

    def kill(*_, **__):
        raise Killed

    sort(FOUR[0])
    if moment == "torn":
        with Path(TARGET, "undo.csv").open("a") as file:
            file.write("cat/1-abc.png,photos/b/1")
    else:
        with monkeypatch.context() as patch, pytest.raises(Killed):
            place = Path if moment == "mkdir" else shutil if moment == "copyfile" else os
            folder = SortedFolder(TARGET, CLASSES, "0123", False, True)
            patch.setattr(place, moment, kill)
            try:
                folder.add(FOUR[2:3] if moment == "mkdir" else FOUR[1:2])
            finally:
                folder._opened.close()  # a kill frees the lock and does nothing else
    sort(*FOUR, resume=True)
    assert len(sorted_files()) == 4
    with Path(TARGET, "undo.csv").open() as file:
        rows = list(csv.DictReader(file))
    made = {row["created"] for row in rows if row["content"] != "folder"}
    assert made == set(sorted_files())
    list(sorting.undo(TARGET / "undo.csv"))
    assert not TARGET.exists()


def test_what_the_user_moved_away_is_not_made_again():
    sort(*FOUR)
    os.rename(TARGET / "cat" / "1.png", TARGET / "unsure" / "moved.png")
    before = sorted_files()
    sort(*FOUR, resume=True)
    assert sorted_files() == before


def test_a_users_own_file_of_the_same_content_is_no_copy():
    TARGET.joinpath("cat").mkdir(parents=True)
    shutil.copy("photos/a/1.png", TARGET / "cat" / "1.png")
    sort(answer("a/1.png"))
    list(sorting.undo(TARGET / "undo.csv"))
    assert sorted_files() == ["cat/1.png"]


def test_nothing_is_undone_while_a_job_sorts():
    with SortedFolder(TARGET, CLASSES, "0123", False, False) as folder:
        folder.add(FOUR[:1])
        with pytest.raises(UsageError, match="a job is sorting into this folder"):
            list(sorting.undo(TARGET / "undo.csv"))
        with pytest.raises(UsageError, match="another process is sorting into it"):
            sort(*FOUR, resume=True)
    assert sorted_files() == ["cat/1.png"]


def test_what_would_mix_is_refused():
    sort(*FOUR)
    with pytest.raises(UsageError, match="lists what an earlier job put there; add --resume"):
        sort(*FOUR)
    with pytest.raises(UsageError, match="another model answered there"):
        sort(*FOUR, model="4567", resume=True)
    Path(TARGET, "undo.csv").write_text("mine\n")
    with pytest.raises(UsageError, match="cannot be resumed"):
        sort(*FOUR, resume=True)
    with pytest.raises(UsageError, match=r"--undo sorted/undo.csv: "):
        list(sorting.undo(TARGET / "undo.csv"))
    assert Path(TARGET, "undo.csv").read_text() == "mine\n" and len(sorted_files()) == 4


@pytest.mark.parametrize("folder", ["photos", "photos/sorted", "."])
def test_the_folder_keeps_away_from_the_pictures(folder):
    for flag, name in (("--sort-into", "sort_into"), ("--heatmaps", "heatmaps")):
        with pytest.raises(UsageError, match=f"{flag} {folder}: lies among the pictures"):
            BulkJob(BulkConfig(**{name: Path(folder)}), ["photos/a"] if folder == "." else ["photos"])


def test_what_is_sorted_is_no_picture_even_where_a_link_leads_there():
    TARGET.joinpath("cat").mkdir(parents=True)
    shutil.copy("photos/a/1.png", TARGET / "cat" / "1.png")
    Path("photos/z").symlink_to("..", target_is_directory=True)
    job = BulkJob(BulkConfig(sort_into=TARGET), ["photos"])
    assert {Path(source.name).parts[0] for source in job.sources()} == {"photos"}
    assert not [source.name for source in job.sources() if "sorted" in source.name]


def test_classes_named_like_the_folders_beside_them_and_names_that_are_no_folders():
    names = sorting.folder_names(["unsure", "Unreadable", "cat"])
    assert names["cat"] == "cat"
    assert len({name.casefold() for name in names.values()}) == len(names) == 4
    with pytest.raises(PigeonholeError):
        sorting.folder_names(["a/b", "c/b"])


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
def test_hostile_names_are_sorted_resumed_and_undone():
    hostile = ["=1+1.png", "two\nlines.png", os.fsdecode(b"\xff.png"), "x" * 250 + ".png", "'.png"]
    for seed, name in enumerate(hostile):
        saved_runs.write_picture(Path("photos") / name, seed)
        saved_runs.write_picture(Path("photos/b") / name, seed + 10)
    all_answers = [answer(f"{folder}{name}") for name in hostile for folder in ("", "b/")]
    sort(*all_answers[:5])
    sort(*all_answers, resume=True)
    assert len(sorted_files()) == 10
    assert [reason for _, reason in sorting.undo(TARGET / "undo.csv")] == [None] * 10
    assert not TARGET.exists()


def test_a_broken_link_has_nothing_to_copy():
    Path("photos/nowhere.png").symlink_to("gone")
    sort(answer("nowhere.png", error="no such file or directory"), answer("a/1.png"))
    assert sorted_files() == ["cat/1.png"]
    sort(answer("nowhere.png", error="no such file or directory"), resume=True)
    assert len(Path(TARGET, "undo.csv").read_text().splitlines()) == 5


def test_a_job_sorts_and_writes_a_table_at_once(tmp_path):
    bulk_jobs.write_pictures(tmp_path / "heap")
    with Classifier.load(saved_runs.ready(tmp_path / "run"), threads=1) as classifier:
        bulk_jobs.answer(classifier, "heap", csv=Path("out.csv"), sort_into=TARGET)
        with Path("out.csv").open(encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        Path("out.csv").write_bytes(b"")  # as if killed before its first row: the copies are there already
        bulk_jobs.answer(classifier, "heap", csv=Path("out.csv"), sort_into=TARGET, resume=True)
    assert len(sorted_files()) == len(rows) == 14
    for row in rows:
        folder = "unreadable" if row["error"] else row["prediction"]
        assert Path(TARGET, folder, Path(row["file"]).name).is_file()
    assert len(Path("out.csv").read_text().splitlines()) == 15
