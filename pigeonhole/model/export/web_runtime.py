"""ONNX Runtime Web, which computes the answers in a browser: found on this computer, and checked."""

import hashlib
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

from pigeonhole.errors import UsageError, first_line

PACKAGE = "onnxruntime-web"  # on npm
VERSION = "1.30.0"
ARCHIVE = f"{PACKAGE}-{VERSION}.tgz"  # as npm offers it
SCRIPT, BINARY = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
# The smallest of the package's builds: by the processor alone, without WebGPU and WebGL.
SHA256 = {
    SCRIPT: "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    BINARY: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
HOW = (
    f"run `npm install {PACKAGE}@{VERSION}` here, or `npm pack {PACKAGE}@{VERSION}` on another computer, "
    f"and name the archive {ARCHIVE} with --runtime"
)


def read(place: Path | None = None) -> dict[str, bytes]:
    """The files of SHA256 by name, from a folder or archive of the package.

    `place`: either of these; None looks in the working folder for `node_modules` and for the archive. Nothing
    is downloaded. Raises UsageError where they are missing or of another version.
    """
    if place is None:
        candidates = [Path("node_modules", PACKAGE), Path(ARCHIVE)]
        place = next((each for each in candidates if each.exists()), None)
        if place is None:
            raise UsageError(f"a web page needs {PACKAGE} {VERSION}: {HOW}")
    try:
        if place.is_dir():
            return _checked(place, lambda name: _in_folder(place, name).read_bytes())
        with tarfile.open(place) as archive:
            return _checked(place, lambda name: archive.extractfile(f"package/dist/{name}").read())
    except (OSError, KeyError, EOFError, tarfile.TarError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
        raise UsageError(f"{place}: no {PACKAGE} {VERSION} ({reason}): {HOW}") from error


def _in_folder(place: Path, name: str) -> Path:
    """Of the package, of its folder `dist`, or of one that holds `node_modules`."""
    folders = [place / "dist", place, place / PACKAGE / "dist", place / "node_modules" / PACKAGE / "dist"]
    return next((folder / name for folder in folders if (folder / name).is_file()), folders[0] / name)


def _checked(place: Path, read_file: Callable[[str], bytes]) -> dict[str, bytes]:
    files = {name: read_file(name) for name in SHA256}
    for name, data in files.items():
        if hashlib.sha256(data).hexdigest() != SHA256[name]:
            raise UsageError(f"{os.fspath(place)}: its {name} is not that of {PACKAGE} {VERSION}: {HOW}")
    return files
