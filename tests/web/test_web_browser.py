"""The pages in a real browser: Debian's Chromium, driven by Selenium."""

import base64
import csv
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from pigeonhole.web import create_app, pages
from tests.support import saved_runs, web_server
from tests.support.browsing import CHROMIUM, DRIVER, FLAGS, roles_and_names, until
from tests.support.odd_files import PICTURE, encode

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures and one file that is none."""
    folder = tmp_path_factory.mktemp("pictures")
    for seed, name in enumerate(("a.png", "b.jpg", "c.webp")):
        saved_runs.write_picture(folder / name, seed, height=120, width=200)
    (folder / "d.tiff").write_bytes(encode(PICTURE, "TIFF"))
    (folder / "notes.txt").write_text("only words")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def address(runs, tmp_path_factory):
    model = web_server.model(tmp_path_factory.mktemp("models") / "a model")
    with web_server.running(create_app([model], runs=runs)) as url:
        yield url


@pytest.fixture
def browse(tmp_path):
    """Opens a browser: `browse(address, script=False)` is one without JavaScript."""
    browsers = []

    def open_browser(address: str, script: bool = True) -> webdriver.Chrome:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (*FLAGS, f"--user-data-dir={tmp_path / f'profile{len(browsers)}'}"):
            options.add_argument(flag)
        if not script:
            blocked = {"profile.managed_default_content_settings.javascript": 2}
            options.add_experimental_option("prefs", blocked)
        browser = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
        browsers.append(browser)
        browser.get(address)
        return browser

    yield open_browser
    for browser in browsers:
        browser.quit()


def answers(browser, count: int) -> list[str]:
    """The texts of the answers, the newest first, once there are so many."""
    selector = "article.answer:not(.waiting)"
    until(lambda: len(browser.find_elements(By.CSS_SELECTOR, selector)) == count, 60)
    return [article.text for article in browser.find_elements(By.CSS_SELECTOR, selector)]


def wait_for_status(browser, name: str) -> None:
    script = "return document.querySelector('.status').textContent"
    until(lambda: name in browser.execute_script(script), 60)


def drop(browser, *files, target: str = ".drop") -> None:
    """What a browser does when files are dropped on an element."""
    contents = [(file.name, base64.b64encode(file.read_bytes()).decode()) for file in files]
    browser.execute_script(
        """
        const transfer = new DataTransfer();
        for (const [name, content] of arguments[1]) {
          const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
          transfer.items.add(new File([bytes], name));
        }
        const target = document.querySelector(arguments[0]);
        for (const kind of ["dragenter", "dragover", "drop"]) {
          const given = {dataTransfer: transfer, bubbles: true, cancelable: true};
          target.dispatchEvent(new DragEvent(kind, given));
        }
        """,
        target,
        contents,
    )


def sideways(browser) -> int:
    """How many pixels the page is wider than the screen."""
    return browser.execute_script(
        "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


def complaints(browser) -> list[str]:
    """What the browser's console holds against the page, refused uploads aside."""
    messages = [entry["message"] for entry in browser.get_log("browser")]
    return [message for message in messages if "status of 415" not in message]


def test_a_file_is_chosen(browse, address, folder):
    browser = browse(address)
    browser.find_element(By.ID, "pictures").send_keys(str(folder / "a.png"))
    (text,) = answers(browser, 1)
    assert "a.png" in text and "200 \u00d7 120 \u00d7 3" in text and "PNG" in text and "ms" in text
    assert all(name in text for name in saved_runs.CLASSES)
    wait_for_status(browser, "a.png")
    size = (
        "const image = document.querySelector('.thumbnail'); return [image.naturalWidth, image.naturalHeight]"
    )
    assert browser.execute_script(size) == [200, 120]
    width = "return document.querySelector('.bars rect').getBoundingClientRect().width"
    assert browser.execute_script(width) > 20
    assert complaints(browser) == []


def test_what_spoke_for_an_answer_is_shown_when_it_is_asked_for(browse, address, folder):
    browser = browse(address)
    browser.find_element(By.ID, "pictures").send_keys(str(folder / "a.png"))
    answers(browser, 1)
    wait_for_status(browser, "a.png")
    browser.find_element(By.CSS_SELECTOR, "button.heat").click()
    until(lambda: browser.find_elements(By.CSS_SELECTOR, "img.heatmap"), 60)
    assert browser.execute_script("return document.querySelector('img.heatmap').naturalWidth") == 16
    assert not browser.find_elements(By.CSS_SELECTOR, "button.heat") and not complaints(browser)


def test_several_files_are_dropped_anywhere(browse, address, folder):
    browser = browse(address)
    drop(browser, folder / "a.png", folder / "b.jpg", target="h1")
    drop(browser, folder / "c.webp")
    texts = answers(browser, 3)
    assert [next(name for name in ("a.png", "b.jpg", "c.webp") if name in text) for text in texts] == [
        "c.webp",
        "b.jpg",
        "a.png",
    ]


