"""Review in a real browser: suspects and what speaks for their classes, names of classes, the file."""

import contextlib

import pytest
from selenium.webdriver.common.keys import Keys

from pigeonhole.web import create_app, labelling
from tests.support import web_server
from tests.support.browsing import AXE, CHROMIUM, DRIVER, violations
from tests.support.labelling_page import Page
from tests.support.labelling_sessions import draw_heap, open_session, settle, started

PICTURES = 40  # of each of two colours
WRONG = {"0000.png": "rust", "0001.png": "moss"}
NOTICE = "document.getElementById('notice').checkVisibility()"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"),
]


@pytest.fixture
def top(tmp_path):
    """Class folders with two pictures in the wrong one, and near copies in two of them."""
    top = tmp_path / "sorted"
    for name, colour in draw_heap(tmp_path / "heap", PICTURES).items():
        folder = top / WRONG.get(name, colour)
        folder.mkdir(parents=True, exist_ok=True)
        (tmp_path / "heap" / name).rename(folder / name)
    (top / "moss" / "copy.png").write_bytes((top / "rust" / "0003.png").read_bytes())
    return top


@pytest.fixture
def opened(top, tmp_path):
    """`with opened() as page`: the program is started, and ends."""

    @contextlib.contextmanager
    def opened():
        journal = tmp_path / "labels.csv"
        with started(open_session(top, tmp_path / "cache", journal)) as session:
            settle(session)
            app = create_app([])
            with labelling.add_to(app, session), web_server.running(app) as address:
                page = Page(address, journal)
                try:
                    yield page
                finally:
                    page.browser.quit()

    return opened


def test_labels_that_look_wrong_are_reviewed_once_and_for_all(opened):
    with opened() as page:
        page.open("review")
        page.wait(lambda: "near copies, with different labels" in page.text(".case"))
        page.press("k")
        page.wait(lambda: "Change to" in page.text(".case") and len(page.rows()) == 2)
        assert page.all(".nearest .tile")
        page.press(" ")
        page.wait(lambda: len(page.rows()) == 3 and page.text(".review .hint").startswith("3 of"))
        page.press("k")
        page.wait(lambda: len(page.rows()) == 4)
        copies, (changed, kept) = page.rows()[:2], page.rows()[2:]
        assert {(row["file"], row["label"]) for row in copies} == {
            ("moss/copy.png", "moss"),
            ("rust/0003.png", "rust"),
        }
        assert {changed["file"], kept["file"]} == {"rust/0000.png", "moss/0001.png"}
        assert changed["label"] != changed["file"].split("/")[0]
        assert kept["label"] == kept["file"].split("/")[0]
        page.press("z")
        page.wait(lambda: len(page.rows()) == 5 and page.text(".words .small").endswith(kept["file"]))
        page.press("k")
        page.wait(lambda: len(page.rows()) == 6)
        assert page.complaints() == []
    with opened() as page:
        page.open("review")
        page.wait(lambda: page.text(".review .hint"))
        assert page.text(".case") == "" or page.text(".words .small").split("; ")[1] not in (
            "rust/0000.png",
            "moss/0001.png",
        )
        page.press("z")  # the label that was kept is doubted again
        page.open("review")
        page.wait(lambda: page.text(".words .small").endswith(kept["file"]))


def test_what_speaks_for_the_proposed_class_is_beside_the_suspect(opened, top):
    (top / "moss" / "copy.png").unlink()
    with opened() as page:
        page.open("review")
        page.wait(lambda: page.ask("document.querySelector('.heat img')?.naturalWidth") == 40)
        page.wait(lambda: page.text(".heat figcaption").startswith("What speaks for "))
        proposed = page.text(".heat figcaption").removeprefix("What speaks for ")
        assert f"Change to {proposed}" in page.text(".case")
        name = page.text(".words .small").split("; ")[1]
        page.press(Keys.ARROW_RIGHT)
        page.wait(lambda: page.text(".words .small").split("; ")[1] != name)
        (top / name).unlink()
        page.open("review")
        page.wait(lambda: page.text(".words .small").endswith(name))
        page.wait(lambda: page.ask("document.querySelector('.heat').hidden"))
        page.press("k")
        page.wait(lambda: len(page.rows()) == 1), "keys act as before"


def test_a_class_is_renamed_by_keys_and_all_views_follow(opened):
    with opened() as page:
        page.open("all/class/moss")
        page.wait(lambda: page.text(".listed").startswith("41 pictures"))
        page.press("r")
        page.wait(lambda: page.ask("document.getElementById('rename-old').value") == "moss")
        assert page.ask("document.activeElement.id") == "rename-new"
        if AXE.exists():
            assert violations(page.browser) == []
        page.press("a/b", Keys.ENTER)
        page.wait(lambda: "cannot be a class" in page.text("#rename-told"))
        page.held(Keys.CONTROL, "a")
        page.press("lichen", Keys.ENTER)
        page.wait(lambda: page.text("#classes").split()[:3] == ["1", "lichen", "41"])
        page.wait(lambda: page.ask("document.getElementById('show').value") == "class/lichen")
        page.wait(lambda: page.text(".listed").startswith("41 pictures") and page.text(".badge") == "lichen")
        assert [(row["file"], row["label"]) for row in page.rows()] == [("moss/", "lichen")]
        page.open("review")
        page.wait(lambda: "lichen" in page.text(".case"))
        page.press("r")
        page.held(Keys.CONTROL, "a")
        page.press("RUST")
        page.wait(lambda: "41 pictures of lichen become rust" in page.text("#rename-told"))
        page.press(Keys.ENTER)
        page.wait(lambda: page.text("#classes").split() == ["1", "rust", "81", "pictures", "of", "rust"])
        for _ in range(2):
            page.press("z")
            page.wait(lambda: "new name of a class" in page.text("#said"))
        page.wait(lambda: page.text("#classes").split()[:3] == ["1", "moss", "41"])
        page.wait(lambda: "moss" in page.text(".case") and "lichen" not in page.text(".case"))
        # What the server refuses, the browser's log has as well.
        assert all("400" in each for each in page.complaints())


def test_a_file_that_was_replaced_is_told_until_it_is_back(opened, tmp_path):
    file = tmp_path / "labels.csv"
    with opened() as page:
        page.open("review")
        page.wait(lambda: page.text(".case"))
        page.press("k")
        page.wait(lambda: page.text(".review .hint").startswith("2 of"))
        former = file.read_bytes()
        file.write_text("some,other,table\n1,2,3\n")
        page.wait(
            lambda: page.ask(NOTICE) and "Put the former file back, or start again" in page.text("#notice")
        )
        page.press("k")
        page.wait(lambda: page.text("#said").startswith("Not saved."))
        file.unlink()
        page.wait(lambda: "2 of 2 decisions in it are gone" in page.text("#notice"))
        page.all("#notice button")[0].click()
        assert not page.ask(NOTICE)
        file.write_bytes(former)
        page.wait(lambda: page.ask("document.querySelector('#notice span').textContent") == "")
        page.press("k")
        page.wait(lambda: len(page.rows()) > 2)
