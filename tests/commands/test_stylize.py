"""`stylize` from the command line: what is written and told, and one line for whatever is wrong."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pigeonhole.art import colours
from pigeonhole.commands import stylize
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.pictures import images
from tests.support import saved_runs

ROOT = Path(__file__).parents[2]
RUN_LAYERS = ["--content-layers", "conv3", "--style-layers", "conv1,conv2=3"]


@pytest.fixture(scope="module")
def small_run(tmp_path_factory) -> Path:
    return saved_runs.save(tmp_path_factory.mktemp("runs") / "small", saved_runs.network(size=16))


@pytest.fixture
def place(small_run, tmp_path, monkeypatch) -> Path:
    """A folder with a run and pictures, as the working directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(small_run, tmp_path / "runs" / "small")
    saved_runs.write_picture(tmp_path / "photo.png", 1, height=90, width=140)
    saved_runs.write_picture(tmp_path / "painting.png", 2, height=120, width=80)
    saved_runs.write_picture(tmp_path / "other.png", 3, height=70, width=70)
    return tmp_path


def made(*arguments: str) -> int:
    pictures = [] if not arguments[0].startswith("-") else ["photo.png", "painting.png"]
    steps = [] if "--steps" in arguments else ["--steps", "4"]
    return stylize.main([*pictures, *arguments, *steps, "--network", "runs/small"])


def read(file: str) -> np.ndarray:
    return images.decode(Path(file).read_bytes())


def test_a_picture_is_made_with_a_run_and_all_is_told(place, capsys):
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert made("--output", "out.png", *RUN_LAYERS, "--size", "280", "--every", "2", "--save-every", "3") == 0
    told = capsys.readouterr().out
    assert "photo.png, 280 x 180: conv3" in told
    assert "painting.png: conv1, conv2" in told
    assert "expected" in told.partition("content ")[2].partition("step ")[0]
    rows = [line.split() for line in told.splitlines() if " of 8 " in line]
    assert [row[0] for row in rows] == ["0", "2", "4", "4", "6", "8"]
    assert float(rows[-1][7]) < float(rows[3][7])  # the style's
    assert read("out.png").shape == (180, 280, 3)
    assert {path.name for path in place.iterdir()} == {
        *("photo.png", "painting.png", "other.png", "runs", "out.png"),
        *("out-0000.png", "out-0003.png", "out-0006.png"),
    }
    assert before == {path: path.read_bytes() for path in before}


@pytest.mark.slow
def test_several_styles_mix_by_their_shares(place, capsys):
    pictures = ["photo.png", "painting.png", "other.png"]
    results = []
    for mix in ("1000,1", "1,1000"):
        assert made(*pictures, "--output", f"{mix[-1]}.png", "--mix", mix, "--steps", "15", *RUN_LAYERS) == 0
        results.append(read(f"{mix[-1]}.png").astype(float))
    assert made("photo.png", "painting.png", "--output", "one.png", "--steps", "15", *RUN_LAYERS) == 0
    near, far = (np.abs(each - read("one.png")).mean() for each in results)
    assert near < 0.2 * far


def test_colours_are_preserved(place):
    assert made("--output", "out.png", "--preserve-colours", "--steps", "10", "--style-weight", "5000") == 0
    content, found = read("photo.png"), read("out.png")
    inside = (found.min(axis=2) > 0) & (found.max(axis=2) < 255)
    chroma, wanted = (each.astype(float) - colours.luma(each) for each in (found, content))
    np.testing.assert_allclose(chroma[inside], wanted[inside], atol=1.5)
    assert np.abs(colours.luma(found) - colours.luma(content)).mean() > 1


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_other_forms_are_written(place, suffix):
    assert made("--output", f"out{suffix}", "--steps", "1") == 0
    assert read(f"out{suffix}").shape == (90, 140, 3)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--output", "photo.png"], "--output photo.png: would overwrite a picture"),
        (["--output", "out.gif"], r"--output out.gif: its name must end with .png"),
        (["--output", "a.png", "--save-every", "1"], "--save-every: would overwrite a-0002.png; move it"),
        (["/dev/zero", "x.png", "--output", "out.png"], "/dev/zero: a device, no picture"),
        (["long.png", "photo.png", "--output", "out.png"], "2000 x 20 pixels become 512 x 5.* --size 1,600"),
        (["longer.png", "photo.png", "--output", "out.png"], "; cut out a part that is less long"),
        (["--output", "no/out.png"], "its folder does not exist"),
        (["--output", "out.png", "--mix", "1,2"], "--mix: 2 numbers for 1 style"),
        (["--output", "out.png", "--style-layers", "konv1"], "--style-layers konv1: .* no such layer; "),
        (["--output", "out.png", "--content-layers", "fc1"], "--content-layers fc1: .* no such layer; "),
        (["--output", "out.png", "--recipe", "tutorial"], "--recipe tutorial: the network has no layer relu"),
        (["missing.png", "photo.png", "--output", "out.png"], "missing.png: cannot be read"),
        (["photo.png", "runs.png", "--output", "out.png"], "runs.png: not a picture"),
        (["tiny.png", "photo.png", "--output", "out.png"], "tiny.png: 1 x 1 pixels are too few"),
        (["thin.png", "photo.png", "--output", "out.png"], "thin.png: 280 x 8 pixels are too few"),
    ],
)
def test_one_line_says_what_is_wrong(place, arguments, told):
    (place / "runs.png").write_text("rubbish")
    cv2.imwrite("a-0002.png", np.zeros((70, 70, 3), np.uint8))
    cv2.imwrite("tiny.png", np.zeros((1, 1, 3), np.uint8))
    cv2.imwrite("long.png", np.zeros((20, 2000, 3), np.uint8))
    cv2.imwrite("longer.png", np.zeros((20, 9000, 3), np.uint8))
    cv2.imwrite("thin.png", np.zeros((8, 280, 3), np.uint8))
    size = ["--size", "280"] if "thin.png" in arguments else []
    with pytest.raises(UsageError, match=told) as caught:
        made(*arguments, *size)
    assert "\n" not in str(caught.value)
    assert not (place / "out.png").exists()


