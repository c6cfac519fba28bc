"""Names in a terminal: none of them steers it, begins a line, or is cut at one."""

import ast
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pigeonhole import cli, terminal

PACKAGE = Path(terminal.__file__).parent
HOSTILE = "a\x1b]0;owned\x07\x1b[31m\nerror: b\r\x9b2J\u2028c\u202egnp\udcff"


def test_a_hostile_name_becomes_one_harmless_line():
    seen = terminal.shown(HOSTILE)
    assert seen == "a�]0;owned��[31m�error: b��2J�c�gnp�" and len(seen.splitlines()) == 1
    assert terminal.shown("été 北 👩\u200d👧 ع") == "été 北 👩\u200d👧 ع"


def test_every_line_that_is_said_is_one_line(capsys):
    terminal.say("first", f"second {HOSTILE}")
    terminal.say("third", to=sys.stderr)
    output = capsys.readouterr()
    assert output.out.count("\n") == 2 and "\x1b" not in output.out and output.err == "third\n"


def test_silence_concerns_one_thread_alone(capsys):
    with terminal.silent():
        terminal.say("nothing")
        terminal.say("nothing", to=sys.stderr)
        terminal.output().write("nothing")
        with terminal.silent():
            pass
        terminal.say("nothing")
        other = threading.Thread(target=lambda: (terminal.say("one"), terminal.output().write("two\n")))
        other.start()
        other.join()
    terminal.say("three")
    assert capsys.readouterr() == ("one\ntwo\nthree\n", "")


def test_nothing_that_could_hold_a_name_is_printed_past_the_function_that_escapes_names():
    """`print` takes constants, JSON (which escapes) and what `shown` gave; all else is said by `say`."""
    for path in set(PACKAGE.rglob("*.py")) - {PACKAGE / "terminal.py"}:
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "print":
                inner = {ast.unparse(part.func) for part in ast.walk(call) if isinstance(part, ast.Call)}
                constant = all(isinstance(part, ast.Constant) for part in call.args)
                assert constant or inner & {"json.dumps", "shown"}, f"{path}: {ast.unparse(call)}"


def test_errors_are_one_line_without_escapes(tmp_path):
    code = "from pigeonhole.__main__ import main; main()"
    for arguments in (["predict", HOSTILE[:-1]], ["train", f"--{HOSTILE[:-1]}"], [HOSTILE[:-1]]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=tmp_path,
            capture_output=True,
            env={"PYTHONPATH": str(Path(__file__).parents[1])},
        )
        lines = done.stderr.decode().splitlines()
        assert done.returncode == 2 and lines[0].startswith("error: ") and len(lines) <= 2
        assert b"\x1b" not in done.stderr


@pytest.mark.skipif(not shutil.which("bash"), reason="the escapes are those of bash, zsh and ksh")
@pytest.mark.parametrize("name", [HOSTILE, "it's\x1b\\n", "plain", "two words", "$HOME\x07"])
def test_a_command_that_is_shown_can_be_pasted(name):
    typed = cli.quote(Path(name))
    assert terminal.shown(typed) == typed
    echoed = subprocess.run(["bash", "-c", f"printf %s {typed}"], capture_output=True).stdout
    assert echoed == name.encode("utf-8", "surrogateescape")
