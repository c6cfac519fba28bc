"""Teaching by camera: its requests, and the page in a browser whose camera shows a film of two scenes."""

import csv
import time
from pathlib import Path

import cv2
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from pigeonhole.features import extractor
from pigeonhole.web import create_app, labelling
from tests.support import fake_camera, web_server
from tests.support.browsing import CHROMIUM, DRIVER, FLAGS
from tests.support.labelling_sessions import COLOURS, frame, open_session, settle, started, wait_until

MOSS, RUST = COLOURS
SCENE_SECONDS, RATE = 6, 4  # of the film, which changes the scene so often
PATIENCE = 60  # seconds
FEW_A_SECOND = 1  # answer that a very busy machine gives, too; a quiet one gives more than 10
AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "things").mkdir()
    return tmp_path / "things"


@pytest.fixture
def session(folder, tmp_path):
    with started(open_session(folder, tmp_path / "cache")) as session:
        settle(session)
        yield session


@pytest.fixture
def client(session):
    app = create_app([], hosts=("localhost",))
    labelling.add_to(app, session)
    return app.test_client()


@pytest.fixture
def send(client, session):
    def post(path, token=True, **content):
        headers = {"X-Session": session.number} if token else {}
        return client.post(f"/label/api/camera/{path}", headers=headers, **content)

    return post


def test_frames_are_recorded_and_answered(send, session):
    assert send("answers", data=frame(MOSS, 0)).json == {"ranked": []}
    for colour in COLOURS:
        name = send("recordings", json={"label": colour}).json["recording"]
        told = [send(f"recordings/{name}", data=frame(colour, seed)).json for seed in range(4)]
        assert told == [{"frames": number} for number in range(1, 5)]
    wait_until(lambda: session.status().pictures == 8)
    settle(session)
    best, other = send("answers", data=frame(RUST, 50)).json["ranked"]
    assert best["name"] == RUST and best["probability"] > 0.8 > other["probability"]


@pytest.mark.parametrize(
    ("path", "content", "told"),
    [
        ("recordings", {"json": {"label": ""}}, "needs a name"),
        ("recordings", {"json": {"label": 5}}, "must be a text"),
        ("recordings", {"json": {"label": "a/b"}}, "cannot be a class"),
        ("recordings/burst-20260101-000000-00000000", {"data": frame(MOSS, 1)}, "Begin another"),
        ("answers", {"data": b"no picture"}, "no picture"),
        ("answers", {}, "no picture"),
    ],
)
def test_what_cannot_be_taken_is_refused_in_a_sentence(send, path, content, told):
    answer = send(path, **content)
    assert answer.status_code == 400 and told in answer.json["detail"]


def test_only_a_page_of_this_start_may_send_frames(send, folder):
    for path, content in (("recordings", {"json": {"label": MOSS}}), ("answers", {"data": frame(MOSS, 1)})):
        assert send(path, token=False, **content).status_code == 403
    assert not list(folder.iterdir())


def test_the_camera_is_allowed_to_the_page_alone(client):
    assert client.get("/label/").headers["Permissions-Policy"].startswith("camera=(self), microphone=()")
    for other in ("/label/api/state", "/label/unreadable", "/static/style.css"):
        assert client.get(other).headers["Permissions-Policy"].startswith("camera=(), ")


class Page:
    """The page in a browser with a camera, or without one."""

    def __init__(self, address: str, *flags: str):
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (*FLAGS, *flags):
            options.add_argument(flag)
        self.browser = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
        self.browser.set_window_size(1280, 900)
        self.browser.get(f"{address}/label/")

    def ask(self, script: str):
        return self.browser.execute_script(f"return {script}")

    def text(self, selector: str) -> str:
        return self.ask(f"document.querySelector({selector!r})?.innerText ?? ''")

    def find(self, selector: str):
        wait_until(lambda: self.browser.find_elements(By.CSS_SELECTOR, selector), PATIENCE)
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def scene(self) -> str:
        """What the camera shows at present, by its mean colour."""
        red, green = self.ask("""(() => {
            const context = new OffscreenCanvas(1, 1).getContext("2d");
            context.imageSmoothingQuality = "high";
            context.drawImage(document.querySelector("video"), 0, 0, 1, 1);
            return [...context.getImageData(0, 0, 1, 1).data.slice(0, 2)];
        })()""")
        return RUST if red > green else MOSS

    def await_scene(self, colour: str) -> None:
        """Wait until it begins, so that it lasts."""
        wait_until(lambda: self.scene() != colour, PATIENCE)
        wait_until(lambda: self.scene() == colour, PATIENCE)
        time.sleep(0.3)

    def hold(self, key: str, seconds: float) -> None:
        chain = webdriver.ActionChains(self.browser).key_down(key).pause(seconds).key_up(key)
        chain.perform()
        wait_until(lambda: not self.browser.find_elements(By.CSS_SELECTOR, ".record.going"), PATIENCE)


