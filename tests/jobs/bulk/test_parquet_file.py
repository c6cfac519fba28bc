"""Parquet: the same rows as in a table, in parts while the job runs, resumed after a kill at any moment."""

import os
from pathlib import Path

import pytest

from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.extras import MissingExtra
from pigeonhole.jobs.bulk import parquet_file
from pigeonhole.jobs.bulk.parquet_file import ParquetFile
from pigeonhole.jobs.bulk.rows import Layout
from pigeonhole.jobs.prediction import Answer
from pigeonhole.model.classifier import Classifier
from tests.support import bulk_jobs, saved_runs

parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow, of the extra parquet, is not installed")

LAYOUT = Layout(saved_runs.CLASSES, "0123")
FILE = Path("out.parquet")


@pytest.fixture(autouse=True)
def small_parts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(parquet_file, "PART_ROWS", 3)


def answers(numbers) -> list[Answer]:
    """One in four cannot be read."""
    ranked = [(name, share) for name, share in zip(saved_runs.CLASSES, (0.5, 0.25, 0.25), strict=True)]
    return [
        Answer(f"{n}.png", [], error="empty") if n % 4 == 3 else Answer(f"{n}.png", ranked, n % 2 == 0)
        for n in numbers
    ]


def names() -> list[str]:
    return parquet.read_table(FILE).column("file").to_pylist()


def killed(file: ParquetFile) -> None:
    """Leave the block as after a kill: nothing is written, the lock is gone."""
    file._opened.close()


def test_the_file_holds_what_the_table_does(tmp_path, monkeypatch):
    monkeypatch.setattr("pigeonhole.jobs.bulk.streaming.MOST_AT_ONCE", 2)
    photos = bulk_jobs.write_pictures(tmp_path / "photos")
    with Classifier.load(saved_runs.ready(tmp_path / "run"), threads=1) as classifier:
        job = bulk_jobs.answer(classifier, tmp_path / "photos", parquet=FILE)
        shares = classifier.predict([photo for photo in photos if photo.endswith("0.png")])
    table = parquet.read_table(FILE)
    assert table.column_names == LAYOUT.columns and table.column("file").to_pylist() == photos
    assert parquet.ParquetFile(FILE).num_row_groups == 4 and job.outcome.failures == 2
    rows = [row for row in table.to_pylist() if row["file"].endswith("0.png")]
    for row, expected in zip(rows, shares, strict=True):
        assert [row[f"p:{name}"] for name in saved_runs.CLASSES] == pytest.approx(expected, abs=1e-6)
        assert row["unsure"] is False and row["error"] is None and row["model"] == "0123"
    (text,) = [row for row in table.to_pylist() if row["file"].endswith("notes.txt")]
    assert text["error"] == "not a picture" and text["prediction"] is None and text["p:cat"] is None
    assert not Path("out.parquet.parts").exists()


def test_a_job_that_is_killed_goes_on_from_its_parts():
    file = ParquetFile(FILE, LAYOUT)
    file.add(answers(range(3)))
    file.add(answers(range(3, 5)))  # not yet a part
    killed(file)
    (Path("out.parquet.parts") / ".00000001.parquet.99").write_bytes(b"a part in its making")
    assert not FILE.exists()
    with pytest.raises(UsageError, match="holds answers of an unfinished job; add --resume, or delete it"):
        ParquetFile(FILE, LAYOUT)
    with ParquetFile(FILE, LAYOUT, resume=True) as file:
        assert [name in file for name in ("0.png", "2.png", "3.png")] == [True, True, False]
        file.add(answers(range(3, 9)))
    assert names() == [f"{n}.png" for n in range(9)]
    with ParquetFile(FILE, LAYOUT, resume=True) as file:
        assert file.failures == 2
        file.add(answers(range(9, 10)))
    assert names() == [f"{n}.png" for n in range(10)]


