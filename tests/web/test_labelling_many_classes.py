"""The labelling page in a real browser with more classes than keys."""

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from pigeonhole.web import create_app, labelling
from tests.support import web_server
from tests.support.browsing import CHROMIUM, DRIVER, FLAGS, until, violations
from tests.support.labelling_sessions import draw_heap, open_session, started

CLASSES = 60
HEIGHT = 900

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"),
]


@pytest.fixture
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--window-size=1280,{HEIGHT}"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield browser
    browser.quit()


def test_the_rest_of_the_panel_stays_in_view_and_all_rows_are_alike(browser, tmp_path):
    draw_heap(tmp_path / "heap", 4)
    with started(open_session(tmp_path / "heap", tmp_path / "cache")) as session:
        for number in range(CLASSES):
            session.add_class(f"class {number}")
        app = create_app([])
        labelling.add_to(app, session)
        with web_server.running(app) as address:
            browser.get(f"{address}/label/#next")
            rows = until(lambda: browser.find_elements(By.CSS_SELECTOR, ".give"), 20)
            assert len(rows) == CLASSES and len({row.size["height"] for row in rows}) == 1
            assert browser.find_element(By.ID, "name").rect["y"] < HEIGHT * 0.8
            assert violations(browser) == []
