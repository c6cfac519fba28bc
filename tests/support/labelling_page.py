"""The labelling page in a browser, its user played by keys and by the mouse."""

import csv
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.support.browsing import CHROMIUM, DRIVER, FLAGS, until


class Page:
    """The page in a browser, and the file that it writes."""

    def __init__(self, address: str, journal: Path):
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in FLAGS:
            options.add_argument(flag)
        self.browser = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
        self.browser.set_window_size(1280, 900)
        self._address, self._journal = address, journal

    def open(self, view: str) -> None:
        self.browser.get("about:blank")
        self.browser.get(f"{self._address}/label/#{view}")
        self.wait(lambda: self.ask("document.querySelector('#view > section')"))

    def ask(self, script: str):
        return self.browser.execute_script(f"return {script}")

    def text(self, selector: str) -> str:
        return self.ask(f"document.querySelector({selector!r})?.innerText ?? ''")

    def all(self, selector: str) -> list:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def press(self, *keys: str) -> None:
        webdriver.ActionChains(self.browser).send_keys(*keys).perform()

    def held(self, key: str, *keys: str) -> None:
        """Press keys while another one is held."""
        webdriver.ActionChains(self.browser).key_down(key).send_keys(*keys).key_up(key).perform()

    def wait(self, holds, seconds: float = 20):
        return until(holds, seconds)

    def rows(self) -> list[dict[str, str]]:
        """Of the file of decisions."""
        if not self._journal.exists():
            return []
        with self._journal.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.browser.get_log("browser")]


def name_class(page: Page, name: str) -> None:
    page.press("n")
    page.press(name, Keys.ENTER)
