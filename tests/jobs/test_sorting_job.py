"""Class folders that are made beside the pictures by a thread, and taken away again."""

import pytest

from pigeonhole.errors import UsageError
from pigeonhole.jobs.sorting_job import SortingJob
from tests.support.labelling_sessions import draw_heap, wait_until


@pytest.fixture
def labels(tmp_path):
    return draw_heap(tmp_path / "heap", 4)


@pytest.fixture
def job(tmp_path, labels):
    job = SortingJob(tmp_path / "heap")
    yield job
    job.close()


def wait(job):
    wait_until(lambda: not job.state.running)
    return job.state


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}


def test_pictures_are_sorted_and_taken_away_again(job, labels, tmp_path):
    before = files(tmp_path / "heap")
    job.start(job.suggested, labels, link=False)
    state = wait(job)
    target = tmp_path / "heap-sorted"
    assert (state.folder, state.done, state.failed) == (target, 8, False), state.said
    assert state.said == f"8 pictures put into {target}."
    assert files(target) == {f"{label}/{name}": before[name] for name, label in labels.items()}
    job.start(job.suggested, labels, link=False)
    assert wait(job).said == f"0 pictures put into {target}, 8 lay there before."
    job.start(job.suggested, labels | {"0000.png": "rust"}, link=False)
    assert wait(job).failed and "earlier labels" in job.state.said and "--materialise" not in job.state.said
    (target / "moss" / "0002.png").write_bytes(b"edited")
    job.undo()
    state = wait(job)
    assert state.removed and "0002.png (changed)" in state.said and state.said.startswith("7 files")
    assert files(target) == {"moss/0002.png": b"edited"} and files(tmp_path / "heap") == before
    with pytest.raises(UsageError, match="nothing to be taken away"):
        SortingJob(tmp_path / "heap").undo()


def test_links_take_no_room(job, labels, tmp_path):
    job.start("linked", labels, link=True)
    assert not wait(job).failed
    assert (tmp_path / "linked" / "moss" / "0000.png").samefile(tmp_path / "heap" / "0000.png")


@pytest.mark.parametrize("name", ["", "..", "a/b", "/tmp/x", "a\nb", "heap", "full"])
def test_a_folder_that_cannot_be_is_refused(job, labels, tmp_path, name):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError):
        job.start(name, labels, link=False)
    assert {path.name for path in tmp_path.iterdir()} == {"heap", "full"}


def test_nothing_to_sort_is_told(job, tmp_path):
    job.start("sorted", {}, link=False)
    assert wait(job).failed and "no picture has a label yet" in job.state.said
    assert not (tmp_path / "sorted").exists()


def test_after_the_end_nothing_begins(job, labels, tmp_path):
    job.close()
    with pytest.raises(UsageError, match="about to end"):
        job.start("sorted", labels, link=False)
