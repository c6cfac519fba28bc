"""The report in a real browser. Needs chromium and chromedriver, and axe-core (`npm install axe-core`)."""

import json
from pathlib import Path

import keras
import pytest

from pigeonhole.evaluation.studies.audit import AuditResult
from pigeonhole.report import writing
from pigeonhole.statistics import CorrectedAccuracy
from tests.support import report_runs
from tests.support.browsing import CHROMIUM, DRIVER, FLAGS

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
DESKTOP, PHONE = 1280, 390  # pixels
GRAVE = ("serious", "critical")

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium or chromedriver is not installed")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    keras.utils.set_random_seed(0)
    case = report_runs.make(tmp_path_factory.mktemp("browser"))
    report_runs.keep_pictures(case)
    with case.classifier:
        told, corrected = case.measures, CorrectedAccuracy(20.0, case.measures.total, 0.02, 5, kept=2)
        judged = writing.Judged(case.evaluation, told, corrected)
        writing.write_training(case.run, case.sets, judged, case.classifier, AuditResult())
        return writing.write_test(case.run, case.evaluation, case.measures, {}, case.classifier)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    profile = tmp_path_factory.mktemp("profile")
    for flag in (*FLAGS, "--hide-scrollbars", f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def show(browser, report: Path, width: int, theme: str = "light", target: str = "", script: bool = True):
    """Open the report as on a screen of this width; nothing of the network can be reached."""
    command = browser.execute_cdp_cmd
    command("Emulation.setScriptExecutionDisabled", {"value": not script})
    command(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == PHONE},
    )
    command("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": theme}]})
    browser.get("about:blank")
    browser.get(report.as_uri() + target)
    if not script:
        browser.refresh()  # a new page may begin in a new process, before that is told to run no script


def visible(browser, selector: str) -> list:
    return [element for element in browser.find_elements("css selector", selector) if element.is_displayed()]


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_it_shows_and_complains_of_nothing(browser, report, width):
    show(browser, report, width)
    assert visible(browser, "h1")[0].text.endswith("cat or été 北?")
    assert browser.get_log("browser") == []
    broken = "return [...document.images].filter((image) => !image.complete || !image.naturalWidth).length"
    assert browser.execute_script(broken) == 0


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_nothing_stands_out_to_the_side(browser, report, width):
    show(browser, report, width)
    for fold in browser.find_elements("css selector", "details"):
        browser.execute_script("arguments[0].open = true", fold)
    assert browser.execute_script("return document.documentElement.scrollWidth") == width


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not there: npm install axe-core")
@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_it_can_be_used_by_everybody(browser, report, width, theme):
    show(browser, report, width, theme)
    for fold in browser.find_elements("css selector", "details"):
        browser.execute_script("arguments[0].open = true", fold)
    browser.execute_script(AXE.read_text("utf-8"))
    found = browser.execute_async_script(
        "const done = arguments[0];"
        "axe.run({resultTypes: ['violations']}).then((result) => done(result.violations))"
    )
    grave = [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in GRAVE]
    assert not grave, json.dumps(grave, indent=2)


def test_light_and_dark_differ(browser, report):
    colours = []
    for theme in ("light", "dark"):
        show(browser, report, DESKTOP, theme)
        colours.append(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(253, 252, 250)", "rgb(20, 24, 28)"]


def test_a_cell_of_the_matrix_leads_to_its_pictures(browser, report):
    show(browser, report, DESKTOP)
    assert not visible(browser, ".pile")
    link = visible(browser, "#test-confusion .matrix .miss a")[0]
    target = link.get_attribute("href").partition("#")[2]
    count = int(link.text)
    browser.execute_script("arguments[0].click()", link)
    (pile,) = visible(browser, ".pile")
    assert pile.get_attribute("id") == target
    assert len(pile.find_elements("css selector", "img")) == min(count, 8)


def test_the_input_channel_is_chosen(browser, report):
    show(browser, report, DESKTOP)
    (red,) = visible(browser, "#filters .channels:first-of-type .channel")
    assert "Channel red" in red.text
    select = browser.find_element("css selector", "#filters select")
    assert [option.text for option in select.find_elements("css selector", "option")] == [
        "red",
        "green",
        "blue",
    ]
    browser.execute_script("arguments[0].value = 2; arguments[0].dispatchEvent(new Event('change'))", select)
    (blue,) = visible(browser, "#filters .channels:first-of-type .channel")
    assert "Channel blue" in blue.text


def test_without_scripts_every_channel_is_there(browser, report):
    show(browser, report, DESKTOP, script=False)
    assert len(visible(browser, "#filters .channels:first-of-type .channel")) == 3
    assert not visible(browser, "select")


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_a_picture_of_the_map_appears_under_the_pointer(browser, report, width):
    show(browser, report, width)
    shown = browser.find_element("css selector", "#map .shown")
    assert not shown.is_displayed()
    over = "arguments[0].dispatchEvent(new PointerEvent('pointerover', {bubbles: true}))"
    for mark in browser.find_elements("css selector", "#map circle")[:3]:
        browser.execute_script(over, mark)  # another mark may lie over it
        assert shown.is_displayed() and shown.text == mark.get_attribute("data-name")
        drawn = "return arguments[0].getContext('2d').getImageData(48, 48, 1, 1).data[3]"
        assert browser.execute_script(drawn, shown.find_element("css selector", "canvas")) == 255


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_all_pixels_are_smoothed_by_one_switch(browser, report, width):
    show(browser, report, width)
    style = (
        "return [...document.querySelectorAll('.px')].map((each) => getComputedStyle(each).imageRendering)"
    )
    assert len(sharp := browser.execute_script(style)) > 20 and set(sharp) == {"pixelated"}
    (switch,) = browser.find_elements("css selector", ".smooth input")
    assert switch.accessible_name == "Smooth the pixels"
    browser.execute_script("arguments[0].click()", switch)
    assert set(browser.execute_script(style)) == {"auto"}


def test_it_prints_on_white_without_its_controls(browser, report):
    show(browser, report, DESKTOP, "dark")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert (
        browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        == "rgb(255, 255, 255)"
    )
    assert not visible(browser, ".contents, .smooth, select")
    assert visible(browser, "#test-mistakes .tile")
