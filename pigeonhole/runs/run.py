"""One run: where each file of its folder lies, how to read and write it, and how far its training has got."""

import ast
import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, overload

from pigeonhole import atomic_file, locks
from pigeonhole.errors import PigeonholeError
from pigeonhole.runs import files, objects, seals

if TYPE_CHECKING:
    import numpy as np

MODEL = "model"
MOST_BYTES = 1 << 27  # of a training picture that is shown, and of all thumbnails
_MODEL_PATH = re.compile(r'^\s*model_checkpoint_path:\s*("(?:[^"\\]|\\.)*")\s*$', re.MULTILINE)


class Inside:
    """The path of a file or folder inside a run, as an attribute of the run. Of the class: its name."""

    def __init__(self, name: str):
        self.name = name

    @overload
    def __get__(self, run: None, owner: type | None = None) -> "Inside": ...

    @overload
    def __get__(self, run: "Run", owner: type | None = None) -> Path: ...

    def __get__(self, run: "Run | None", owner: type | None = None) -> "Path | Inside":
        return self if run is None else run.folder / self.name


class _OnnxFile(Inside):
    """That of a run; or, where a lone ONNX file takes the place of a run's folder, that file."""

    def __get__(self, run: "Run | None", owner: type | None = None) -> "Path | Inside":
        return run.folder if run is not None and run.is_lone else super().__get__(run, owner)


