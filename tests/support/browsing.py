"""The browser that the pages are tried in: Debian's Chromium, where it is installed."""

import shutil
from pathlib import Path

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
# Without these it asks hosts elsewhere at every start, or refuses to run in a container.
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def roles_and_names(browser) -> set[tuple[str, str]]:
    """What a screen reader is told of the page that is open: the role and the name of each part."""
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    return {
        (node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if "role" in node
    }


def violations(browser) -> list[tuple[str, str]]:
    """What axe-core finds wrong with the page that is open: the rule, and the first element."""
    browser.execute_script(AXE.read_text("utf-8"))
    return browser.execute_async_script(
        "axe.run().then((found) => "
        "arguments[0](found.violations.map((each) => [each.id, each.nodes[0].html])))"
    )


def until(holds, seconds: float, what: str = ""):
    """What it returns, once that is true; an element that its page has replaced is looked up again."""
    wait = WebDriverWait(
        None, seconds, poll_frequency=0.05, ignored_exceptions=[StaleElementReferenceException]
    )
    return wait.until(lambda _: holds(), what)
