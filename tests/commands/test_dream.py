"""`pigeonhole dream`: its flags, what it says and writes, and that nothing is lost when it is stopped."""

import contextlib
import os
import shutil
import signal
import sys

import cv2
import numpy as np
import pytest

from pigeonhole.art import dream as dreaming_art
from pigeonhole.art import typical
from pigeonhole.commands import dream
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.jobs import picture_files
from pigeonhole.runs.run import Run
from tests.support import saved_runs

LAYER = "conv2"
QUICK = ["--steps", "2", "--octaves", "2"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return saved_runs.ready(tmp_path_factory.mktemp("dreams") / "run")


@pytest.fixture
def photo(tmp_path, monkeypatch):
    """A picture in the working directory."""
    monkeypatch.chdir(tmp_path)
    return saved_runs.write_picture(tmp_path / "photo.png", 1)


def asked(run, *flags) -> int:
    return dream.main([*map(str, flags), "--network", str(run)])


def test_a_picture_is_changed_and_written_beside_it(run, photo, capsys):
    before = photo.read_bytes()
    assert asked(run, photo, "--layer", LAYER, *QUICK) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("octave 1 of 2") and said[1].startswith("octave 2 of 2")
    assert said[2:] == ["written: photo-dream.png"]
    start, end = cv2.imread("photo.png"), cv2.imread("photo-dream.png")
    assert start.shape == end.shape and 1 < np.abs(start.astype(int) - end).mean() < 10
    assert asked(run, photo, "--layer", LAYER, *QUICK) == 0  # the first is kept
    assert "photo-dream-2.png" in capsys.readouterr().out and photo.read_bytes() == before


def test_noise_layers_channels_and_size(run, tmp_path, capsys):
    flags = ["--layer", "conv1", "--channel", 3, "--layer", LAYER, "--channel", 5, "--size", 40, *QUICK]
    assert asked(run, *flags, "--output", tmp_path / "noise.jpg") == 0
    assert cv2.imread(str(tmp_path / "noise.jpg")).shape == (40, 40, 3)


def test_layers_are_listed_with_the_sum_of_their_channels(run, capsys):
    assert asked(run, "--list-layers") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["conv2", "64"] in lines
    channels = [int(channels) for _, channels in lines[:-1]]
    assert lines[-1] == [str(len(channels)), "layers", f"{sum(channels):,}", "channels"]


def test_a_zoom_is_a_gif(run, photo, capsys):
    assert asked(run, photo, "--layer", LAYER, "--zoom", 4, *QUICK) == 0
    _, moving = cv2.imreadanimation("photo-dream.gif")
    assert len(moving.frames) == 4 and moving.frames[0].shape[:2] == cv2.imread("photo.png").shape[:2]
    assert len({frame.tobytes() for frame in moving.frames}) == 4


@pytest.mark.parametrize(("flags", "pictures"), [([], 1), (["--zoom", "9"], 3)])
def test_ctrl_c_keeps_what_is_there(run, photo, capsys, monkeypatch, flags, pictures):
    real, calls = dreaming_art.tiled, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == (2 if pictures == 1 else 14):
            os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments)

    monkeypatch.setattr(dreaming_art, "tiled", interrupted)
    assert asked(run, photo, "--layer", LAYER, *QUICK, *flags) == 130
    (written,) = photo.parent.glob("photo-dream.*")
    assert f"stopped; what is there so far: {written.name}" in capsys.readouterr().out
    if flags:
        assert len(cv2.imreadanimation(str(written))[1].frames) == pictures
    assert cv2.imread(str(written)).shape == cv2.imread("photo.png").shape


def test_a_full_disk_does_not_lose_the_picture(run, photo):
    os.symlink("/dev/full", "out.png")
    told = r"^out\.png: cannot be written \(no space left on device\); it is in .*/out-\w+\.png$"
    with pytest.raises(PigeonholeError, match=told) as raised:
        asked(run, photo, "--layer", LAYER, *QUICK, "--output", "out.png")
    kept = cv2.imread(str(raised.value).rpartition(" ")[2])
    assert kept.shape == cv2.imread("photo.png").shape and kept.std() > 1


def test_a_reader_that_leaves_does_not_take_the_picture_along(run, photo, monkeypatch):
    """As `pigeonhole dream ... | head -1` does."""
    receiver, sender = os.pipe()
    os.close(receiver)
    with contextlib.suppress(BrokenPipeError), open(sender, "w") as nobody:
        monkeypatch.setattr(sys, "stdout", nobody)
        asked(run, photo, "--layer", LAYER, *QUICK)
    assert cv2.imread("photo-dream.png").shape == cv2.imread("photo.png").shape


def test_too_little_room_is_told_before_the_start(tmp_path):
    with pytest.raises(UsageError, match=r"a\.png: may take 3,000,000.0 MB, and .* are free there"):
        picture_files.require_room(tmp_path / "a.png", (10**6, 10**6, 3))


# --- the sheet of classes ---


def test_a_sheet_of_classes_goes_into_the_run_and_its_report(run, tmp_path, capsys):
    from pigeonhole.report import page

    own = shutil.copytree(run, tmp_path / "own")
    page.update(Run(own), [page.Section("intro", "", "<h1>cats</h1>")])
    assert dream.main(["--classes", str(own), "--steps", "3"]) == 0
    sheet = cv2.imread(str(own / "typical.jpg"))
    assert sheet.shape[0] > 160 and sheet.shape[1] > 320
    report = (own / "report.html").read_text("utf-8")
    assert "<h1>cats</h1>" in report and 'href="typical.jpg"' in report and "data:image/jpeg" in report
    said = capsys.readouterr().out
    assert all(name in said for name in saved_runs.CLASSES) and "report.html" in said


