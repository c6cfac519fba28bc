"""The folder of a web page: what it holds, where its runtime comes from, its icons."""

import base64
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import tarfile

import cv2
import numpy as np
import pytest

from pigeonhole import Classifier
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.model.export import web, web_icons, web_runtime
from tests.support import saved_runs, web_pages

needs_runtime = pytest.mark.skipif(not web_pages.RUNTIME.is_dir(), reason=web_pages.WHY_NOT)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return saved_runs.ready(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    return web_pages.export(run, tmp_path_factory.mktemp("pages") / "web")


def kept(page) -> tuple[str, dict[str, str]]:
    """The name of the service worker's cache, and the digests by file."""
    text = (page / "sw.js").read_text("utf-8")
    files = json.loads(re.search(r"FILES = (\{.*?\});", text, re.S)[1])
    return re.search(r'PREFIX \+ "(\w+)"', text)[1], files


@needs_runtime
def test_all_that_the_page_loads_is_in_the_folder_and_kept_with_its_digest(page):
    _, files = kept(page)
    names = {"index.html" if file == "./" else file for file in files}
    licences = {"onnxruntime-LICENSE", "onnxruntime-ThirdPartyNotices.txt"}
    assert names == {path.name for path in page.iterdir()} - {"sw.js"} - licences
    for file, integrity in files.items():
        digest = hashlib.sha256((page / ("index.html" if file == "./" else file)).read_bytes()).digest()
        assert integrity == f"sha256-{base64.b64encode(digest).decode()}", file
    for name in names - {"ort.js"}:
        if name.endswith((".js", ".css", ".html", ".webmanifest")):
            text = (page / name).read_text("utf-8")
            assert not re.findall(r"(?:src|href)=\"(?:https?:)?//|from \"[^.]|url\(", text), name
            loaded = re.findall(r"(?:src|href)=\"([^#\"]+)\"|from \"\./([^\"]+)\"", text)
            assert {first or second for first, second in loaded} <= names, name


@needs_runtime
def test_the_page_is_small_beside_the_model_and_names_what_is_inside(page):
    sizes = {path.name: path.stat().st_size for path in page.iterdir()}
    assert sum(sizes.values()) - sizes["model.onnx"] < 5_000_000
    told = json.loads((page / "model.json").read_text("utf-8"))
    assert told["classes"] == list(saved_runs.CLASSES) and told["image_size"] == saved_runs.SIZE
    for part, name in (("model", "model.onnx"), ("runtime", "ort.wasm.bin")):
        assert told[part] == {"name": name, "bytes": sizes[name]}
    runtime = gzip.decompress((page / "ort.wasm.bin").read_bytes())
    assert runtime.startswith(b"\0asm")
    manifest = json.loads((page / "manifest.webmanifest").read_text("utf-8"))
    assert manifest["name"] == "Pigeonhole: cat, dog, été 北"
    for icon in manifest["icons"]:
        side = int(icon["sizes"].split("x")[0])
        assert cv2.imread(str(page / icon["src"])).shape == (side, side, 3)


@needs_runtime
def test_the_golden_pixels_and_answers_are_those_of_the_model(page, run):
    told = json.loads((page / "model.json").read_text("utf-8"))
    files = [base64.b64decode(example["file"]) for example in told["golden"]]
    pixels = np.frombuffer(gzip.decompress((page / "golden.bin").read_bytes()), np.uint8)
    with Classifier.load(run, engine="tensorflow") as classifier:
        read = np.stack([classifier.read(file) for file in files])
        said = classifier.predict(files)
    np.testing.assert_array_equal(pixels.reshape(-1, 16, 16, 3), read)
    np.testing.assert_allclose([example["probabilities"] for example in told["golden"]], said, atol=1e-5)


@needs_runtime
@pytest.mark.parametrize("changed", ["nothing", "model.onnx", "page.css"])
def test_whatever_file_changes_makes_another_cache(page, tmp_path, changed):
    again = shutil.copytree(page, tmp_path / "again")
    shutil.copyfile(web.PAGE / "sw.js", again / "sw.js")
    for file in again.glob("onnxruntime-*"):
        file.unlink()
    if changed != "nothing":
        (again / changed).write_bytes((again / changed).read_bytes() + b" ")
    web._keep_offline(again)
    assert (kept(again)[0] == kept(page)[0]) is (changed == "nothing")


@needs_runtime
def test_the_runtime_is_found_in_the_working_folder_in_a_folder_and_in_the_archive(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"npm install onnxruntime-web@.*--runtime"):
        web_runtime.read()
    os.symlink(web_pages.RUNTIME.parent, "node_modules")
    found = web_runtime.read()
    assert found.keys() == web_runtime.SHA256.keys()
    with tarfile.open(web_runtime.ARCHIVE, "w:gz", compresslevel=1) as archive:
        for name, data in found.items():
            about = tarfile.TarInfo(f"package/dist/{name}")
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    for place in (web_runtime.ARCHIVE, "node_modules", ".", web_pages.RUNTIME, web_pages.RUNTIME / "dist"):
        assert web_runtime.read(tmp_path / place) == found
    os.unlink("node_modules")
    assert web_runtime.read() == found


def test_another_version_and_what_is_none_are_refused(tmp_path):
    package = tmp_path / "dist"
    package.mkdir()
    for name in web_runtime.SHA256:
        (package / name).write_bytes(b"of another version")
    with pytest.raises(UsageError, match=r"ort\.wasm\.bundle\.min\.mjs is not that of onnxruntime-web"):
        web_runtime.read(tmp_path)
    shutil.rmtree(package)
    (tmp_path / "text.tgz").write_text("no archive")
    with tarfile.open(tmp_path / "empty.tgz", "w:gz"):
        pass
    for name in ("", "gone", "text.tgz", "empty.tgz"):
        with pytest.raises(UsageError, match="no onnxruntime-web"):
            web_runtime.read(tmp_path / name)


def test_icons_are_as_the_drawing_says():
    plain, full = (
        cv2.imdecode(np.frombuffer(web_icons.draw(web.LOOK / "icon.svg", 64, bleed), np.uint8), -1)
        for bleed in (False, True)
    )
    assert plain.shape == full.shape == (64, 64, 4)
    assert plain[0, 0, 3] == 0 and (full[..., 3] == 255).all()
    assert plain[32, 2].tolist() == full[0, 0].tolist() == [0xA8, 0x63, 0x00, 255]  # BGR: blue
    assert plain[20, 44].tolist() == full[22, 42].tolist() == [0x5C, 0xB4, 0xFF, 255]  # the orange square
    mixed = [round(255 * 0.35 + 0.65 * value) for value in (0xA8, 0x63, 0x00)]
    assert np.abs(plain[20, 20, :3].astype(int) - mixed).max() <= 1


def test_a_model_that_wants_other_pixels_has_no_page(run, monkeypatch):
    from pigeonhole.pictures.images import Preprocessing

    class Foreign:
        runtime = None

        class contract:
            preprocessing = Preprocessing(16, colour_order="bgr")

    monkeypatch.setattr(web_runtime, "read", lambda place: {})
    with pytest.raises(PigeonholeError, match="own models"):
        web.write(Foreign, None)