def test_weights_that_are_no_numbers_are_told(place):
    network = saved_runs.network(size=16)
    network.get_layer("conv1").weights[0].assign(np.full((3, 3, 3, 32), np.inf))
    network.save("bad.keras")
    with pytest.raises(PigeonholeError, match=r"bad\.keras: its weights conv1/kernel are no numbers"):
        stylize.main(["photo.png", "painting.png", "--output", "out.png", "--network", "bad.keras"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--size", "1"], "--size: '1' is not a whole number from 16 to 2,048"),
        (["--size", "5000"], "--size: '5000' is not"),
        (["--style-weight", "1e300"], "--style-weight: '1e300' is not a number from 0 to 1,000,000,000"),
        (["--mix", "a,b"], "--mix: 'a' is not a number"),
        (["--style-layers", "a,a"], "--style-layers: 'a,a': give each layer once"),
        (["--style-layers", "a=0"], "--style-layers: '0' is not a number above 0"),
        (["--optimizer", "sgd"], "--optimizer: 'sgd': no such choice"),
    ],
)
def test_flags_that_are_wrong(capsys, arguments, told):
    with pytest.raises(SystemExit) as left:
        stylize.parse(["a.png", "b.png", "--output", "c.png", *arguments])
    assert left.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.slow
def test_a_hundred_megapixels_are_shrunk_first(place):
    cv2.imwrite("large.png", cv2.resize(saved_runs.picture(4), (12_000, 9_000)))
    assert made("large.png", "photo.png", "--output", "l.png", "--steps", "1") == 0
    assert read("l.png").shape == (384, 512, 3)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_ctrl_c_keeps_the_best_so_far(place, optimizer):
    command = [sys.executable, "-m", "pigeonhole", "stylize", "photo.png", "painting.png", "--every", "1"]
    flags = ["--output", "out.png", "--network", "runs/small", "--steps", "9000", "--optimizer", optimizer]
    with subprocess.Popen(
        [*command, *flags], cwd=place, stdout=subprocess.PIPE, text=True, env=_environment()
    ) as process:
        for line in process.stdout:
            if line.startswith("20 of"):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stdout.read()
        assert process.wait(60) == 130
    assert "stopped; the best picture so far is kept" in rest
    assert np.abs(read("out.png").astype(int) - read("photo.png")).mean() > 1


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


@pytest.mark.slow
def test_the_bundled_network_gives_a_photo_the_style_of_another(tmp_path, monkeypatch, capsys):
    from sklearn.datasets import load_sample_images

    monkeypatch.chdir(tmp_path)
    for name, pixels in zip(("china.png", "flower.png"), load_sample_images().images, strict=True):
        cv2.imwrite(name, pixels[..., ::-1])
    flags = ["--size", "192", "--steps", "40", "--every", "40"]
    assert stylize.main(["china.png", "flower.png", "--output", "out.png", *flags]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if " of 80 " in line]
    start, end = (float(rows[place][7]) for place in (0, -1))
    assert end < 0.4 * start
    result, content, style = (read(name) for name in ("out.png", "china.png", "flower.png"))
    assert result.shape == (128, 192, 3)
    # The sky was light; the flower's picture is dark, and its colours are those of the result
    means = [each.reshape(-1, 3).mean(axis=0) for each in (result, content, style)]
    assert np.abs(means[0] - means[2]).sum() < 0.85 * np.abs(means[1] - means[2]).sum()
