"""Answers as a Parquet file. Its rows wait in parts beside it until the job ends, since a Parquet file can be
read only once it is complete."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from pigeonhole import atomic_file, extras, locks
from pigeonhole.data import tables
from pigeonhole.errors import UsageError
from pigeonhole.jobs.bulk.rows import ERROR, FILE, MODEL, Kept, Layout, written
from pigeonhole.jobs.prediction import Answer

FLAG = "--parquet"
# A part is written when it has one of these: what a kill can cost, and what is held in memory.
PART_ROWS, PART_VALUES, PART_SECONDS = 10_000, 1_000_000, 60
_PARTS_INSIDE = b"pigeonhole parts"  # metadata of the complete file: parts below this number are in it


def require() -> None:
    """Raise MissingExtra where the package that writes Parquet is not installed."""
    extras.require(FLAG, "pyarrow")


def parts_of(path: Path) -> Path:
    """The folder beside the file in which the rows of an unfinished job lie."""
    return path.with_name(f"{path.name}.parts")


class ParquetFile(AbstractContextManager):
    """The rows of a job, in parts that take their place complete, and at the end in one file.

    At the end of its `with` block the parts become the file. After Ctrl-C or a kill they are there for the
    next job that resumes; after a kill, the part that was being filled has to be answered again.
    """

    def __init__(self, path: Path, layout: Layout, resume: bool = False):
        self._path, self._layout = path, layout
        self._parts = parts_of(path)
        self._rows: list[list] = []
        self._most_rows = max(1, min(PART_ROWS, PART_VALUES // len(layout.columns)))
        self._since = time.monotonic()
        self._schema = _schema(layout)
        self.failures = 0
        if self._parts.exists() and not resume:
            raise UsageError(
                f"{FLAG} {path}: {self._parts} holds answers of an unfinished job; add --resume, or delete it"
            )
        is_new = not self._parts.exists()
        self._parts.mkdir(exist_ok=True)
        self._replaces = self._parts / ".replaces"  # says that the file which is there is not kept
        if not resume:
            self._replaces.touch()
        with contextlib.ExitStack() as opened:
            if not opened.enter_context(locks.at_once(self._parts / ".lock")):
                raise UsageError(f"{FLAG} {path}: another process is writing it; wait for it")
            try:
                inside = self._drop_parts_inside()
                self._number = max([inside, *(int(part.stem) + 1 for part in self._complete())])
                self.kept = Kept(self._names())
            except UsageError:
                if is_new:
                    self._remove_parts()
                raise
            self._opened = opened.pop_all()

    def __contains__(self, name: str) -> bool:
        return name in self.kept

    def add(self, answers: Sequence[Answer]) -> None:
        """Take a row for each; write a part where there are enough. Raises OSError, naming the file."""
        self._rows += [self._layout.values(answer) for answer in answers]
        if len(self._rows) >= self._most_rows or time.monotonic() - self._since > PART_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what has been taken as a part."""
        import pyarrow
        from pyarrow import parquet

        self._since = time.monotonic()
        if not self._rows:
            return
        columns = [_texts(column) for column in zip(*self._rows, strict=True)]
        table = pyarrow.Table.from_arrays(
            [pyarrow.array(column, each.type) for column, each in zip(columns, self._schema, strict=True)],
            schema=self._schema,
        )
        with atomic_file.write_binary(self._parts / f"{self._number:08}.parquet") as file:
            parquet.write_table(table, file)
        self._number += 1
        self._rows = []

    def __exit__(self, kind: type | None, *error: object) -> None:
        with self._opened:
            with contextlib.suppress(OSError) if kind else contextlib.nullcontext():
                self.flush()
            if kind:  # the parts stay, to go on from
                return
            self._merge()
        self._remove_parts()

    def _remove_parts(self) -> None:
        # Once nothing says that the file is not kept, a kill leaves parts that are known to be inside.
        for mine in [self._replaces, *self._complete(), self._parts / ".lock"]:
            mine.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # what somebody else has put there stays
            self._parts.rmdir()

    def _merge(self) -> None:
        """One file of what was there before and the parts, a row group for each."""
        from pyarrow import parquet

        schema = self._schema.with_metadata(
            {**self._schema.metadata, _PARTS_INSIDE: str(self._number).encode()}
        )
        with atomic_file.write_bytes_out(self._path) as file, parquet.ParquetWriter(file, schema) as writer:
            for source in self._sources():
                with parquet.ParquetFile(source) as part:
                    for group in range(part.num_row_groups):
                        rows = part.read_row_group(group)
                        writer.write_table(rows.replace_schema_metadata(schema.metadata))

    def _sources(self) -> list[Path]:
        """The files whose rows are kept: that of an earlier job, and the parts."""
        return [*([self._path] if self._is_kept else []), *self._complete()]

    @property
    def _is_kept(self) -> bool:
        """Whether the rows of the file that is there are kept."""
        return self._path.is_file() and not self._replaces.exists()

    def _complete(self) -> list[Path]:
        return sorted(self._parts.glob(f"{'[0-9]' * 8}.parquet"))

    def _inside(self) -> int:
        """How many parts a process that was killed had put into the file before it removed them."""
        from pyarrow import parquet

        if not self._is_kept:
            return 0
        with _explained(self._path):
            metadata = parquet.read_schema(self._path).metadata or {}
            return int(metadata.get(_PARTS_INSIDE, b"0"))

    def _drop_parts_inside(self) -> int:
        """Delete those parts; gives the number of the first that is not inside."""
        inside = self._inside()
        atomic_file.remove_leftovers(self._parts)
        for part in self._complete():
            if int(part.stem) < inside:
                part.unlink()
        return inside

    def _names(self) -> Iterator[str]:
        """The names in all rows that are kept. Raises UsageError where they are not of such a job."""
        from pyarrow import parquet

        for source in self._sources():
            with _explained(source), parquet.ParquetFile(source) as file:
                found = file.schema_arrow
                if found.names != self._schema.names or found.types != self._schema.types:
                    raise ValueError("it has other columns, so perhaps other classes")
                if (found.metadata or {}).get(MODEL.encode()) != self._layout.model.encode():
                    raise ValueError("another model answered there")
                for batch in file.iter_batches(columns=[FILE, ERROR]):
                    self.failures += len(batch) - batch.column(1).null_count
                    yield from batch.column(0).to_pylist()


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, OSError) as error:  # PyArrow's are of these kinds
        reason = str(error).partition("\n")[0]
        raise UsageError(f"{FLAG} {path}: cannot be resumed, {reason}; name another file") from error


def _schema(layout: Layout):
    import pyarrow

    def kind(column: str) -> pyarrow.DataType:
        if column == "unsure":
            return pyarrow.bool_()
        shares = tables.share_columns(layout.classes)
        is_number = column == "confidence" or column in shares or column.endswith("_cosine")
        return pyarrow.float32() if is_number else pyarrow.string()

    fields = [pyarrow.field(written(column), kind(column)) for column in layout.columns]
    return pyarrow.schema(fields, {MODEL: layout.model})


def _texts(column: Sequence) -> list:
    return [written(value) if isinstance(value, str) else value for value in column]
