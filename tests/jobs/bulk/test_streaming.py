"""Pictures go through reading and computing threads in their order."""

import threading

import pytest

from pigeonhole import Classifier
from pigeonhole.jobs.bulk.streaming import Stream
from pigeonhole.jobs.prediction import Source, Why
from tests.support import saved_runs

PICTURES = 90


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Every seventh is not there, and every tenth no picture."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(PICTURES):
        path = saved_runs.write_picture(folder / f"{number:03}.png", number)
        if number % 7 == 3:
            path.unlink()
        elif number % 10 == 5:
            path.write_text("words")
    return [Source(name, name) for name in (str(folder / f"{n:03}.png") for n in range(PICTURES))]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    run = saved_runs.ready(tmp_path_factory.mktemp("runs") / "run")
    with Classifier.load(run, engine="tensorflow") as classifier:
        yield classifier


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_only_the_workers_compute_and_the_order_is_that_of_the_sources(
    classifier, sources, workers, monkeypatch
):
    computing, real = set(), classifier.answer_here
    monkeypatch.setattr(
        classifier, "answer_here", lambda *given: computing.add(threading.get_ident()) or real(*given)
    )
    monkeypatch.setattr(Stream, "pictures_at_once", 3)
    chunks = list(Stream(classifier, workers, Why()).answers(iter(sources)))
    answers = [answer for chunk in chunks for answer in chunk]
    assert [answer.name for answer in answers] == [source.name for source in sources]
    for number, answer in enumerate(answers):
        wanted = "no such file" if number % 7 == 3 else "not a picture" if number % 10 == 5 else None
        assert answer.error is None if wanted is None else answer.error.startswith(wanted)
    assert 1 <= len(computing) <= workers


def test_what_is_not_asked_for_any_more_is_not_read(classifier, sources):
    before = threading.enumerate()
    taken = []
    answers = Stream(classifier, 1, Why()).answers(taken.append(each) or each for each in sources * 10)
    next(answers)
    assert len(taken) < 10 * PICTURES
    answers.close()
    for thread in set(threading.enumerate()).difference(before):
        thread.join(10)
        assert not thread.is_alive()
