"""The labelling page in a real browser, its user played by keys and by the mouse."""

from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from pigeonhole.web import create_app, labelling
from tests.support import web_server
from tests.support.browsing import CHROMIUM, DRIVER, roles_and_names
from tests.support.labelling_page import Page, name_class
from tests.support.labelling_sessions import draw_heap, open_session, settle, started

PICTURES = 40  # of each of two colours
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def truth(home):
    return draw_heap(home / "heap", PICTURES)


@pytest.fixture
def labelled(home, truth, tmp_path):
    """A labelling of the heap, its address and its file."""
    journal = tmp_path / "labels.csv"
    with started(open_session(home / "heap", home / "cache", journal)) as session:
        settle(session)
        app = create_app([])
        labelling.add_to(app, session)
        with web_server.running(app) as address:
            yield session, address, journal


@pytest.fixture
def page(labelled):
    _, address, journal = labelled
    page = Page(address, journal)
    yield page
    page.browser.quit()


def shown(page) -> str:
    """The name of the large picture under Next."""
    return page.text(".caption").split(" · ")[0]


def test_a_user_labels_by_keys(page, truth):
    page.open("next")
    classes = []
    for _ in range(24):
        page.wait(lambda: shown(page))
        before, count = shown(page), len(page.rows())
        label = truth[before]
        if label in classes:
            proposed = page.text(".accept").split(" ")[0].strip()
            page.press(" " if proposed == label else str(classes.index(label) + 1))
        else:
            name_class(page, label)
            classes.append(label)
        page.wait(lambda before=before: shown(page) != before)
        assert len(page.rows()) == count + 1, "the decision is on the disk before the next picture shows"
    rows = page.rows()
    assert {row["file"]: row["label"] for row in rows}.items() <= truth.items()
    assert len({row["file"] for row in rows}) == len({row["action"] for row in rows}) == 24
    assert page.text("#counts").startswith("24 of 80 pictures labelled")
    page.wait(lambda: "%" in page.text("#accuracy") and "roughly" in page.text("#interval"))
    page.wait(lambda: page.ask("document.querySelector('#curve polyline')?.points.length") >= 2)
    last = rows[-1]["file"]
    page.press("z")
    page.wait(lambda: shown(page) == last and page.text("#counts").startswith("23 of"))
    page.press("Z")
    page.wait(lambda: page.text("#counts").startswith("24 of"))
    page.press(Keys.ARROW_RIGHT)
    page.wait(lambda: shown(page) != last)
    page.press("x")
    page.wait(lambda: "1 left out" in page.text("#counts"))
    assert page.complaints() == []


def test_groups_are_named_and_pictures_taken_out(page, truth):
    page.open("groups")
    page.wait(lambda: page.all(".sheet.active .tile img[src]"))
    total = int(page.text(".sheet.active h2").split()[0])
    page.all(".sheet.active .tiles button")[0].click()
    page.wait(lambda: page.text(".sheet.active h2").startswith(f"{total - 1} of"))
    name_class(page, "moss")
    page.wait(lambda: len(page.rows()) == total - 1)
    assert len({row["action"] for row in page.rows()}) == 1
    left = page.wait(lambda: [each for each in page.all(".sheet h2") if each.text == "1 picture"])
    assert left, "what was taken out stays, as a group of its own"
    page.press("z")
    page.wait(lambda: page.text("#counts").startswith("0 of"))
    before = len(page.all(".sheet"))
    page.browser.execute_script("document.querySelector('.sheet').focus()")
    page.press("s")
    page.wait(lambda: len(page.all(".sheet")) == before + 1)
    page.browser.execute_script("document.querySelector('.sheet').focus()")
    page.press("m")
    page.press(Keys.ARROW_DOWN)
    page.press("m")
    page.wait(lambda: len(page.all(".sheet")) == before)
    page.press("o")
    page.wait(lambda: page.all(".sheet .inside [role=option]"))
    assert page.complaints() == []


