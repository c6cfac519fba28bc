"""The programs in clients/ answer 400 photos as the tool does, each with a decoder of its language."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from pigeonhole import Classifier

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
CLIENTS = ROOT / "clients"
PHOTOS = ROOT.parent / "shared" / "data" / "dogs_cats"
SIZE, MOST_LINES = 64, 40
JNA = Path("/usr/share/java/jna.jar")  # of Debian's libjna-java


@pytest.fixture(scope="module")
def photos():
    if not PHOTOS.is_dir():
        pytest.skip("needs the photographs of ../shared/data/dogs_cats")
    paths = sorted(map(str, PHOTOS.glob("testing_data/*/*.jpg")))
    assert len(paths) == 400
    return paths


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clients")
    command = [sys.executable, "-m", "pigeonhole", "train", "--data", PHOTOS / "training_data"]
    options = ["--network", "standard", "--image-size", str(SIZE), "--steps", "40", "--name", "pets"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([*command, *options, "--no-report"], cwd=folder, env=environment, check=True)
    return folder / "runs" / "pets"


@pytest.fixture(scope="module")
def expected(run, photos):
    """(class, probability) of each photo by the tool."""
    with Classifier.load(run, engine="onnx") as classifier:
        shares = classifier.predict(photos)
        answers = [(classifier.classes[row.argmax()], float(row.max())) for row in shares]
    assert {name for name, _ in answers} == {"cats", "dogs"}
    return answers


@pytest.fixture(scope="module")
def openvino():
    """The folder of OpenVINO's package, which holds its C++ headers and its libraries."""
    found = find_spec("openvino")
    if found is None:
        pytest.skip("openvino is not installed")
    return Path(found.origin).parent


def compare(command: list, run: Path, photos: list[str], expected: list[tuple[str, float]]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [path for _, _, path in lines] == photos
    assert [name for name, _, _ in lines] == [name for name, _ in expected]
    for (_, share, _), (_, wanted) in zip(lines, expected, strict=True):
        assert float(share.replace(",", ".")) == pytest.approx(wanted, abs=0.01)


def needs(*programs: str) -> None:
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")


def test_node(run, photos, expected):
    needs("node")
    if not all((ROOT / "node_modules" / name).is_dir() for name in ("onnxruntime-node", "sharp")):
        pytest.skip("onnxruntime-node and sharp are not installed; .ci/run says how")
    program = CLIENTS / "node" / "classify.mjs"
    compare(["node", program, run / "model.onnx", run / "labels.txt", *photos], run, photos, expected)


def test_cpp(run, photos, expected, openvino, tmp_path):
    needs("g++")
    if not Path("/usr/include/opencv4/opencv2/imgcodecs.hpp").is_file():
        pytest.skip("libopencv-imgcodecs-dev is not installed")
    (library,) = (openvino / "libs").glob("libopenvino.so.*")
    includes = [f"-I{openvino / 'include'}", "-I/usr/include/opencv4"]
    libraries = [library, "-lopencv_imgcodecs", "-lopencv_core", f"-Wl,-rpath,{openvino / 'libs'}"]
    source, program = CLIENTS / "cpp" / "classify.cpp", tmp_path / "classify"
    subprocess.run(["g++", "-std=c++17", "-O2", *includes, source, "-o", program, *libraries], check=True)
    command = [program, run / "model.onnx", run / "labels.txt", str(SIZE)]
    compare([*command, *photos], run, photos, expected)
    done = subprocess.run([*command, photos[0], source], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr == f"{source}: cannot be read\n"
    assert done.stdout.count("\n") == 1, "no answer for what is no picture"


def test_java(run, photos, expected, openvino, tmp_path):
    needs("java", "javac")
    if not JNA.is_file():
        pytest.skip("libjna-java is not installed")
    (library,) = (openvino / "libs").glob("libopenvino_c.so.*")
    sources = sorted((CLIENTS / "java").glob("*.java"))
    subprocess.run(["javac", "-cp", JNA, "-d", tmp_path, *sources], check=True)
    command = ["java", f"-Dopenvino={library}", "-cp", f"{JNA}:{tmp_path}", "Classify"]
    compare([*command, run / "model.onnx", run / "labels.txt", str(SIZE), *photos], run, photos, expected)


@pytest.mark.parametrize("program", ["node/classify.mjs", "cpp/classify.cpp", "java/Classify.java"])
def test_a_client_is_short(program):
    assert len((CLIENTS / program).read_text("utf-8").splitlines()) < MOST_LINES
