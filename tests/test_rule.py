"""The lines of docs/rule.md, in three languages, make the same pixels as the tool."""

import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from pigeonhole.pictures.images import Preprocessing, preprocess
from tests.support.odd_files import PICTURE, encode

ROOT = Path(__file__).parents[1]
CODE = dict(
    re.findall(r"```(python|javascript|cpp)\n(.*?)```", (ROOT / "docs" / "rule.md").read_text(), re.S)
)
SIZES = [(37, 50), (16, 16), (5, 40), (40, 5), (1, 1), (9, 7)]  # height, width
SIZE = 16

NODE = """
import fs from "node:fs";
const [from, to, height, width, size] = process.argv.slice(2);
fs.writeFileSync(to, Uint8Array.from(square(fs.readFileSync(from), +height, +width, +size)));
"""
CPP = """
#include <fstream>
#include <iterator>
#include <string>
int main(int, char** given) {
    std::ifstream in(given[1], std::ios::binary);
    std::vector<unsigned char> bytes((std::istreambuf_iterator<char>(in)), {});
    std::ofstream out(given[2], std::ios::binary);
    for (float level : square(Levels(bytes.begin(), bytes.end()), std::stoi(given[3]), std::stoi(given[4]),
                              std::stoi(given[5]))) out.put(char(level));
}
"""


def in_numpy(image: np.ndarray, folder: Path) -> np.ndarray:
    names: dict = {}
    exec(CODE["python"], names)
    return names["square"](image, SIZE)


def in_javascript(image: np.ndarray, folder: Path) -> np.ndarray:
    if not shutil.which("node"):
        pytest.skip("node is not installed")
    (folder / "rule.mjs").write_text(CODE["javascript"] + NODE)
    return by_program(["node", folder / "rule.mjs"], image, folder)


def in_cpp(image: np.ndarray, folder: Path) -> np.ndarray:
    if not shutil.which("g++"):
        pytest.skip("g++ is not installed")
    program = folder / "rule"
    if not program.exists():
        (folder / "rule.cpp").write_text(CODE["cpp"] + CPP)
        subprocess.run(
            ["g++", "-std=c++17", "-Wall", "-Werror", folder / "rule.cpp", "-o", program], check=True
        )
    return by_program([program], image, folder)


def by_program(command: list, image: np.ndarray, folder: Path) -> np.ndarray:
    height, width = image.shape[:2]
    (folder / "in").write_bytes(image.tobytes())
    sides = [str(side) for side in (height, width, SIZE)]
    subprocess.run([*command, folder / "in", folder / "out", *sides], check=True)
    return np.frombuffer((folder / "out").read_bytes(), np.uint8).reshape(SIZE, SIZE, 3)


@pytest.mark.parametrize("language", [in_numpy, in_javascript, in_cpp])
def test_the_lines_make_the_pixels_of_the_tool(language, tmp_path):
    for height, width in SIZES:
        image = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
        tool = preprocess(cv2.imencode(".png", image[..., ::-1])[1].tobytes(), Preprocessing(SIZE))
        difference = np.abs(language(image, tmp_path) - tool.astype(float))
        assert difference.max() <= 1
        mixed = min(height, width) < SIZE < max(height, width)  # rounded in between
        assert (difference > 0).mean() < (0.35 if mixed else 0.02)


def test_the_weights_are_those_that_the_page_names():
    names: dict = {}
    exec(CODE["python"], names)
    np.testing.assert_allclose(names["weights"](5, 2), [[0.4, 0.4, 0.2, 0, 0], [0, 0, 0.2, 0.4, 0.4]])
    np.testing.assert_allclose(names["weights"](2, 3), [[1, 0], [0.5, 0.5], [0, 1]])


def test_the_clients_have_the_lines_of_the_page():
    assert CODE["cpp"] in (ROOT / "clients" / "cpp" / "square.hpp").read_text()


@pytest.mark.parametrize("turn", range(1, 9))
def test_the_program_that_only_decodes_turns_pictures_as_the_tool_does(turn, tmp_path):
    first = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "rule.md").read_text(), re.S)[1]
    lines = [line for line in first.splitlines() if not re.match(r"session|print|import onnxruntime", line)]
    photo = tmp_path / "dog.jpg"
    photo.write_bytes(encode(PICTURE, "JPEG", quality=95, orientation=turn))
    names: dict = {}
    exec("\n".join(lines).replace("dog.jpg", str(photo)), names)
    wanted = preprocess(photo.read_bytes(), Preprocessing(SIZE)).astype(float)
    given = in_numpy(names["picture"], tmp_path)
    assert given.shape == wanted.shape and np.abs(given - wanted).max() <= 1