def test_many_are_selected_by_mouse_and_keys(page, truth):
    page.open("all/all")
    page.browser.find_element(By.ID, "order").send_keys("By name")
    page.wait(lambda: page.ask("document.querySelectorAll('[role=option] img[src]').length") > 20)
    tiles = {int(tile.get_attribute("data-place")): tile for tile in page.all("[role=option]")}
    selected = lambda: page.ask("document.querySelectorAll('[aria-selected=true]').length")  # noqa: E731
    tiles[0].click()
    webdriver.ActionChains(page.browser).key_down(Keys.SHIFT).click(tiles[4]).key_up(Keys.SHIFT).perform()
    page.wait(lambda: selected() == 5)
    webdriver.ActionChains(page.browser).key_down(Keys.CONTROL).click(tiles[2]).key_up(Keys.CONTROL).perform()
    page.wait(lambda: selected() == 4)
    assert page.text(".listed").startswith("4 of 80")
    name_class(page, "moss")
    page.wait(lambda: len(page.rows()) == 4)
    assert [row["file"] for row in page.rows()] == [f"{number:04}.png" for number in (0, 1, 3, 4)]
    webdriver.ActionChains(page.browser).drag_and_drop(tiles[0], tiles[7]).perform()
    page.wait(lambda: selected() in (4, 8))  # by how many columns there are
    tiles[5].click()
    page.held(Keys.SHIFT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    page.wait(lambda: selected() == 3)
    page.press("x")
    page.wait(lambda: "3 left out" in page.text("#counts"))
    page.held(Keys.CONTROL, "a")
    page.press(Keys.DELETE)
    page.wait(
        lambda: (
            page.text("#counts").startswith("0 of 80 pictures labelled")
            and "left" not in page.text("#counts")
        )
    )
    assert page.complaints() == []


def test_two_windows_see_each_other_and_lose_nothing(labelled, page):
    _, address, journal = labelled
    other = Page(address, journal)
    try:
        for window in (page, other):
            window.open("next")
            window.wait(lambda window=window: shown(window))
        for number in range(6):
            window = (page, other)[number % 2]
            window.wait(lambda window=window: shown(window))
            before = shown(window)
            name_class(window, "moss")
            window.wait(lambda window=window, before=before: shown(window) != before)
        for window in (page, other):
            window.wait(
                lambda window=window: (
                    window.text("#counts").split(" ")[0] == str(len({r["file"] for r in page.rows()}))
                )
            )
        assert len({row["action"] for row in page.rows()}) == 6
    finally:
        other.browser.quit()


def test_what_the_server_refuses_is_said_and_nothing_is_kept(page):
    page.open("next")
    page.wait(lambda: shown(page))
    name_class(page, "a/b")
    page.wait(lambda: "cannot be a class" in page.text("#said"))
    assert page.rows() == []


def test_a_page_of_an_earlier_start_loads_itself_again(home, truth, tmp_path):
    journal = tmp_path / "labels.csv"
    first, second = (open_session(home / "heap", home / "cache", journal) for _ in range(2))
    app = create_app([])
    labelling.add_to(app, first)
    with web_server.running(app) as address:
        page = Page(address, journal)
        try:
            page.open("next")
            page.wait(lambda: shown(page))
            app.extensions["labelling"] = second
            page.wait(lambda: page.ask("document.body.dataset.token") == second.number)
        finally:
            page.browser.quit()


def test_thousands_of_pictures_scroll_with_few_elements(tmp_path):
    draw_heap(tmp_path / "heap", 1500)
    session = open_session(tmp_path / "heap", tmp_path / "cache")
    app = create_app([])
    labelling.add_to(app, session)
    with web_server.running(app) as address:
        page = Page(address, tmp_path / "heap" / "labels.csv")
        try:
            page.open("all/all")
            page.wait(lambda: page.all("[role=option] img[src]"))
            page.browser.execute_script("document.querySelector('.scroller').scrollTop = 1e9")
            last = "[role=option][aria-posinset='3000']"
            page.wait(lambda: page.text(".listed") == "3,000 pictures" and page.all(f"{last} img[src]"))
            page.wait(lambda: page.ask(f"document.querySelector({last + ' img'!r}).naturalWidth > 0"))
            assert page.ask(f"document.querySelector({last!r}).title") == "2999.png"
            assert page.ask("document.querySelectorAll('[role=option]').length") < 150
        finally:
            page.browser.quit()


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed (npm install axe-core)")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desk", "phone"])
def test_every_view_is_accessible_and_no_wider_than_the_screen(labelled, page, truth, scheme, size):
    session = labelled[0]
    for number, row in enumerate(range(0, 40)):
        session.decide(f"a{number}", [row], truth[session.collection.names[row]], "page")
    session.decide("out", [41], None, "page")
    settle(session)
    if size == "phone":
        page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    media = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in media.items()]
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    for view in ("groups", "next", "all/all", "review", "answers", "train", "help"):
        page.open("next" if view == "help" else view)
        page.wait(lambda: not page.all(".tile.loading"))
        if view == "help":
            page.press("?")
            page.wait(lambda: page.ask("document.getElementById('help').open"))
        page.browser.execute_script(AXE.read_text("utf-8"))
        found = page.browser.execute_async_script(
            "axe.run().then((found) => "
            "arguments[0](found.violations.map((each) => [each.id, each.nodes[0].html])))"
        )
        assert found == [], view
        assert page.ask("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


def test_names_and_roles_for_a_screen_reader(page):
    page.open("all/all")
    page.wait(lambda: page.all("[role=option] img[src]"))
    said = roles_and_names(page.browser)
    for role, name in (
        ("navigation", "Views"),
        ("complementary", "Classes and progress"),
        ("listbox", "Pictures"),
        ("button", "Undo z"),
        ("progressbar", "Pictures labelled or left out"),
    ):
        assert (role, name) in said, (role, name)
    assert any(role == "option" and name.endswith(".png, no label") for role, name in said)
