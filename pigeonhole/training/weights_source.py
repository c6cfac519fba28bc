"""Where the weights are stored that a training starts from."""

import difflib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.features import pretrained
from pigeonhole.networks.registry import NETWORKS, PRETRAINED
from pigeonhole.runs import search
from pigeonhole.runs.run import Run

IMAGENET = "imagenet"
FILES = (".h5", ".hdf5", ".keras")


@dataclass(frozen=True)
class Source:
    """`named`: as the user named it. `path`: a Keras weights file, or where `is_run` a model's prefix."""

    named: str
    path: Path
    is_run: bool

    def digest(self) -> str:
        """sha256, in hexadecimal, of everything that is read from it."""
        digest = hashlib.sha256()
        for file in self._files():
            with file.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
        return digest.hexdigest()

    def settings(self) -> dict:
        """What a run says of its training; nothing of a file, or of a model that came without settings."""
        try:
            return Run(self.path.parent).settings() if self.is_run else {}
        except PigeonholeError:
            return {}

    def _files(self) -> list[Path]:
        if not self.is_run:
            return [self.path]
        kinds = (".meta", ".index", ".data-")
        beginnings = tuple(f"{self.path.name}{kind}" for kind in kinds)
        return sorted(file for file in self.path.parent.iterdir() if file.name.startswith(beginnings))


def find(named: str, network: str | None, flag: str = "--weights") -> Source:
    """The source that `flag` names. Raises UsageError, and PigeonholeError for an unfinished run.

    For `imagenet` the file for `network` is downloaded to where Keras keeps its own, unless it is there or
    installed as a package.
    """
    if named == IMAGENET:
        return Source(named, published(network), is_run=False)
    path = Path(named)
    if path.is_file() and path.suffix in FILES:
        return Source(named, path, is_run=False)
    if path.suffix in FILES:
        raise UsageError(f"{flag} {named}: no such file")
    if difflib.get_close_matches(named.lower(), [IMAGENET], cutoff=0.8) and not path.exists():
        raise UsageError(f"{flag} {named}: no such run or file; did you mean {IMAGENET}?")
    run = search.find(named, flag)
    if run.is_lone:
        raise UsageError(f"{flag} {named}: an ONNX file has no weights to go on from; name a run")
    if run.is_interrupted:
        raise PigeonholeError(f"{flag} {named}: this training is not finished")
    return Source(named, run.prefix, is_run=True)


def published(network: str | None, flag: str = "--weights") -> Path:
    """The file of a network's published weights, downloaded unless it is there. Raises UsageError and
    DownloadError, which name the `flag` that takes such a file from the user."""
    if network not in PRETRAINED:
        raise UsageError(f"--weights imagenet: choose a --network from {', '.join(PRETRAINED)}")
    if NETWORKS[network].has_weights:
        return pretrained.file()
    application = NETWORKS[network].application
    path = keras_home() / "models" / Path(application.path).name
    from pigeonhole.data.sources import downloads

    return downloads.once(application.url, path, application.md5, flag)


def keras_home() -> Path:
    """The folder in which Keras keeps what it downloads."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
