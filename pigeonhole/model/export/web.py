"""A saved model as a static web page: a folder that answers in the visitor's browser, also offline."""

import base64
import gzip
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import pigeonhole
from pigeonhole.errors import PigeonholeError
from pigeonhole.model import doubt, golden
from pigeonhole.model.engines import onnx_runtime
from pigeonhole.model.export import half_precision, onnx_file, web_icons, web_runtime
from pigeonhole.model.export.exporter import Answer, Source
from pigeonhole.pictures.images import REDUCED, Preprocessing

TITLE = "web page"
PLACE = "web"
NEEDS = onnx_file.NEEDS
HAS_INT8 = True

PAGE = Path(__file__).parent / "page"
LOOK = Path(pigeonhole.__file__).parent / "web" / "static"  # which it shares with the web app
SHARED = ("style.css", "icon.svg", "pictures.js", "camera.js")
WORKER = "sw.js"
MODEL = onnx_file.PLACE
RUNTIME = {web_runtime.SCRIPT: "ort.js", web_runtime.BINARY: "ort.wasm.bin"}
# Other processors and WebAssembly add in another order, and round halves of int8 to the other side.
TOLERANCE, INT8_TOLERANCE = golden.PROBABILITY_TOLERANCE, 0.02
TOP = 5  # classes shown at first
NAMED = 3  # classes in the name of the installed page


def write(source: Source, place: Path) -> None:
    """Write the folder, with `index.html` and all that it loads.

    Raises UsageError where ONNX Runtime Web is not there, PigeonholeError for a model of another program.
    """
    runtime = web_runtime.read(source.runtime)
    preprocessing = source.contract.preprocessing
    if preprocessing not in (_own(preprocessing, "area"), _own(preprocessing, REDUCED)):
        raise PigeonholeError("a web page resizes and scales as Pigeonhole's own models want it only")
    place.mkdir()
    onnx_file.write(source, place / MODEL)
    if source.calibration is not None:
        _store_halves(place / MODEL)
    complete(place, runtime, is_int8=source.calibration is not None)


def load(place: Path) -> Answer:
    """The probabilities of the model in the folder, by ONNX Runtime. The page itself needs a browser."""
    return onnx_file.load(place / MODEL)


def complete(place: Path, runtime: Mapping[str, bytes], is_int8: bool) -> None:
    """Write all but the model, which lies in the folder already. `runtime`: as of `web_runtime.read`."""
    for file in PAGE.iterdir():
        shutil.copyfile(file, place / file.name)
    for name in SHARED:
        shutil.copyfile(LOOK / name, place / name)
    for name, target in RUNTIME.items():
        data = runtime[name]
        (place / target).write_bytes(data if name == web_runtime.SCRIPT else gzip.compress(data, mtime=0))
    engine = onnx_runtime.restore(place / MODEL)
    _describe(place, engine, INT8_TOLERANCE if is_int8 else TOLERANCE)
    _make_installable(place, engine.classes)
    _keep_offline(place)
    _add_licences(place)


def _store_halves(file: Path) -> None:
    import onnx

    model = onnx.load(file)
    half_precision.store_halves(model)
    file.write_bytes(model.SerializeToString())


def _own(preprocessing: Preprocessing, resize: str) -> Preprocessing:
    """What a run's own model with this input wants."""
    return Preprocessing(preprocessing.image_size, preprocessing.channels, resize)


def _describe(place: Path, engine: onnx_runtime.OnnxRuntime, tolerance: float) -> None:
    """What the page must know of the model, and the golden examples, which it replays.

    Their pixels and answers are those of this computer, where the file has just replayed its own: older
    models had JPEGs decoded smaller, which no browser does.
    """
    preprocessing = _own(engine.contract.preprocessing, "area")
    examples, _ = golden.from_text(engine.metadata["golden"], engine.contract.preprocessing)
    pixels = golden.decode(examples.data, preprocessing)
    (probabilities,) = engine.run(["y_pred"], pixels)
    description = {
        "classes": engine.classes,
        "image_size": preprocessing.image_size,
        "channels": preprocessing.channels,
        "odds": doubt.ODDS,
        "top": TOP,
        "pixel_tolerance": golden.PIXEL_TOLERANCE,
        "probability_tolerance": tolerance,
        "model": _file(place / MODEL),
        "runtime": _file(place / RUNTIME[web_runtime.BINARY]),
        "golden": [
            {
                "type": "image/jpeg" if data.startswith(b"\xff\xd8") else "image/png",
                "file": base64.b64encode(data).decode(),
                "probabilities": [float(share) for share in said],
            }
            for data, said in zip(examples.data, probabilities, strict=True)
        ],
    }
    (place / "model.json").write_text(json.dumps(description, ensure_ascii=False), "utf-8")
    (place / "golden.bin").write_bytes(gzip.compress(pixels.tobytes(), mtime=0))


def _file(path: Path) -> dict[str, str | int]:
    """What is fetched, and how long that will be."""
    return {"name": path.name, "bytes": path.stat().st_size}


def _make_installable(place: Path, classes: Sequence[str]) -> None:
    """Icons, and the manifest by which a phone puts the page among its apps."""
    icons = []
    for side, full_bleed in ((192, False), (512, False), (512, True), (180, True)):
        name = f"icon-{side}{'-full' if full_bleed and side == 512 else ''}.png"
        (place / name).write_bytes(web_icons.draw(place / "icon.svg", side, full_bleed))
        purpose = "maskable" if full_bleed else "any"
        icons.append({"src": name, "sizes": f"{side}x{side}", "type": "image/png", "purpose": purpose})
    more = ", …" if len(classes) > NAMED else ""
    manifest = {
        "name": f"Pigeonhole: {', '.join(classes[:NAMED])}{more}",
        "short_name": "Pigeonhole",
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "background_color": "#ffffff",
        "theme_color": "#0063a8",
        "icons": icons[:3],  # the last is iOS', which does not look here
    }
    (place / "manifest.webmanifest").write_text(json.dumps(manifest, ensure_ascii=False, indent=2), "utf-8")


def _keep_offline(place: Path) -> None:
    """The service worker's list of files with their digests, and the name of its cache, made from these."""
    files = {}
    for file in sorted(place.iterdir()):
        if file.name != WORKER:
            digest = base64.b64encode(hashlib.sha256(file.read_bytes()).digest()).decode()
            files["./" if file.name == "index.html" else file.name] = f"sha256-{digest}"
    text = json.dumps(files, indent=2)
    worker = (place / WORKER).read_text("utf-8")
    worker = worker.replace("const FILES = {}", f"const FILES = {text}")
    name = hashlib.sha256(worker.encode()).hexdigest()[:16]
    (place / WORKER).write_text(worker.replace('"DIGEST"', f'"{name}"'), "utf-8")


def _add_licences(place: Path) -> None:
    """Those of ONNX Runtime, of which the Python package is another build."""
    for file in metadata.files("onnxruntime") or ():
        if file.name in ("LICENSE", "ThirdPartyNotices.txt") and len(file.parts) == 2:
            shutil.copyfile(file.locate(), place / f"onnxruntime-{file.name}")
