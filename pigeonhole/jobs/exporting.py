"""A run's model in other forms: each made aside, asked for the same pictures, certified, put into place."""

import json
import platform
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path

from pigeonhole import __version__, atomic_file, cli, extras
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.jobs import export_examples
from pigeonhole.jobs import export_places as places
from pigeonhole.jobs.export_certificate import Certificate, certified
from pigeonhole.model import metagraph
from pigeonhole.model.export import exporting, replaying, web_runtime
from pigeonhole.model.export.exporter import EXPORTERS, Exporter, Source, exporter_of, place_of
from pigeonhole.model.export.replaying import Examples
from pigeonhole.runs import search
from pigeonhole.runs.run import Run

PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "onnx", "onnxruntime", "ai-edge-litert", "openvino")


@dataclass(frozen=True)
class Form:
    """A form that is wanted: its name in EXPORTERS, and whether it shall compute in int8."""

    name: str
    int8: bool = False

    def __str__(self) -> str:
        return f"{self.name} int8" if self.int8 else self.name

    @property
    def exporter(self) -> Exporter:
        return exporter_of(self.name)

    @property
    def place(self) -> str:
        """The name of the file or folder."""
        return place_of(self.exporter, self.int8)


@dataclass(frozen=True)
class Exported:
    """A form that is in its place, and its certificate."""

    form: Form
    place: Path
    certificate: Certificate


class ExportJob(AbstractContextManager):
    """A restored run that is exported. Making it finds the mistakes in what is asked for.

    forms   what `export` will be asked for
    model   what `search.find` takes; None: the newest finished run
    output  the folder for the forms, or the file where there is one form; None: `exports` in the run
    runtime where ONNX Runtime Web lies, as of `Source`

    Raises UsageError where a form cannot be written there or ONNX Runtime Web is asked for and missing,
    PigeonholeError where the run has no model.
    """

    def __init__(
        self,
        forms: Sequence[Form],
        model: str | None = None,
        output: Path | None = None,
        runtime: Path | None = None,
    ):
        self.run = _finished(model)
        self._runtime = runtime
        self._places = dict(
            zip(forms, places.find([form.place for form in forms], self.run, output), strict=True)
        )
        if any(form.name == "web" for form in forms):
            web_runtime.read(runtime)
        self._session = metagraph.restore(self.run.prefix)
        if metagraph.read_contract(self._session) is None:
            self._session.close()
            raise UsageError(f"{self.run.prefix}: a checkpoint of another program; only runs are exported")

    def __exit__(self, *error: object) -> None:
        self._session.close()

    @cached_property
    def examples(self) -> Examples:
        """What each form is asked for."""
        return export_examples.find(self.run, self._session)

    def export(self, form: Form) -> Exported:
        """Make the form, compare its answers with the model's, and put it into place with its certificate.

        Raises PigeonholeError where it cannot be made or answers otherwise; nothing is left of it then.
        """
        exporter, place = form.exporter, self._places[form]
        certificate_file = places.certificate_of(place)
        require(form)
        source = Source(self.run, self._session, self._calibration if form.int8 else None, self._runtime)
        try:
            with places.folder_of(place), exporting.making(place, certificate_file) as aside:
                made = aside / place.name
                exporter.write(source, made)
                certificate = self._certify(form, made)
                _write(certificate, aside / certificate_file.name)
        except Exception as error:  # converters and runtimes raise anything
            raise PigeonholeError(f"{form}: not written: {places.reason(error, place)}") from error
        return Exported(form, place, certificate)

    def reference(self) -> tuple[int, float]:
        """Of the run itself, by TensorFlow: bytes of its model's files, and milliseconds a picture."""

        def answer(pixels):
            return self._session.run("y_pred:0", {"x:0": pixels})

        size = sum(file.stat().st_size for file in metagraph.files(self.run.prefix))
        return size, replaying.milliseconds(answer, self.examples)

    @cached_property
    def _calibration(self):
        if self.examples.labels is None:
            raise PigeonholeError(
                "int8: needs the run's training and validation pictures, which are not where the run found "
                f"them{export_examples.where(self.run)}"
            )
        return export_examples.calibration(self.run, self._session)

    def _certify(self, form: Form, made: Path) -> Certificate:
        replayed = replaying.replay(form.exporter.load(made), self.examples)
        about = {
            "form": form.name,
            "int8": form.int8,
            "run": self.run.name,
            "model": metagraph.read_contract(self._session).golden,
            "versions": versions(),
            "machine": f"{platform.system()} {platform.machine()}",
        }
        return certified(about, made, self._places[form], replayed)


def all_forms() -> Iterator[Form]:
    """Every form, and behind those that can compute in int8 that one too."""
    for name in EXPORTERS:
        yield (form := Form(name))
        if form.exporter.HAS_INT8:
            yield Form(name, int8=True)


def versions() -> dict[str, str]:
    """What has made and asked the forms, of those that are installed."""
    found = {"pigeonhole": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def require(form: Form) -> None:
    """Raise MissingExtra where this installation lacks what the form is made by."""
    extras.require(f"exporting to {form.exporter.TITLE}", *form.exporter.NEEDS)


def _finished(model: str | None) -> Run:
    run = search.find(model)
    if run.is_lone:
        raise UsageError(f"{run}: an ONNX file alone; name the folder of the run that it comes from")
    if run.is_interrupted:
        raise PigeonholeError(
            f"{run}: the training has not ended; go on with: "
            f"{cli.command('train')} --resume {cli.quote(run.folder)}"
        )
    return run


def _write(certificate: Certificate, file: Path) -> None:
    with atomic_file.naming(file):
        file.write_text(json.dumps(certificate.content, indent=2, ensure_ascii=False) + "\n", "utf-8")
