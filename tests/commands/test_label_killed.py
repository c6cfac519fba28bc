"""`pigeonhole label`, killed while a client labels through its page's API."""

import csv
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter

import pytest

from tests.support.labelling_sessions import draw_heap

KILLS = 20
PICTURES = 40  # of each of two colours
GONE = (OSError, http.client.HTTPException)  # what a client sees of a server that is killed


class Client:
    """Labels as the page does: by the number of this start, an action after the other, each told once more
    until it is answered."""

    def __init__(self, url):
        self._url = url
        with urllib.request.urlopen(url, timeout=30) as page:
            self._token = re.search('data-token="([0-9a-f]+)"', page.read().decode())[1]

    def decide(self, action, ids, label):
        """Returns once the server acknowledges it; raises one of GONE where that is killed."""
        body = {"action": action, "ids": ids, "label": label, "remove": False, "source": "page"}
        headers = {"Content-Type": "application/json", "X-Session": self._token}
        request = urllib.request.Request(f"{self._url}api/decide", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                json.load(answer)
        except urllib.error.HTTPError as refused:
            raise AssertionError(refused.read()) from refused


@pytest.fixture
def start(tmp_path):
    """`start()` gives the program, once it answers, and its client."""
    programs = []

    def start():
        command = [
            sys.executable,
            "-m",
            "pigeonhole",
            "label",
            tmp_path / "heap",
            "--no-browser",
            "--port",
            "0",
        ]
        command += ["--cache-dir", tmp_path / "cache", "--output", tmp_path / "runs"]
        program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        programs.append(program)
        for line in program.stdout:
            if line.startswith("open "):
                return program, Client(line.split()[1])
        raise AssertionError("the program has not answered")

    yield start
    for program in programs:
        program.kill()
        program.communicate()


@pytest.mark.slow
def test_a_kill_at_any_instant_loses_and_doubles_no_decision_that_was_acknowledged(start, tmp_path):
    draw_heap(tmp_path / "heap", PICTURES)
    chance = random.Random(0)
    told, cut = {}, None  # action -> the pictures and the class that were acknowledged; one that was not
    for kill in range(KILLS + 1):
        program, client = start()
        if cut:  # told to the next start once more
            client.decide(*cut)
            told[cut[0]] = cut[1:]
        if kill == KILLS:
            break
        killing = threading.Timer(chance.uniform(0.02, 0.6), os.kill, (program.pid, signal.SIGKILL))
        killing.start()
        with pytest.raises(GONE):
            while True:
                ids = sorted(chance.sample(range(2 * PICTURES), chance.randint(1, 30)))
                cut = f"a{len(told)}", ids, chance.choice(["moss", "rust", "fern"])
                client.decide(*cut)
                told[cut[0]] = cut[1:]
        killing.join()
        assert program.wait() == -signal.SIGKILL
    assert len(told) > 3 * KILLS
    check(tmp_path / "heap" / "labels.csv", told)


def check(file, told):
    """That each action is in the file once, as it was told, and no other one."""
    with file.open(encoding="utf-8-sig", newline="") as opened:
        rows = list(csv.DictReader(opened))
    written = Counter((row["action"], row["file"], row["label"]) for row in rows)
    assert set(written.values()) == {1}
    assert written.keys() == {
        (action, f"{row:04}.png", label) for action, (ids, label) in told.items() for row in ids
    }
    last = {row["file"]: row["label"] for row in rows}
    expected = {f"{row:04}.png": label for ids, label in told.values() for row in ids}
    assert last == expected
