"""Answers of a model on the labelling page: the API of sheets and of class folders, and the page itself."""

from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from pigeonhole.labelling import answers
from pigeonhole.labelling.answers import Said
from pigeonhole.web import create_app, labelling
from tests.support import web_server
from tests.support.browsing import CHROMIUM, DRIVER, FLAGS, until
from tests.support.labelling_sessions import draw_heap, open_session, started, wait_until

PICTURES = 6  # of each of two colours
WRONG, DOUBTFUL = "0004.png", "0005.png"


@pytest.fixture
def colours(tmp_path):
    return draw_heap(tmp_path / "heap", PICTURES)


@pytest.fixture
def session(tmp_path, colours):
    """Its answers are right but for one; another is in doubt."""
    said = [Said(name, colour, 0.9, name == DOUBTFUL) for name, colour in colours.items() if name != WRONG]
    with started(open_session(tmp_path / "heap", tmp_path / "cache")) as session:
        found = answers.of_file(
            session.collection, [*said, Said(WRONG, "rust", 0.6, False)], Path("answers.csv")
        )
        session.look_over(found)
        yield session


@pytest.fixture
def app(session, tmp_path):
    app = create_app([], runs=tmp_path / "runs")
    with labelling.add_to(app, session):
        yield app


def test_sheets_are_told_with_their_answers(app):
    told = app.test_client().get("/label/api/answers").json
    assert told["file"] == "answers.csv"
    assert [(sheet["kind"], sheet["name"], len(sheet["ids"])) for sheet in told["sheets"]] == [
        ("doubtful", "", 1),
        ("class", "moss", PICTURES - 1),
        ("class", "rust", PICTURES),
    ]
    doubtful, _, rust = told["sheets"]
    assert (doubtful["ids"], doubtful["answers"]) == ([5], ["rust"])
    assert (rust["ids"][0], rust["answers"], rust["shares"][0]) == (4, None, 0.6)


def test_pictures_are_sorted_from_the_page_and_taken_away_again(app, session, tmp_path):
    client, headers = app.test_client(), {"X-Session": session.number}

    def tell(path, **content):
        return client.post(f"/label/api/sorting/{path}", json=content, headers=headers)

    def settled():
        wait_until(lambda: not client.get("/label/api/sorting").json["running"])
        return client.get("/label/api/sorting").json

    assert client.get("/label/api/sorting").json["suggested"] == "heap-sorted"
    assert client.post("/label/api/sorting/start", json={"name": "a"}).status_code == 403
    assert "plain name" in tell("start", name="../a").json["detail"]
    assert tell("start").status_code == 400 and tell("undo").status_code == 400
    session.decide("a", [4], "moss", "answers")
    assert tell("start", name="by class").status_code == 200
    assert not settled()["failed"], settled()["said"]
    target = tmp_path / "by class"
    sorted_into = {path.name: path.parent.name for path in target.rglob("*.png")}
    assert sorted_into[WRONG] == "moss" and sorted_into[DOUBTFUL] == "unsure" and len(sorted_into) == 12
    assert tell("undo").status_code == 200
    assert settled()["removed"] and not target.exists()


@pytest.mark.slow
@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed")
def test_answers_are_looked_over_by_keys(app, session, colours, tmp_path):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    with web_server.running(app) as url, driver as browser:
        browser.get(f"{url}/label/#answers/class/rust")
        tiles = ".answers .tile.proposed"
        until(lambda: len(browser.find_elements(By.CSS_SELECTOR, tiles)) == PICTURES, 60)
        tile = browser.find_element(By.CSS_SELECTOR, f".answers .tile[title='{WRONG}']")
        assert "probably rust, 60.0 %" in tile.get_attribute("aria-label")
        tile.click()
        body = browser.find_element(By.TAG_NAME, "body")
        body.send_keys("1")  # moss
        until(lambda: session.seen([4])[0].label == "moss", 60)
        until(lambda: "All of them show rust" in body.text, 60)
        body.send_keys(Keys.SPACE)
        until(lambda: session.status().counts["rust"] == PICTURES - 1, 60)
        until(lambda: sheets(browser) == ["In doubt", "moss"], 60)
        body.send_keys("z")
        until(lambda: session.status().counts["rust"] == 0, 60)
        until(lambda: len(sheets(browser)) == 3, 60)
        assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]


def sheets(browser) -> list[str]:
    buttons = "[...document.querySelectorAll('.answer-classes button')]"
    script = f"return {buttons}.map((each) => each.dataset.sheet)"
    return browser.execute_script(script)