def test_a_picture_is_pasted(browse, address, folder):
    browser = browse(address)
    browser.execute_script(
        """
        const transfer = new DataTransfer();
        const bytes = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0));
        transfer.items.add(new File([bytes], "image.png", {type: "image/png"}));
        document.body.dispatchEvent(new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true}));
        """,
        base64.b64encode((folder / "a.png").read_bytes()).decode(),
    )
    (text,) = answers(browser, 1)
    assert "image.png" in text


def test_a_wrong_file_says_what_is_accepted(browse, address, folder):
    browser = browse(address)
    browser.find_element(By.ID, "pictures").send_keys(str(folder / "notes.txt"))
    (text,) = answers(browser, 1)
    assert "Not answered" in text and "not a picture" in text and "10 Bytes" in text and "JPEG" in text


def test_a_format_that_the_browser_cannot_show_is_shown_as_the_network_saw_it(browse, address, folder):
    browser = browse(address)
    browser.find_element(By.ID, "pictures").send_keys(str(folder / "d.tiff"))
    answers(browser, 1)
    wait_for_status(browser, "d.tiff")
    source = browser.find_element(By.CSS_SELECTOR, ".thumbnail").get_attribute("src")
    assert source.startswith("data:image/png")


def test_the_visit_is_remembered_until_it_is_cleared(browse, address, folder):
    browser = browse(address)
    browser.find_element(By.ID, "pictures").send_keys(f"{folder / 'a.png'}\n{folder / 'notes.txt'}")
    answers(browser, 2)
    wait_for_status(browser, "notes.txt")
    browser.find_element(By.LINK_TEXT, "The model").click()
    browser.find_element(By.LINK_TEXT, "Ask").click()
    assert "notes.txt" in answers(browser, 2)[0]
    browser.find_element(By.ID, "forget").click()
    browser.refresh()
    assert answers(browser, 0) == []


def test_a_server_that_has_gone_is_reported(browse, folder, tmp_path):
    model = web_server.model(tmp_path / "model")
    with web_server.running(create_app([model])) as url:
        browser = browse(url)
    browser.find_element(By.ID, "pictures").send_keys(str(folder / "a.png"))
    assert "cannot be reached" in answers(browser, 1)[0]


def test_too_large_a_file_is_refused_with_a_page(browse, folder, tmp_path):
    model = web_server.model(tmp_path / "model")
    limit = 20_000
    large = tmp_path / "large.jpg"
    large.write_bytes(bytes(10 * limit))
    limits = web_server.Limits(request_bytes=limit)
    with web_server.running(create_app([model], most_bytes=limit), limits=limits) as url:
        with_script, without = browse(url), browse(url, script=False)
        with_script.find_element(By.ID, "pictures").send_keys(str(large))
        assert "too large" in answers(with_script, 1)[0]
        without.find_element(By.ID, "pictures").send_keys(str(large))
        without.find_element(By.CSS_SELECTOR, "button.plain").click()
        until(lambda: "Received 200" in without.page_source, 60)


def test_the_form_works_without_javascript(browse, address, folder):
    browser = browse(address, script=False)
    files = browser.find_element(By.ID, "pictures")
    files.send_keys(f"{folder / 'a.png'}\n{folder / 'notes.txt'}")
    browser.find_element(By.CSS_SELECTOR, "button.plain").click()
    first, second = answers(browser, 2)
    assert "a.png" in first and "not a picture" in second


def test_the_keyboard_reaches_everything(browse, address):
    browser = browse(address)
    reached = []
    for _ in range(8):
        webdriver.ActionChains(browser).send_keys(Keys.TAB).perform()
        element = browser.switch_to.active_element
        reached.append(element.get_attribute("id") or element.text)
    assert reached[0] == "Skip to the content"
    assert {"The model", "Training", "pictures"} <= set(reached)


def test_names_and_roles_for_a_screen_reader(browse, address, folder):
    browser = browse(address)
    browser.find_element(By.ID, "pictures").send_keys(str(folder / "a.png"))
    answers(browser, 1)
    said = roles_and_names(browser)
    for role, name in (
        ("heading", "What is it?"),
        ("navigation", "Pages"),
        ("button", "Choose pictures"),
        ("image", "a.png"),
        ("table", "Classes and their probabilities, best first"),
        ("rowheader", saved_runs.CLASSES[0]),
    ):
        assert (role, name) in said
    assert {"main", "status"} <= {role for role, _ in said}


@pytest.mark.parametrize("path", ["/", "/models/a model", "/watch", "/none"])
def test_no_page_is_wider_than_a_phone(browse, address, folder, path):
    browser = browse(address)
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    browser.get(address + path)
    if path == "/":
        browser.find_element(By.ID, "pictures").send_keys(f"{folder / 'a.png'}\n{folder / 'notes.txt'}")
        answers(browser, 2)
    assert sideways(browser) <= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_in_light_and_dark(browse, address, scheme):
    browser = browse(address)
    # Without motion the colours are there at once.
    wanted = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in wanted.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    colours = browser.execute_script(
        """
        const shown = (selector, what) => getComputedStyle(document.querySelector(selector))[what];
        return [["body", "body"], [".lead", "body"], [".drop .small", ".drop"], [".primary", ".primary"]].map(
          ([front, back]) => [shown(front, "color"), shown(back, "backgroundColor")]);
        """
    )
    for front, back in colours:
        assert contrast(front, back) >= 4.5, (front, back)


