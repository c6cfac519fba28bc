"""Every damaged and odd file of the corpus through the programs, each with its verdict fixed beforehand."""

import json

import pytest

from pigeonhole.commands import check, predict
from tests.support import saved_runs
from tests.support.odd_files import CORPUS, PICTURE, USED, encode, write_corpus


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One class holds the whole corpus, the other two plain pictures."""
    top = tmp_path_factory.mktemp("pictures")
    write_corpus(top / "odd")
    (top / "plain").mkdir()
    for number in range(2):
        (top / "plain" / f"{number}.png").write_bytes(encode(PICTURE[number * 9 :], "PNG"))
    return top


def test_the_corpus_is_large_and_mixed():
    assert len(CORPUS) >= 60
    for kind in (".jpg", ".png", ".webp", ".gif", ".tif"):
        verdicts = [one.verdict for one in CORPUS if kind in one.name.lower()]
        assert verdicts.count(USED) >= 1 and len(verdicts) - verdicts.count(USED) >= 4


def test_preflight_gives_every_file_its_verdict(folder, tmp_path, capsys):
    check.main([str(folder), "--json", "--cache-dir", str(tmp_path)])
    report = json.loads(capsys.readouterr().out)["preflight"]
    skipped = {entry["name"]: entry["reason"] for entry in report["skipped"]}
    expected = {f"odd/{one.name}": one.verdict for one in CORPUS if one.verdict != USED}
    assert skipped == expected
    assert report["found"] == len(CORPUS) + 2 == report["used"] + len(report["skipped"])


def test_strict_preflight_fails_on_them(folder, tmp_path, capsys):
    assert check.main([str(folder), "--strict", "--cache-dir", str(tmp_path)]) == 1


def test_predict_gives_every_file_its_verdict(folder, tmp_path, capsys):
    run = saved_runs.ready(tmp_path / "run")
    status = predict.main([str(folder / "odd"), "--model", str(run), "--json"])
    answers = json.loads(capsys.readouterr().out)
    verdicts = {answer["file"].rpartition("/")[2]: answer.get("error", USED) for answer in answers}
    assert verdicts == {one.name: one.verdict for one in CORPUS}
    assert status == 1