def test_a_kill_between_the_file_and_the_removal_of_its_parts_doubles_nothing(monkeypatch):
    for round_ in range(2):  # a new file, then one that is added to
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
            patch.setattr(parquet_file.atomic_file, "write_bytes_out", _written_out)
            patch.setattr(parquet_file.atomic_file, "write_binary", _written_out)
            with ParquetFile(FILE, LAYOUT, resume=round_ > 0) as file:
                file.add(answers(range(round_ * 4, round_ * 4 + 4)))
        assert len(list(Path("out.parquet.parts").glob("*.parquet"))) == 1
        with ParquetFile(FILE, LAYOUT, resume=True):
            pass
        assert names() == [f"{n}.png" for n in range(4 + round_ * 4)]


def test_a_kill_while_the_parts_are_removed_loses_nothing(monkeypatch):
    class Killed(BaseException):
        pass

    def unlink_one(path, missing_ok=False):
        if removed:
            raise Killed
        removed.append(path)
        os.unlink(path)

    file, removed = ParquetFile(FILE, LAYOUT), []
    for number in range(3):
        file.add(answers(range(number * 4, number * 4 + 4)))
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(parquet_file.atomic_file, "write_bytes_out", _written_out)
        patch.setattr(Path, "unlink", unlink_one)
        file.__exit__(None)
    with ParquetFile(FILE, LAYOUT, resume=True) as file:
        assert len(file.kept) == 12
    assert names() == [f"{n}.png" for n in range(12)]


def test_a_file_that_is_refused_gets_no_parts_beside_it():
    FILE.write_text("mine")
    with pytest.raises(UsageError, match="cannot be resumed"):
        ParquetFile(FILE, LAYOUT, resume=True)
    assert os.listdir() == [FILE.name] and FILE.read_text() == "mine"


def _written_out(path):
    aside = path.with_name(f"{path.name}-aside")

    class Written:
        def __enter__(self):
            self.file = aside.open("wb")
            return self.file

        def __exit__(self, *error):
            self.file.close()
            aside.replace(path)

    return Written()


def test_a_file_that_is_replaced_stays_until_the_new_one_is_complete():
    with ParquetFile(FILE, LAYOUT) as file:
        file.add(answers(range(5)))
    file = ParquetFile(FILE, LAYOUT)
    file.add(answers(range(10, 16)))
    killed(file)
    assert names() == [f"{n}.png" for n in range(5)]
    with ParquetFile(FILE, LAYOUT, resume=True) as file:
        assert "0.png" not in file and "10.png" in file
    assert names() == [f"{n}.png" for n in range(10, 16)]


def test_what_ends_early_keeps_its_rows_in_parts():
    with pytest.raises(KeyboardInterrupt), ParquetFile(FILE, LAYOUT) as file:
        file.add(answers(range(4)))
        raise KeyboardInterrupt
    assert not FILE.exists()
    with ParquetFile(FILE, LAYOUT, resume=True) as file:
        assert "3.png" in file


@pytest.mark.parametrize(
    "layout", [Layout(("cat", "cow", "été 北"), "0123"), Layout(saved_runs.CLASSES, "9")]
)
def test_another_model_is_refused_and_the_file_left(layout):
    with ParquetFile(FILE, LAYOUT) as file:
        file.add(answers(range(4)))
    before = FILE.read_bytes()
    with pytest.raises(UsageError, match=r"--parquet out.parquet: cannot be resumed, .*; name another file"):
        ParquetFile(FILE, layout, resume=True)
    FILE.write_bytes(b"mine")
    with pytest.raises(UsageError, match="cannot be resumed"):
        ParquetFile(FILE, LAYOUT, resume=True)
    assert FILE.read_bytes() == b"mine" and before[:4] == b"PAR1"


def test_other_files_among_the_parts_stay():
    Path("out.parquet.parts").mkdir()
    Path("out.parquet.parts/mine.txt").write_text("mine")
    with ParquetFile(FILE, LAYOUT, resume=True) as file:
        file.add(answers(range(4)))
    assert Path("out.parquet.parts/mine.txt").read_text() == "mine" and len(names()) == 4


def test_without_the_package_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'--parquet needs PyArrow: pip install "pigeonhole\[parquet\]"'):
        parquet_file.require()
    assert issubclass(MissingExtra, PigeonholeError)