browser_only = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"),
]


def marked(test):
    for mark in browser_only:
        test = mark(test)
    return test


@pytest.fixture
def served(folder, tmp_path):
    """The labelling of an empty folder with the real network, and its address."""
    session = open_session(folder, tmp_path / "cache", open_extractor=extractor.open_pretrained)
    with started(session):
        settle(session)
        app = create_app([])
        labelling.add_to(app, session)
        with web_server.running(app) as address:
            yield session, address


@marked
def test_two_classes_are_taught_with_a_camera_and_answered_live(served, folder, tmp_path, record_property):
    session, address = served
    film = fake_camera.draw(tmp_path / "film.y4m", [*COLOURS.values()], SCENE_SECONDS * RATE, RATE)
    page = Page(address, *fake_camera.flags(film))
    try:
        page.find(".start .primary").click()  # an empty folder opens with the camera
        wait_until(lambda: page.ask("document.querySelector('video')?.videoWidth > 0"), PATIENCE)
        wait_until(lambda: "Record frames of two classes" in page.text(".verdict"), PATIENCE)
        for key, colour in enumerate(COLOURS, 1):
            page.browser.find_element(By.ID, "name").send_keys(colour, Keys.ENTER)
            wait_until(lambda colour=colour: f"record {colour}" in page.text(".record"), PATIENCE)
            page.await_scene(colour)
            page.hold(str(key) if key == 2 else " ", 1.5)  # its number, or space for the chosen one
        wait_until(lambda: len(page.browser.find_elements(By.CSS_SELECTOR, ".bars tr")) == 2, PATIENCE)
        with (folder / "labels.csv").open(encoding="utf-8-sig", newline="") as table:
            rows = list(csv.DictReader(table))
        by_burst = {row["action"]: row["label"] for row in rows}
        assert sorted(by_burst.values()) == [MOSS, RUST] and {row["source"] for row in rows} == {"camera"}
        for row in rows:
            _, green, red = cv2.imread(str(folder / row["file"])).mean(axis=(0, 1))
            assert (red > green) == (row["label"] == RUST)
        settle(session)
        for colour in (*COLOURS, *COLOURS):
            page.await_scene(colour)
            wait_until(lambda colour=colour: page.text(".verdict").startswith(colour), SCENE_SECONDS / 2)
        rate = float(page.ask("document.querySelector('.live').dataset.rate"))
        record_property("answers a second", rate)
        print(f"{rate} answers a second")
        assert rate > FEW_A_SECOND
        axe(page)
        page.browser.find_element(By.ID, "undo").click()
        wait_until(lambda: session.status().undecided == sum(row["label"] == RUST for row in rows), PATIENCE)
        page.ask("document.querySelector('video').srcObject.getTracks()[0].dispatchEvent(new Event('ended'))")
        wait_until(lambda: "it was taken away" in page.text(".trouble"), PATIENCE)
        assert not [entry for entry in page.browser.get_log("browser") if entry["level"] == "SEVERE"]
    finally:
        page.browser.quit()


@marked
@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ((), "The camera cannot be used: this device has none."),
        ((fake_camera.DEVICE, "--deny-permission-prompts"), "The camera cannot be used: it was not allowed"),
    ],
)
def test_why_there_is_no_camera_is_said_in_a_line(served, flags, told):
    page = Page(served[1], *flags)
    try:
        page.find(".start .primary").click()
        wait_until(lambda: page.text(".trouble"), PATIENCE)
        assert page.text(".trouble").startswith(told) and page.find(".start .primary").is_enabled()
    finally:
        page.browser.quit()


def axe(page: Page) -> None:
    """Nothing serious is found by axe-core, where that is installed."""
    if AXE.exists():
        page.browser.execute_script(AXE.read_text("utf-8"))
        found = page.browser.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
        assert not [each["id"] for each in found["violations"] if each["impact"] in ("serious", "critical")]
