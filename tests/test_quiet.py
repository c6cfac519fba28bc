import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from pigeonhole.features import pretrained

ROOT = Path(__file__).parents[1]
IMPORT = """
import gc, importlib.util, os, sys
from pigeonhole.quiet import import_tensorflow
import_tensorflow()
import tensorflow as tf
print(os.environ.get("TF_ENABLE_ONEDNN_OPTS"), tf.add(1, 1).numpy(), gc.isenabled())
later = ("sklearn", "matplotlib")
print([name for name in later if name in sys.modules], all(map(importlib.util.find_spec, later)))
"""
BESIDE = """
import os, sys, threading, time
from pigeonhole.quiet import native_errors_discarded
with native_errors_discarded():
    os.write(2, b"native")
    writing = threading.Thread(target=print, args=("a bar",), kwargs={"file": sys.stderr})
    writing.start()
    writing.join()
os.write(2, b"native again")
"""
ANSWER = """
import time
from pigeonhole.features import extractor
extractor.open_pretrained(threads=1).close()
time.sleep(0.5)
"""


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="oneDNN is chosen for x86")
@pytest.mark.parametrize(
    ("set_before", "in_force"), [(None, "1"), pytest.param("0", "0", marks=pytest.mark.slow)]
)
def test_onednn_is_on_unless_the_user_says_otherwise_and_the_import_is_silent(set_before, in_force):
    """And it brings no packages that only Keras' wrappers need, which can be imported later."""
    name = "TF_ENABLE_ONEDNN_OPTS"
    environment = {key: value for key, value in os.environ.items() if key != name}
    if set_before is not None:
        environment[name] = set_before
    done = subprocess.run(
        [sys.executable, "-c", IMPORT], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == (f"{in_force} 2 True\n[] True\n", "")


def test_what_native_code_writes_is_lost_and_what_other_threads_write_is_not():
    done = subprocess.run([sys.executable, "-c", BESIDE], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "a bar\nnative again")


@pytest.mark.skipif(not pretrained.available(), reason=f"needs {pretrained.REQUIREMENT}")
def test_onnx_runtime_reports_nothing_and_gives_this_computer_no_number(tmp_path):
    own = ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    environment = {key: value for key, value in os.environ.items() if key not in own}
    environment["HOME"] = str(tmp_path)
    done = subprocess.run([sys.executable, "-c", ANSWER], cwd=ROOT, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert not [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name]
