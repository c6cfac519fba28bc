"""What leaves a program: one line and the documented exit status."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import pigeonhole
from pigeonhole import __main__, cli
from pigeonhole.cli import COMMANDS
from pigeonhole.networks.registry import AUTO, NETWORKS

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


def test_a_termination_leaves_no_unfinished_file(tmp_path):
    done = program(
        "import os, signal, pathlib\nfrom pigeonhole import atomic_file\n"
        f"with atomic_file.write_out(pathlib.Path({str(tmp_path)!r}, 's.csv')) as file:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n    print('never')"
    )
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "error: terminated\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("started", "command", "process"),
    [
        ("/usr/bin/pigeonhole", "pigeonhole train", ["/usr/bin/pigeonhole", "train"]),
        (str(ROOT / "pigeonhole/__main__.py"), "python -m pigeonhole train", ["-m", "pigeonhole", "train"]),
        (str(ROOT / "predict.py"), f"python {ROOT / 'train.py'}", [str(ROOT / "train.py")]),
        ("/elsewhere/predict.py", "pigeonhole train", ["-m", "pigeonhole", "train"]),
    ],
)
def test_a_command_is_named_as_the_user_started_it(monkeypatch, started, command, process):
    monkeypatch.setattr(sys, "argv", [started, "dog.jpg"])
    assert cli.command("train") == command
    assert cli.process("train") == [sys.executable, *process]
    assert cli.as_started("see pigeonhole train --help") == f"see {command} --help"


def test_a_program_in_the_working_directory_is_named_without_a_path(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["predict.py"])
    assert cli.command("import-cifar") == "python export_cifar_folders.py"


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_the_overview_fits_a_screen_and_names_every_command(flag, capsys):
    assert __main__.dispatch([flag]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 80
    for name, command in cli.COMMANDS.items():
        assert any(line.split(maxsplit=1) == [name, command.summary] for line in lines)


def test_the_version(capsys):
    assert __main__.dispatch(["--version"]) == 0
    assert capsys.readouterr().out == f"pigeonhole {pigeonhole.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["preidct"], "error: preidct: no such command; did you mean predict?"),
        (["zzz"], "error: zzz: no such command"),
        (["predict"], "error: the following arguments are required: PICTURE"),
        (
            ["predict", "--engine", "onx", "a.jpg"],
            "error: argument --engine: 'onx': no such choice; did you mean onnx? "
            "Choose from auto, onnx, tensorflow",
        ),
        (
            ["train", "--data", "x", "--network", "resnet50"],
            "error: argument --network: 'resnet50': no such choice; did you mean efficientnet_v2_b0? "
            f"Choose from {', '.join((AUTO, *NETWORKS))}",
        ),
        (
            ["predict", "--engine", "zz", "a.jpg"],
            "error: argument --engine: 'zz': no such choice. Choose from auto, onnx, tensorflow",
        ),
        (
            ["predict", "--top", "0", "a.jpg"],
            "error: argument --top: '0' is not a whole number from 1 to 1,000,000,000",
        ),
        (
            ["predict", "--image-size", "20000", "x"],
            "error: argument --image-size: '20000' is not a whole number from 1 to 4,096",
        ),
    ],
)
def test_a_wrong_command_line_is_told_in_two_lines(arguments, error):
    command = [sys.executable, "-m", "pigeonhole", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    told, where = done.stderr.splitlines()
    named = f"{arguments[0]} " if arguments[0] in COMMANDS else ""
    assert (done.returncode, told) == (2, error)
    assert where == f"help:  python -m pigeonhole {named}--help"


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", ""],
        ["check", "x", "--cache-dir", ""],
        ["train", "--data", ""],
        ["train", "--data", "x", "--test", ""],
        ["train", "--data", "x", "--weights", ""],
        ["train", "--resume", ""],
        ["predict", ""],
        ["predict", "x.png", "--model", ""],
        ["evaluate", "--data", "x", "--compare", ""],
        ["serve", "--watch", ""],
        ["import-mnist", "--train-dir", ""],
    ],
)
def test_an_empty_path_is_not_the_working_directory(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        __main__.dispatch(arguments)
    assert stopped.value.code == 2 and ": it is empty; name a file or folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--threads", "9999999"],
        ["--workers", "65"],
        ["--batch-size", "65537"],
        ["--image-size", "4097"],
        ["--epochs", "1e308"],
        ["--minutes", "1e308"],
        ["--steps", "9" * 5000],
    ],
)
def test_a_value_that_no_machine_can_serve_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        __main__.dispatch(["train", "--data", "x", *arguments])
    assert stopped.value.code == 2 and re.search(
        rf"argument {arguments[0]}: .* to \d", capsys.readouterr().err
    )


def test_a_working_directory_that_was_deleted_is_named(tmp_path):
    (tmp_path / "x").mkdir()
    command = f'cd "{tmp_path}/x" && rmdir "{tmp_path}/x" && "{sys.executable}" -m pigeonhole check y'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode in (1, 2)
    assert done.stderr == "error: the working directory has been deleted; change to another folder\n"


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


@pytest.mark.parametrize("words", [["--data", "my", "pictures"], ["--data=my", "pictures", "--steps", "1"]])
def test_a_path_that_the_shell_cut_at_its_space_is_recognised(words, tmp_path, monkeypatch, capsys):
    (tmp_path / "my pictures").mkdir()
    monkeypatch.chdir(tmp_path)
    from pigeonhole.commands import train

    with pytest.raises(SystemExit) as stopped:
        train.main(words)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("error: my pictures: a path with a space needs quotes\n")
    with pytest.raises(SystemExit):
        train.main(["--data", "nothing", "here"])
    assert capsys.readouterr().err.startswith("error: unrecognized arguments: here\n")
