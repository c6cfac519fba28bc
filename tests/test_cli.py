"""What leaves a program: one line and the documented exit status."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def program(body: str) -> subprocess.CompletedProcess:
    start = "from pigeonhole import cli, errors\ndef main(arguments):\n"
    source = f"{start}{textwrap.indent(body, '    ')}\ncli.run(main)\n"
    return subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    "body, status, line",
    [
        ("print('fine')", 0, ""),
        ("print('no UTF-8: \\udce9')", 0, ""),
        ("return 1", 1, ""),
        ("raise errors.PigeonholeError('a.jpg: empty')", 1, "error: a.jpg: empty"),
        ("raise errors.UsageError('--top 0: from 1 up')", 2, "error: --top 0: from 1 up"),
        ("raise KeyboardInterrupt", 130, "error: interrupted"),
        ("open('/no/such/file')", 1, "error: No such file or directory: /no/such/file"),
    ],
)
def test_exit_status_and_one_line(body, status, line):
    done = program(body)
    assert (done.returncode, done.stderr.strip()) == (status, line)


def test_a_mistake_of_ours_is_not_hidden():
    done = program("raise ValueError('bug')")
    assert done.returncode == 1 and "Traceback" in done.stderr


def test_a_reader_that_goes_away_is_no_error():
    source = (
        "from pigeonhole import cli\ndef main(a):\n    for _ in range(99999): print('line')\ncli.run(main)"
    )
    command = f'"{sys.executable}" -c "{source}" | head -1'
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("line\n", "")


def test_letters_that_the_terminal_lacks_do_not_stop_a_program():
    source = "from pigeonhole import cli\ncli.run(lambda arguments: print('gr\\xfcn'))"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", source], env=environment, capture_output=True, timeout=60)
    assert done.returncode == 0 and done.stdout.split() == [rb"gr\xfcn"]
