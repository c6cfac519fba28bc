"""A run's files: each writer's content is what its reader gives, and damage is told with the file's name."""

import hashlib

import numpy as np
import pytest

from pigeonhole.errors import PigeonholeError
from pigeonhole.runs.run import Run


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


@pytest.mark.parametrize("kind", ["settings", "progress", "result"])
def test_objects_are_read_as_they_were_written(run, kind):
    content = {"classes": ["été", "b"], "options": {"seed": 0}, "share": 0.25, "none": None}
    getattr(run, f"write_{kind}")(content)
    assert getattr(run, kind)() == content
    assert [path.name for path in run.folder.iterdir()] == [f"{kind}.json"]


@pytest.mark.parametrize("kind", ["settings", "progress", "result"])
@pytest.mark.parametrize("content", [None, "", "{", "[1]", b"\xff"])
def test_objects_that_cannot_be_read_are_told(run, kind, content):
    if content is not None:
        (run.folder / f"{kind}.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(PigeonholeError, match=rf"{kind}\.json: (no such file|damaged)"):
        getattr(run, kind)()


def test_labels_are_read_as_they_were_written(run):
    run.write_labels(["été", "b c"])
    assert run.labels() == ["été", "b c"]
    assert run.labels_file.read_bytes() == "été\nb c\n".encode()


def test_the_history_comes_by_column_without_a_line_that_is_being_written(run):
    run.history_file.write_text("epoch,step\n0.5,10\n1,20\n1.")
    history = run.history()
    assert list(history) == ["epoch", "step"] and history["epoch"].dtype == np.float64
    assert history["epoch"].tolist() == [0.5, 1] and history["step"].tolist() == [10, 20]
    run.history_file.write_text("epoch,step\n")
    assert run.history()["epoch"].shape == (0,)


@pytest.mark.parametrize("content", [None, "", "epoch\n\0", "epoch,step\n1,2\n3\n4,5\n", "epoch\nx\n"])
def test_a_history_that_cannot_be_read_is_told(run, content):
    if content is not None:
        run.history_file.write_text(content)
    with pytest.raises(PigeonholeError, match=r"history\.csv: (no such file|damaged)"):
        run.history()


def test_the_split_comes_by_column(run):
    run.split_file.write_bytes(b"path,class,side,digest\na/\xff.png,a,train,00\n")
    assert run.split() == [{"path": "a/\udcff.png", "class": "a", "side": "train", "digest": "00"}]
    run.split_file.unlink()
    with pytest.raises(PigeonholeError, match=r"split\.csv: cannot be read"):
        run.split()


def test_training_pictures_may_be_links_but_no_name_leads_out_of_their_folder(run, tmp_path):
    outside, data = tmp_path / "outside.png", tmp_path / "data"
    outside.write_bytes(b"a picture")
    (data / "a").mkdir(parents=True)
    (data / "a" / "link.png").symlink_to(outside)
    digest = hashlib.sha256(b"a picture").hexdigest()
    names = ["a/link.png", "../outside.png", "a/../../outside.png", str(outside)]
    run.write_settings({"options": {"data": str(data)}})
    run.split_file.write_text("path,class,side,digest\n" + "".join(f"{n},a,train,{digest}\n" for n in names))
    (picture,) = run.training_pictures()
    assert picture.path == data / "a" / "link.png" and picture.read() == b"a picture"


def test_labels_are_told_apart_by_line_feeds_alone(tmp_path):
    run, names = Run(tmp_path), ["a\u2028b", "c\x85", "d"]
    run.write_labels(names)
    assert run.labels() == names
    run.write_labels([])
    assert run.labels() == []
