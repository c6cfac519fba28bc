"""Short trainings by train.py: begun, stopped by a signal, resumed."""

import signal
import subprocess
import sys
from pathlib import Path

from pigeonhole.commands import train

ROOT = Path(__file__).parents[2]
WEIGHTS = "model.data-00000-of-00001"
LENGTH = ["--epochs", "6", "--batch-size", "8", "--image-size", "20", "--threads", "2"]


def flags(data: Path, output: Path, name: str, *more: str) -> list[str]:
    """Those of a training of 54 steps on 90 pictures, all files below `output`."""
    where = ["--data", data, "--output", output, "--cache-dir", output / "cache", "--name", name]
    return [*map(str, where), *LENGTH, "--precision", "float32", "--no-report", *more]


def command(*arguments: str | Path) -> list[str]:
    """train.py with these arguments, its output unbuffered."""
    return [sys.executable, "-u", str(ROOT / "train.py"), *map(str, arguments)]


def done(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess:
    """The finished process of such a command."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=900, cwd=cwd)


def heed_ctrl_c() -> None:
    """In a child: a shell's background job, and so what the tests start there, ignores Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def stopped(arguments: list[str], by: signal.Signals, after: str) -> tuple[int, str]:
    """Exit status and output of a training that gets the signal once a line begins like that."""
    with subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, text=True, preexec_fn=heed_ctrl_c
    ) as process:
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith(after):
                process.send_signal(by)
                break
        said.append(process.communicate(timeout=120)[0])
    return process.returncode, "".join(said)


def resume(run: Path, *more: str) -> int:
    """Exit status of resuming the run, in this process."""
    return train.main(["--resume", str(run), "--cache-dir", str(run.parent / "cache"), *more])
