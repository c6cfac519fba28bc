"""A model is saved from the labelling page and asked in the same app, in a real browser."""

import os

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from pigeonhole.jobs.workbench import Source
from pigeonhole.web import create_app, labelling
from tests.support import web_server
from tests.support.browsing import AXE, CHROMIUM, DRIVER, FLAGS, until, violations
from tests.support.labelling_sessions import draw_heap, open_session, settle, started

SECONDS = 240  # for a training on a busy machine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"),
]


@pytest.fixture
def browser(tmp_path):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    with webdriver.Chrome(options, webdriver.ChromeService(DRIVER)) as browser:
        yield browser


@pytest.fixture
def address(tmp_path):
    """A labelling of two colours, of which 8 pictures each have labels."""
    colour_of = draw_heap(tmp_path / "heap", 12)
    runs, flags = tmp_path / "runs", ["--cache-dir", str(tmp_path / "cache"), "--no-report"]
    with started(open_session(tmp_path / "heap", tmp_path / "cache")) as session:
        for row, name in enumerate(session.collection.names[:16]):
            session.decide(f"a{row}", [row], colour_of[name], "page")
        settle(session)
        app = create_app([], runs=runs)
        source = Source(session.collection.folder, session.journal.file, runs, flags)
        with labelling.add_to(app, session, source), web_server.running(app) as url:
            yield url


def press(browser, text: str) -> None:
    def pressed() -> bool:
        for each in browser.find_elements(By.CSS_SELECTOR, ".train button, .train a"):
            if each.text == text and each.is_enabled() and each.is_displayed():
                each.click()
                return True
        return False

    until(pressed, SECONDS, text)


def wait_for(browser, selector: str, text: str = "") -> None:
    """Until there is such an element and the text in one."""
    script = "return [...document.querySelectorAll(arguments[0])].map((each) => each.textContent)"
    until(lambda: any(text in each for each in browser.execute_script(script, selector)), SECONDS, text)


def test_a_model_is_saved_asked_and_exported(address, browser, tmp_path):
    browser.get(f"{address}/label/#train")
    press(browser, "Save this model")
    wait_for(browser, ".job h2", "Saving this model")
    wait_for(browser, ".job .now", "Judge it")
    wait_for(browser, ".job", "The model")  # answers, or will in a moment
    browser.get("about:blank")  # a job goes on without its page
    browser.get(f"{address}/label/#train")
    wait_for(browser, ".job h2", "heap-1 is saved")
    wait_for(browser, ".runs", "of the 16 labelled pictures are right")
    wait_for(browser, "header nav", "Ask")
    press(browser, "ONNX")
    wait_for(browser, ".job h2", "ONNX of heap-1 is written")
    if AXE.exists():
        assert violations(browser) == []
    press(browser, "Ask it")
    until(lambda: "What is it?" in browser.title, 20)
    picture = tmp_path / "heap" / "0022.png"
    browser.find_element(By.CSS_SELECTOR, "input[type=file]").send_keys(os.fspath(picture))
    wait_for(browser, "article.answer:not(.waiting) h3", "moss")
    assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]


def test_a_class_of_one_picture_is_told_before_the_training(address, browser):
    browser.get(f"{address}/label/#next")
    wait_for(browser, ".given, .accept")  # a picture, which gets the label
    browser.find_element(By.ID, "name").send_keys("owl\n")
    wait_for(browser, "#classes", "owl")
    browser.find_element(By.LINK_TEXT, "Train").click()
    wait_for(browser, ".train", "Of owl only one picture has a label")

    def may_be_saved() -> bool:
        return browser.find_element(By.CSS_SELECTOR, ".ways .primary").is_enabled()

    assert not may_be_saved()
    browser.find_element(By.ID, "undo").click()
    until(may_be_saved, 20)