@dataclass(frozen=True)
class Run:
    """A run's folder. Its model's files are `model.meta` and others; a checkpoint that another program wrote
    into `folder` has another `model_name`. Nothing is read before it is asked for, and no file need exist.

    `folder` may also be a lone ONNX file, a model without any other file of its run. `origin`: the archive
    that it was unpacked from, for as long as the process lasts.

    Readers raise PigeonholeError, naming the file, where it is missing or damaged. Writers replace the file
    completely, and raise OSError.
    """

    folder: Path
    model_name: str = MODEL
    origin: Path | None = None

    checkpoint_file = Inside("checkpoint")  # TensorFlow's: names the model's files, and is written last
    labels_file = Inside("labels.txt")
    onnx_file = _OnnxFile("model.onnx")  # by model.export
    settings_file = Inside("settings.json")
    history_file = Inside("history.csv")
    split_file = Inside("split.csv")  # by data.split
    progress_file = Inside("progress.json")
    result_file = Inside("result.json")
    fixes_file = Inside("fixes.csv")  # by data.fixes
    decisions_file = Inside("decisions.csv")  # by labelling.run_review
    judged_file = Inside("judged.csv")  # by evaluation.judged_answers
    fingerprints_file = Inside("fingerprints.npz")  # by evaluation.leakage
    known_file = Inside("known_pictures.npz")  # by features.known
    report_page = Inside("report.html")  # by report.page, from the sections in report_store
    report_store = Inside("report.json")
    typical_sheet = Inside("typical.jpg")  # by jobs.typical
    checkpoints_folder = Inside("checkpoints")  # by runs.checkpoints; removed when the training is complete
    candidates_folder = Inside(os.path.join("checkpoints", "candidates"))  # those whose training has ended
    last_state_file = Inside("last_state.npz")  # by runs.checkpoints, when the training is complete
    lock_file = Inside(os.path.join("checkpoints", "lock"))
    tensorboard_folder = Inside(os.path.join("tracking", "tensorboard"))  # by jobs.tracking
    mlflow_folder = Inside(os.path.join("tracking", "mlflow"))  # by jobs.tracking
    seals_file = Inside(seals.FILE)  # by runs.seals: digests of other files
    unfinished_model_folder = Inside(".saving")  # by model.metagraph
    exports_folder = Inside("exports")  # by jobs.exporting

    def __fspath__(self) -> str:
        return str(self.folder)

    def __str__(self) -> str:
        return str(self.origin or self.folder)

    @property
    def name(self) -> str:
        """The folder's name, or that of the file in its place without its extension."""
        if self.origin or self.is_lone:
            return (self.origin or self.folder).stem
        return self.folder.resolve().name

    @property
    def is_lone(self) -> bool:
        """Whether it is an ONNX file and nothing else."""
        return self.folder.suffix.lower() == ".onnx" and self.folder.is_file()

    @property
    def keeps_files(self) -> bool:
        """Whether there is a folder into which a report and figures can be written."""
        return self.origin is None and not self.is_lone

    @property
    def prefix(self) -> Path:
        """What the names of the model's files begin with: `runs/NAME/model` for `runs/NAME/model.meta`."""
        return self.folder / self.model_name

    def describe(self) -> str:
        """The run in words: its folder, and a note where its training is not finished."""
        place = self if self.model_name == MODEL else self.prefix
        if self.is_complete:
            return str(place)
        return f"{place} (the training is {'being lengthened' if self.was_finished else 'not finished'})"

    # How far its training has got.

    def named_model(self) -> str | None:
        """The model that TensorFlow's `checkpoint` file names, perhaps with a path; None without the file.

        Raises PigeonholeError where the file is damaged or cannot be read.
        """
        try:
            text = self.checkpoint_file.read_text("utf-8", errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise PigeonholeError(f"{self.checkpoint_file}: cannot be read ({error.strerror})") from error
        try:
            # TensorFlow escapes what is not ASCII, byte by byte, as Python does in a bytes literal.
            quoted = _MODEL_PATH.search(text)[1]
            return ast.literal_eval(f"b{quoted}").decode("utf-8", errors="surrogateescape")
        except (TypeError, ValueError, SyntaxError) as error:
            raise PigeonholeError(f"{self.checkpoint_file}: damaged, it names no model") from error

    @property
    def has_model(self) -> bool:
        """Whether the run's own model is complete. It may be that of a training that was stopped."""
        try:
            return self.named_model() == MODEL
        except PigeonholeError:
            return False

    @property
    def is_complete(self) -> bool:
        """Whether the training came to its end: nothing is left for `train --resume`."""
        return not self.checkpoints_folder.is_dir()

    @property
    def is_interrupted(self) -> bool:
        """Whether no model is saved, but a state of the training from which one can be made."""
        if self.has_model or self.is_complete:
            return False
        return self.was_finished or any(self.checkpoints_folder.glob("step-*.npz"))

    @property
    def was_finished(self) -> bool:
        """Whether the training came to its end at least once. It may be lengthened at present."""
        return self.last_state_file.is_file()

    @property
    def last_written(self) -> int:
        """When the model or a state of the training was written last, or the training begun; nanoseconds."""
        times = [0]
        for path in (self.checkpoint_file, self.checkpoints_folder, self.settings_file):
            with contextlib.suppress(OSError):
                times.append(path.stat().st_mtime_ns)
        return max(times)

    @property
    def is_held(self) -> bool:
        """Whether a process is training this run at present."""
        return locks.is_held(self.lock_file)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from training this run. Raises PigeonholeError where one does so already."""
        self.checkpoints_folder.mkdir(exist_ok=True)
        with locks.at_once(self.lock_file) as is_ours:
            if not is_ours:
                raise PigeonholeError(f"{self}: another process is training this run")
            yield

    # What its files hold.

    def settings(self) -> dict:
        """All that was asked for and followed from it, as `settings.write` writes it."""
        return files.read_object(self.settings_file)

    def write_settings(self, settings: Mapping[str, object]) -> None:
        objects.write(self.settings_file, settings, indent=2)

    def progress(self) -> dict:
        """Where the training stands, as `live.write` writes it."""
        return files.read_object(self.progress_file)

    def write_progress(self, progress: Mapping[str, object]) -> None:
        objects.write(self.progress_file, progress)

    def result(self) -> dict:
        """What the training reached, as `jobs.conclusion` writes it."""
        return files.read_object(self.result_file)

    def write_result(self, result: Mapping[str, object]) -> None:
        objects.write(self.result_file, result, indent=2)

    def history(self) -> "dict[str, np.ndarray]":
        """The validations so far by column, float64 [validations], as `history.History` writes them.

        The last one is left out while its line is being written. What was logged between them: `logged`.
        """
        return files.figures(self.history_file)

    def logged(self) -> "dict[str, np.ndarray]":
        """The steps between validations that `train --log-every` has kept, by column; NaN: not known."""
        return files.figures(self.history_file, whole=False)

    def split(self) -> list[dict[str, str]]:
        """The pictures by `path`, `class`, `side` ("train" or "valid") and `digest` (sha256)."""
        return files.table(self.split_file, ("path", "class", "side", "digest"))

    def judged(self) -> list[dict[str, str]]:
        """The pictures by which the run was judged: `path`, `digest`, `class`, the `answer` and its
        `probability`."""
        return files.table(self.judged_file, ("path", "digest", "class", "answer"))

    def report(self) -> bytes:
        """The report's page."""
        return files.own(self.report_page)

    def known_pictures(self) -> bytes | None:
        """The archive that `features.known` reads; None where the run keeps none."""
        has_them = self.model_name == MODEL and os.path.lexists(self.known_file)
        return files.own(self.known_file, MOST_BYTES) if has_them else None

    def training_pictures(self, side: str = "train") -> Iterator["TrainingPicture"]:
        """Those of one side of the split, "train" or "valid"; they may be missing or changed by now.

        No name leads out of the folder, but links in it are followed, as in training.
        """
        try:
            folder = Path(self.settings()["options"]["data"]).resolve()
            for row in self.split():
                path = Path(os.path.normpath(folder / row["path"]))
                if row["side"] == side and row["digest"] and path.is_relative_to(folder):
                    yield TrainingPicture(row["class"], path, row["digest"])
        except (PigeonholeError, OSError, ValueError, KeyError, TypeError):
            return

    def tested(self) -> dict[str, object]:
        """Of `result`, what concerns the last test: {"test": figures}; empty where there was none."""
        try:
            return {"test": self.result()["test"]}
        except (PigeonholeError, KeyError):
            return {}

    def write_tested(self, figures: Mapping[str, object]) -> None:
        """Put the figures of the last test into the result, next to what the training reached."""
        so_far = self.result() if self.result_file.exists() else {}
        self.write_result({**so_far, "test": figures})

    @property
    def stamp(self) -> tuple[tuple[int, ...], ...]:
        """Another value once another model has been saved here, or another run has taken this one's place."""
        stamps = []
        model = (self.folder,) if self.is_lone else (self.checkpoint_file, Path(f"{self.prefix}.meta"))
        for path in model:
            with contextlib.suppress(OSError):
                status = path.stat()
                stamps.append((status.st_ino, status.st_size, status.st_mtime_ns))
        return tuple(stamps)

    def labels(self) -> list[str]:
        """The class names, in the order of the model's outputs."""
        try:
            text = files.text(self.labels_file, "strict").read().removesuffix("\n")
            return text.split("\n") if text else []
        except (OSError, ValueError) as error:
            raise PigeonholeError(f"{self.labels_file}: cannot be read ({error})") from error

    def write_labels(self, classes: Iterable[str]) -> None:
        with atomic_file.write(self.labels_file) as file:
            file.writelines(f"{name}\n" for name in classes)


class TrainingPicture(NamedTuple):
    """A picture as a run has recorded it. `digest`: sha256 of the content, hexadecimal."""

    class_name: str
    path: Path
    digest: str

    def read(self) -> bytes:
        """The content. Raises PigeonholeError where it is no longer what was recorded.

        A run may come from strangers and name any file: nothing is given that its maker did not have.
        """
        try:
            content = files.regular(self.path, most=MOST_BYTES)
        except OSError as error:
            raise PigeonholeError(f"{self.path}: cannot be read ({error.strerror})") from error
        if hashlib.sha256(content).hexdigest() != self.digest:
            raise PigeonholeError(f"{self.path}: not the picture that the run was trained on")
        return content