def test_without_a_report_there_is_only_the_sheet(run, tmp_path, capsys):
    assert dream.main(["--classes", str(run), "--steps", "2", "--output", str(tmp_path / "s.png")]) == 0
    assert (tmp_path / "s.png").is_file() and not (run / "typical.jpg").exists()
    assert "report:" not in capsys.readouterr().out


def test_ctrl_c_keeps_the_classes_so_far(run, tmp_path, monkeypatch, capsys):
    real = typical.boxes

    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments)

    monkeypatch.setattr(typical, "boxes", interrupted)
    assert dream.main(["--classes", str(run), "--output", str(tmp_path / "s.png")]) == 130
    assert (tmp_path / "s.png").is_file() and "stopped" in capsys.readouterr().out


# --- what is wrong ---


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--layer", "konv2"], "--layer konv2: .* has no such layer; close to it: conv2"),
        (["--layer", LAYER, "--channel", "64"], "--channel 64: conv2 has 64 channels, 0 to 63"),
        (["--layer", LAYER, "--channel", "1", "--layer", "conv1"], "--channel: 1 given for 2 layers"),
        (["nowhere.png", "--layer", LAYER], "nowhere.png: cannot be read"),
        (["/dev/zero", "--layer", LAYER, "--output", "x.png"], "/dev/zero: a device, no picture"),
        (["--layer", LAYER, "--size", "5"], "--size 5: 16 pixels or more"),
        (["--layer", LAYER, "--output", "x.bmp"], "--output x.bmp: its name must end with .png"),
        (["--layer", LAYER, "--zoom", "3", "--output", "x.png"], "x.png: its name must end with .gif"),
        (["--layer", LAYER, "--mean", "3"], "--mean: only for a frozen graph"),
        (["photo.png", "--layer", LAYER, "--output", "photo.png"], "would overwrite a picture"),
        (["photo.png", "--layer", LAYER, "--zoom", "9000", "--size", "500"], "--zoom 9000: too many"),
        (["--layer", LAYER, "--zoom", "700", "--size", "500"], "--zoom 700: too many"),
    ],
)
def test_a_mistake_is_one_line(run, photo, flags, told):
    with pytest.raises(UsageError, match=told) as raised:
        asked(run, *flags)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("flags", "refused"),
    [
        (["--list-layers", "--zoom", "3"], "--zoom: not with --list-layers"),
        (["--list-layers", "photo.png"], "PICTURE: not with --list-layers"),
        (["--classes", "run", "photo.png"], "PICTURE: not with --classes"),
        (["--classes", "run", "--channel", "3", "--size", "40"], "--channel, --size: not with --classes"),
        (["--classes", "run", "--network", "run", "--mean", "3"], "--network, --mean: not with --classes"),
    ],
)
def test_a_flag_without_effect_is_refused(flags, refused, capsys):
    with pytest.raises(SystemExit) as left:
        dream.main(flags)
    assert left.value.code == 2 and refused in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--classes"], ["--list-layers", "--network"]])
@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
def test_the_layers_of_an_exported_file_cannot_be_read(tmp_path, flags, suffix):
    file = tmp_path / f"small{suffix}"
    file.write_bytes(b"rubbish")
    with pytest.raises(PigeonholeError, match=rf"small\{suffix}: its layers cannot be read; name the run"):
        dream.main([*flags, str(file)])


def test_a_frozen_graph_that_is_not_there_is_told():
    with pytest.raises(UsageError, match=r"--network no\.pb: no such file"):
        dream.main(["--list-layers", "--network", "no.pb", "--mean", "3"])


@pytest.mark.parametrize("flags", [[], ["--layer", "a", "--list-layers"], ["photo.png"]])
def test_something_must_be_asked_for(flags, capsys):
    with pytest.raises(SystemExit) as left:
        dream.main(flags)
    assert left.value.code == 2 and "give --layer NAME, --list-layers or --classes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("shape", "output", "told"),
    [
        ((1, 1), "x.png", "1 x 1 pixels are too few"),
        ((16, 2), "x.png", "2 x 16 pixels are too few.* give --size 128 or more"),
        ((10_000, 10_000), "x.png", "100 megapixels.*--size 2000"),
        ((20, 17_000), "x.webp", "x.webp: 17000 x 20 pixels, and .webp holds 16,383 a side; .* .png file"),
        ((16, 65_501), "x.jpg", "x.jpg: 65501 x 16 pixels, and .jpg holds 65,500 a side"),
    ],
)
def test_pictures_of_hardly_any_or_too_many_pixels(run, tmp_path, shape, output, told):
    cv2.imwrite(str(tmp_path / "odd.png"), np.zeros(shape, np.uint8))
    with pytest.raises(UsageError, match=told):
        asked(run, tmp_path / "odd.png", "--layer", LAYER, "--output", tmp_path / output)


def test_a_network_of_nan_is_told(tmp_path):
    broken = saved_runs.network()
    weights = broken.get_layer("fc2").get_weights()
    broken.get_layer("fc2").set_weights([np.full_like(each, np.nan) for each in weights])
    folder = saved_runs.save(tmp_path / "run", broken)
    with pytest.raises(PigeonholeError, match=r"no number|NaN|differ") as raised:
        dream.main(["--classes", str(folder)])
    assert "\n" not in str(raised.value)