def contrast(*colours: str) -> float:
    """The contrast ratio of two colours as CSS writes them (WCAG 2.2)."""
    light = []
    for colour in colours:
        levels = [float(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in levels]
        light.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(light) + 0.05) / (min(light) + 0.05)


@pytest.mark.parametrize("script", [True, False])
def test_a_training_is_followed_to_its_end(browse, address, runs, script):
    """The file that a training writes changes, and the page with it."""
    run = runs / f"training {script}"
    run.mkdir()
    (run / "settings.json").write_text(json.dumps({"total_steps": 30, "steps_per_epoch": 10}))
    time.sleep(0.05)
    browser = browse(f"{address}/watch?run={run.name}", script)
    if not script:
        assert 'http-equiv="refresh"' in browser.page_source
    history = "epoch,train_loss,valid_loss,train_accuracy,valid_accuracy\n"
    for step in (10, 20, 30):
        history += f"{step / 10},{1 / step},{2 / step},0.5,0.{step}\n"
        (run / "history.csv").write_text(history)
        state = "finished" if step == 30 else "training"
        written = {"state": state, "step": step, "total_steps": 30, "epoch": step / 10, "seconds": step}
        (run / "progress.json").write_text(json.dumps(written))
        told = f"step {step} of 30"
        until(lambda told=told: told in browser.find_element(By.TAG_NAME, "main").text, 30)
        until(lambda state=state: browser.find_element(By.CLASS_NAME, "state").text == state, 30)
    assert len(browser.find_elements(By.CSS_SELECTOR, "polyline")) == 4
    assert complaints(browser) == []


WATCHED = """
const all = (selector) => [...document.querySelectorAll(selector)];
const pictures = all(".mistakes img");
return {
  text: document.querySelector("main").innerText,
  curves: all("polyline").map((curve) => curve.points.length),
  mistakes: pictures.length,
  shown: pictures.every((picture) => picture.complete && picture.naturalWidth > 0),
  first: window.first === true,
};
"""


def test_a_real_training_is_watched_to_its_end(browse, tmp_path):
    """The page is opened once, before a training of some ten seconds begins, and shows it all by itself."""
    data, runs = draw_classes(tmp_path / "pictures", 100), tmp_path / "runs"
    runs.mkdir()
    with web_server.program("--watch", "runs", cwd=tmp_path) as (_, url):
        browser = browse(f"{url}/watch")
        browser.execute_script("window.first = true")
        assert "No training yet" in browser.page_source
        command = [sys.executable, web_server.ROOT / "train.py", "--data", data, "--output", runs]
        command += ["--epochs", "20", "--image-size", "96", "--no-report", "--no-cache"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as training:
            moments = moments_until_finished(browser)
            _, errors = training.communicate(timeout=300)
        assert training.returncode == 0, errors
        # The page asks every two seconds, and may have seen the saved model before its result was written.
        until(lambda: "Expected accuracy" in browser.page_source, 60)
        last = browser.execute_script(WATCHED)
    steps = [int(re.search(r"step (\d+) of", moment["text"])[1]) for moment in moments]
    assert len(moments) >= 4 and steps == sorted(set(steps))
    points = [sum(moment["curves"]) for moment in moments]
    assert points == sorted(points) and points[-1] > points[0] and len(moments[-1]["curves"]) == 4
    assert all(re.search(r"[1-9]\d*\s+pictures per second", moment["text"]) for moment in moments)
    assert any("to go" in moment["text"] for moment in moments)
    assert any(moment["mistakes"] for moment in moments) and all(moment["shown"] for moment in moments)
    (run,) = runs.iterdir()
    expected = json.loads((run / "result.json").read_text())["expected_accuracy"]
    accuracies = [float(row["valid_accuracy"]) for row in csv.DictReader((run / "history.csv").open())]
    for shown in (expected, accuracies[-1], max(accuracies)):
        assert pages.percent(shown) in last["text"]
    assert run.name in last["text"] and "The model is saved" in last["text"]
    assert last["first"], "the page was loaded again"
    assert complaints(browser) == []


def moments_until_finished(browser) -> list[dict]:
    """What the page showed after each validation that it told of."""
    moments = {}

    def look() -> bool:
        moment = browser.execute_script(WATCHED)
        step = re.search(r"step (\d+) of", moment["text"])
        if step and moment["curves"]:
            moments.setdefault(step[1], moment)
        return "finished" in moment["text"]

    until(look, 400)
    return list(moments.values())


def draw_classes(folder: Path, count: int) -> Path:
    """Three classes of colours that overlap, so that some mistakes remain."""
    random = np.random.default_rng(0)
    for name, colour in (("amber", (70, 130, 160)), ("moss", (90, 150, 120)), ("slate", (140, 130, 110))):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            picture = np.clip(random.normal(colour, 30, 3) + random.normal(0, 40, (32, 32, 3)), 0, 255)
            cv2.imwrite(str(folder / name / f"{name} {number:03}.png"), picture.astype(np.uint8))
    return folder
