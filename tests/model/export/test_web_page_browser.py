"""Exported web pages in Debian's Chromium, served as any static host would."""

import base64
import json
import os
import shutil
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pigeonhole.commands import predict
from pigeonhole.model import doubt, rejection
from pigeonhole.model.export import web
from pigeonhole.pictures import images
from pigeonhole.pictures.images import Preprocessing
from pigeonhole.training import retraining
from tests.support import browsing, saved_runs, web_pages
from tests.support.browsing import CHROMIUM, DRIVER, FLAGS, roles_and_names
from tests.support.made_photos import photo
from tests.support.odd_files import PICTURE, alpha, encode

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

AXE = Path(__file__).parents[3] / "node_modules" / "axe-core" / "axe.min.js"
PHOTOS = Path(__file__).parents[4] / "shared" / "data" / "dogs_cats" / "testing_data"
FAKE_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
PICTURES, AT_ONCE = 60, 30
SIZE = 24  # pixels along each side, as the network takes them
PATIENCE = 90  # seconds

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"),
    pytest.mark.skipif(not web_pages.RUNTIME.is_dir(), reason=web_pages.WHY_NOT),
]


@pytest.fixture(scope="module")
def run(pictures, tmp_path_factory):
    """It calls a third of the pictures unsure, and is torn by half; their mirror images lie at the limits."""
    network = saved_runs.network(size=SIZE)
    pixels = np.stack([images.preprocess(path.read_bytes(), Preprocessing(SIZE)) for path in pictures])
    seen, labels = (
        retraining.outputs(network, pixels[:, :, ::-1]),
        np.arange(PICTURES) % len(saved_runs.CLASSES),
    )
    second, first = np.sort(seen.logits, axis=1)[:, -2:].T
    temperature = float(np.median(first - second) / np.log(doubt.ODDS))
    rule = rejection.fit(seen.features, labels, seen, temperature, false_rejection=1 / 3)
    return saved_runs.save(
        tmp_path_factory.mktemp("runs") / "run", network, rejection=rule, temperature=temperature
    )


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    return web_pages.export(run, tmp_path_factory.mktemp("pages") / "web")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> list[Path]:
    """Photos of cats and dogs where they are there, and made ones otherwise, of many sizes and kinds."""
    folder = tmp_path_factory.mktemp("pictures")
    found = sorted(PHOTOS.glob("*/*.jpg"))
    found = found[:: max(1, len(found) // PICTURES)][: PICTURES - 20]
    for number in range(PICTURES - len(found)):
        made = Image.fromarray(photo(number, 20 + 37 * number % 500, 20 + 53 * number % 400))
        name = ("JPEG", "PNG", "WEBP")[number % 3]
        options = {"lossless": True} if name == "WEBP" else {}
        path = folder / f"made {number}.{name.lower()}"
        path.write_bytes(encode(made, name, **options))
        found.append(path)
    return found


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    profile = f"--user-data-dir={tmp_path_factory.mktemp('profile')}"
    for flag in (*FLAGS, *FAKE_CAMERA, "--hide-scrollbars", profile):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(PATIENCE)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def host(page):
    with web_pages.hosting(page) as host:
        yield host


@pytest.fixture
def opened(browser, host):
    return visit(browser, host.address)


def visit(browser, address: str, state: str = "Ready, offline too"):
    browser.get_log("browser")
    browser.get(address)
    until(lambda: browser.execute_script("return document.querySelector('.state').textContent") == state)
    return browser


def until(is_so, what: str = "it is so") -> None:
    browsing.until(is_so, PATIENCE, what)


ANSWERS = """
const text = (article, place) => article.querySelector(place)?.innerText ?? "";
return [...document.querySelectorAll(".answers article:not(.waiting)")].map((article) => ({
  name: text(article, ".facts .name"), title: text(article, "h3"), text: article.innerText,
  unsure: article.classList.contains("unsure"), refused: article.classList.contains("refused"),
  shares: [...article.querySelectorAll("tr")].map(
    (row) => [row.cells[0].textContent, Number(row.querySelector("data").value)]),
}));
"""


def answers(browser, count: int) -> list[dict]:
    """The newest first, once there are so many."""
    until(lambda: len(browser.execute_script(ANSWERS)) == count, f"{count} answers")
    return browser.execute_script(ANSWERS)


def choose(browser, *paths: Path) -> None:
    browser.find_element("id", "pictures").send_keys("\n".join(map(str, paths)))


def complaints(browser) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser")]


def test_sixty_pictures_get_the_answers_of_the_command_line(opened, run, pictures, capsys):
    assert len(pictures) == PICTURES
    capsys.readouterr()
    assert predict.main(["--model", str(run), "--json", *map(str, pictures)]) == 0
    expected = {Path(said["file"]).name: said for said in json.loads(capsys.readouterr().out)}
    given = {}
    for start in range(0, PICTURES, AT_ONCE):
        choose(opened, *pictures[start : start + AT_ONCE])
        given |= {answer["name"]: answer for answer in answers(opened, AT_ONCE)}
        opened.find_element("id", "forget").click()
    assert given.keys() == expected.keys()
    for name, said in expected.items():
        shares = dict(given[name]["shares"])
        ranked = {each["class"]: each["probability"] for each in said["predictions"]}
        assert max(abs(shares[each] - ranked[each]) for each in ranked) < 0.01, name
        assert given[name]["shares"][0][0] == said["predictions"][0]["class"], name
        assert given[name]["unsure"] == said["unsure"], name
        assert ("torn between" in given[name]["title"]) == (said["doubt"] == "torn"), name
    kinds = {said["doubt"] for said in expected.values()}
    assert kinds == {None, "torn", "stranger"}, "the pictures try too little"
    assert complaints(opened) == []


SQUARED = """
const [file, size, channels, done] = arguments;
import("./pixels.js").then(async ({ decoded, squared }) => {
  const bytes = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
  done([...squared(await decoded(new Blob([bytes])), size, channels)]);
}).catch((error) => done(String(error)));
"""


def odd_pictures() -> dict[str, bytes]:
    large, tiny = photo(1, 700, 521), photo(2, 7, 5)
    deep = cv2.imencode(".png", PICTURE[..., ::-1].astype(np.uint16) * 257)[1].tobytes()
    return {
        **{f"turned {turn}": encode(PICTURE, "JPEG", quality=95, orientation=turn) for turn in range(1, 9)},
        "large": encode(large, "JPEG", quality=90),
        "4:4:4": encode(large, "JPEG", quality=90, subsampling=0),
        "progressive": encode(large, "JPEG", quality=80, progressive=True),
        "grey JPEG": encode(large[..., 1], "JPEG"),
        "enlarged": encode(tiny, "PNG"),
        "narrow": encode(photo(3, 3, 900), "PNG"),
        "one pixel": encode(tiny[:1, :1], "PNG"),
        "transparent": encode(np.dstack([PICTURE, alpha()]), "PNG"),
        "16 bits": deep,
        "palette": encode(Image.fromarray(PICTURE).quantize(32), "PNG"),
        "WebP": encode(large, "WEBP", lossless=True),
        "GIF": encode(Image.fromarray(PICTURE).quantize(64), "GIF"),
        "BMP": encode(PICTURE, "BMP"),
    }


@pytest.mark.parametrize("channels", [3, 1])
def test_pixels_are_the_tools_to_one_level(opened, channels):
    for name, data in odd_pictures().items():
        for size in (24, 100):
            wanted = images.preprocess(data, Preprocessing(size, channels)).ravel().astype(int)
            given = opened.execute_async_script(SQUARED, base64.b64encode(data).decode(), size, channels)
            assert np.abs(np.array(given) - wanted).max() <= 1, (name, size)


def test_a_very_large_picture_is_read_in_strips(opened):
    image = np.tile(photo(4, 500, 400), (10, 10, 1))  # 20 megapixels, more than some browsers' canvas holds
    data = encode(image, "JPEG", quality=80)
    given = opened.execute_async_script(SQUARED, base64.b64encode(data).decode(), 24, 3)
    wanted = images.resize(images.decode(data), 24).ravel().astype(int)
    assert np.abs(np.array(given) - wanted).max() <= 1


def test_a_very_wide_picture_is_read_in_pieces(opened):
    """No canvas of Chromium is wider than 65,535; of such a one it says nothing and draws nothing."""
    data = encode(photo(5, 70_000, 300)[:, :, :1].repeat(3, 2), "PNG")
    given = opened.execute_async_script(SQUARED, base64.b64encode(data).decode(), 24, 3)
    wanted = images.preprocess(data, Preprocessing(24)).ravel().astype(int)
    assert np.abs(np.array(given) - wanted).max() <= 1


def test_what_was_cleared_is_not_answered_and_many_are(opened, pictures):
    choose(opened, *pictures)
    opened.find_element("id", "forget").click()
    choose(opened, *pictures)
    names = [answer["name"] for answer in answers(opened, PICTURES)]
    assert names == [path.name for path in reversed(pictures)]
    assert complaints(opened) == []


def test_pictures_are_dropped_and_pasted_and_what_is_none_is_refused(opened, pictures, tmp_path):
    none = tmp_path / "notes.txt"
    none.write_text("words")
    choose(opened, none)
    (refusal,) = answers(opened, 1)
    assert refusal["refused"] and "notes.txt: this browser cannot decode it" in refusal["text"]
    content = base64.b64encode(pictures[0].read_bytes()).decode()
    opened.execute_script(
        """
        const given = () => {
          const transfer = new DataTransfer();
          const bytes = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0));
          transfer.items.add(new File([bytes], "given.jpg", {type: "image/jpeg"}));
          return transfer;
        };
        const options = {bubbles: true, cancelable: true};
        document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: given(), ...options}));
        document.body.dispatchEvent(new ClipboardEvent("paste", {clipboardData: given(), ...options}));
        """,
        content,
    )
    given = answers(opened, 3)
    assert [answer["name"] for answer in given] == ["given.jpg", "given.jpg", ""]
    assert given[0]["shares"] == given[1]["shares"]
    assert opened.execute_script("return document.querySelector('.thumbnail').naturalWidth") > 100
    assert complaints(opened) == []


def test_the_live_camera_is_answered_kept_and_stopped(opened):
    opened.find_element("id", "watch").click()
    seen = "return document.querySelector('#answer article .facts')?.innerText ?? ''"
    until(lambda: "640 \u00d7 480 \u00d7 3" in opened.execute_script(seen), "a live answer")
    shown = "return document.querySelector('#answer article')"
    first = opened.execute_script(shown)
    until(lambda: opened.execute_script(shown) != first, "another live answer")
    assert opened.execute_script("return document.activeElement.id") == "keep"
    opened.find_element("id", "keep").click()
    (kept,) = answers(opened, 1)
    assert kept["name"] == "camera 1" and len(kept["shares"]) == 3
    stream = "window.tracks ??= document.querySelector('video').srcObject.getTracks();"
    opened.execute_script(stream)
    opened.find_element("id", "stop").click()
    assert opened.execute_script("return window.tracks.every((track) => track.readyState === 'ended')")
    assert not opened.find_element("css selector", ".camera").is_displayed()
    assert complaints(opened) == []


def test_a_camera_that_comes_too_late_is_given_back(opened):
    """Stopped while the browser still asks, and turned twice at once."""
    opened.execute_script(
        """
        window.streams = [];
        const devices = navigator.mediaDevices, real = devices.getUserMedia.bind(devices);
        devices.getUserMedia = async (wanted) => {
          const stream = await real(wanted);
          window.streams.push(stream);
          await new Promise((resolve) => setTimeout(resolve, 300));
          return stream;
        };
        """
    )
    running = """return window.streams.flatMap((stream) => stream.getTracks())
                   .filter((track) => track.readyState === "live").length"""
    opened.find_element("id", "watch").click()
    until(lambda: opened.execute_script("return window.streams.length") == 1)
    opened.execute_script("dispatchEvent(new Event('pagehide'))")
    until(lambda: opened.find_element("id", "watch").is_enabled())
    assert opened.execute_script(running) == 0
    opened.find_element("id", "watch").click()
    until(lambda: opened.find_elements("css selector", "#answer article"), "a live answer")
    opened.execute_script("const turn = document.getElementById('turn'); turn.click(); turn.click()")
    until(lambda: opened.execute_script("return window.streams.length") == 3)
    until(lambda: opened.execute_script("return !document.getElementById('turn').disabled"))
    assert opened.execute_script(running) == 1
    opened.find_element("id", "stop").click()
    assert opened.execute_script(running) == 0
    assert opened.find_element("id", "trouble").text == "" and complaints(opened) == []


def test_a_camera_that_may_not_be_used_is_told(opened):
    opened.execute_script(
        """navigator.mediaDevices.getUserMedia =
           () => Promise.reject(new DOMException("Permission denied", "NotAllowedError"));"""
    )
    opened.find_element("id", "watch").click()
    until(lambda: "it was not allowed" in opened.find_element("id", "trouble").text)
    assert opened.find_element("id", "watch").is_enabled()


def test_it_opens_and_answers_without_its_host(browser, page, pictures):
    with web_pages.hosting(page) as host:
        visit(browser, host.address)
    assert browser.execute_async_script("fetch('never.txt').catch(() => 'gone').then(arguments[0])") == "gone"
    for path in ("", "index.html"):
        visit(browser, host.address + path)
        choose(browser, pictures[0])
        assert len(answers(browser, 1)[0]["shares"]) == 3


def test_another_model_takes_its_place_at_the_next_visit(browser, page, pictures, tmp_path):
    """At once where nothing was asked yet; else the page says so, and what was answered stays."""
    place = shutil.copytree(page, tmp_path / "site")

    def renewed(name: str, seconds: int) -> Path:
        newer = shutil.copytree(page, tmp_path / name)
        told = (page / "model.json").read_text("utf-8").replace('"dog"', f'"{name}"')
        (newer / "model.json").write_text(told, "utf-8")
        shutil.copyfile(web.PAGE / "sw.js", newer / "sw.js")
        web._keep_offline(newer)
        for file in ("model.json", "sw.js"):  # hosts tell by the second what has changed
            later = (page / file).stat().st_mtime + seconds
            os.utime(newer / file, (later, later))
        return newer

    def classes() -> str:
        return browser.find_element("id", "about").text

    with web_pages.hosting(place) as host:
        visit(browser, host.address)
        assert "dog" in classes()
        host.folder = renewed("wolf", 5)
        browser.get(host.address)
        until(lambda: "wolf" in classes(), "the page has loaded itself again")
        until(lambda: "offline" in browser.find_element("css selector", ".state").text)
        choose(browser, pictures[0])
        (answer,) = answers(browser, 1)
        host.folder = renewed("lynx", 10)
        browser.execute_script("navigator.serviceWorker.getRegistration().then((kept) => kept.update())")
        until(lambda: "A newer model is here" in browser.find_element("id", "findings").text)
        assert answers(browser, 1) == [answer] and "wolf" in classes()
        browser.refresh()
        until(lambda: "lynx" in classes())
        assert len(browser.execute_async_script("caches.keys().then(arguments[0])")) == 1


def test_a_model_or_a_browser_that_computes_otherwise_is_told_and_does_not_answer(browser, page, tmp_path):
    place = shutil.copytree(page, tmp_path / "site")
    told = json.loads((page / "model.json").read_text("utf-8"))
    told["golden"][1]["probabilities"][0] += 0.01
    (place / "model.json").write_text(json.dumps(told))
    (place / "sw.js").unlink()
    with web_pages.hosting(place) as host:
        visit(browser, host.address, "Failed")
        assert "golden examples get other probabilities" in browser.find_element("id", "findings").text
        assert not browser.find_element("css selector", ".ask").is_displayed()
        shutil.copyfile(page / "model.json", place / "model.json")
        (place / "pixels.js").write_text(
            (page / "pixels.js").read_text().replace("STRIP_ROWS = 256", "STRIP_ROWS = 20")
        )
        browser.execute_cdp_cmd("Network.clearBrowserCache", {})  # files of this second count as unchanged
        visit(browser, host.address, "Ready")  # strips of any height
        wrong = (page / "pixels.js").read_text().replace("data[at + 1]", "data[at + 2]")
        (place / "pixels.js").write_text(wrong)
        browser.execute_cdp_cmd("Network.clearBrowserCache", {})
        visit(browser, host.address, "Failed")
        assert "other pixels than the picture has" in browser.find_element("id", "findings").text


def test_a_jpeg_that_is_decoded_otherwise_is_told_and_answered(browser, page, tmp_path):
    import gzip

    place = shutil.copytree(page, tmp_path / "site")
    (place / "sw.js").unlink()
    pixels = bytearray(gzip.decompress((page / "golden.bin").read_bytes()))
    kinds = [example["type"] for example in json.loads((page / "model.json").read_text("utf-8"))["golden"]]
    assert kinds[0] == "image/jpeg"
    pixels[5] ^= 8
    (place / "golden.bin").write_bytes(gzip.compress(bytes(pixels)))
    with web_pages.hosting(place) as host:
        visit(browser, host.address, "Ready")
        assert "decodes JPEG in its own way" in browser.find_element("id", "findings").text
        assert browser.find_element("css selector", ".ask").is_displayed()


def test_a_host_that_unpacks_or_lacks_a_file(browser, page, tmp_path):
    import gzip

    place = shutil.copytree(page, tmp_path / "site")
    (place / "sw.js").unlink()
    (place / "ort.wasm.bin").write_bytes(gzip.decompress((page / "ort.wasm.bin").read_bytes()))
    with web_pages.hosting(place) as host:
        visit(browser, host.address, "Ready")
        (place / "model.onnx").unlink()
        visit(browser, host.address, "Failed")
        assert "model.onnx cannot be loaded (status 404)" in browser.find_element("id", "findings").text


def test_nothing_is_sent_or_loaded_from_elsewhere(opened, host, tmp_path):
    with web_pages.hosting(tmp_path) as elsewhere:
        sent = opened.execute_async_script(
            "fetch(arguments[0], {mode: 'no-cors'}).then(() => 'sent', () => 'refused').then(arguments[1])",
            elsewhere.address,
        )
        opened.execute_script("new Image().src = arguments[0]", elsewhere.address)
        time.sleep(0.3)
    assert sent == "refused" and elsewhere.asked == []
    written = """
      const script = document.createElement("script");
      script.textContent = "window.ran = true";
      document.body.append(script);
      return window.ran ?? "refused";
    """
    assert opened.execute_script(written) == "refused"
    names = {path.name for path in host.folder.iterdir()} | {"", "never.txt"}
    assert {path.strip("/") for path in host.asked} <= names
    assert any("violates" in complaint for complaint in complaints(opened))


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed (npm install axe-core)")
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_by_all_on_a_phone_and_a_desk(opened, pictures, tmp_path, width, scheme):
    command = opened.execute_cdp_cmd
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == 390}
    command("Emulation.setDeviceMetricsOverride", metrics)
    wanted = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in wanted.items()]
    command("Emulation.setEmulatedMedia", {"features": features})
    none = tmp_path / "notes.txt"
    none.write_text("words")
    choose(opened, *pictures[:12], none)
    answers(opened, 13)
    opened.find_element("id", "watch").click()
    until(lambda: opened.find_elements("css selector", "#answer article"))
    opened.execute_script(AXE.read_text("utf-8"))
    found = opened.execute_async_script("axe.run(document).then(({violations}) => arguments[0](violations))")
    assert [(each["id"], each["impact"]) for each in found] == []
    sideways = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert opened.execute_script(sideways) <= 0
    command("Emulation.clearDeviceMetricsOverride", {})


def test_the_keyboard_and_a_screen_reader_reach_everything(opened, pictures):
    reached = []
    for _ in range(3):
        webdriver.ActionChains(opened).send_keys("\ue004").perform()  # the tabulator
        element = opened.switch_to.active_element
        reached.append(element.get_attribute("id") or element.text)
    assert reached == ["Skip to the content", "pictures", "watch"]
    choose(opened, pictures[0])
    answers(opened, 1)
    said = roles_and_names(opened)
    for role, name in (
        ("heading", "What is it?"),
        ("button", "Choose pictures"),
        ("button", "Live camera"),
        ("image", pictures[0].name),
        ("table", "Classes and their probabilities, best first"),
        ("rowheader", saved_runs.CLASSES[0]),
    ):
        assert (role, name) in said
    status = opened.find_element("css selector", ".status").get_attribute("textContent")
    assert status.startswith(f"{pictures[0].name}: ")


def test_it_can_be_installed(opened):
    opened.execute_cdp_cmd("Page.enable", {})
    manifest = opened.execute_cdp_cmd("Page.getAppManifest", {})
    assert manifest["errors"] == [] and json.loads(manifest["data"])["display"] == "standalone"
    assert opened.execute_cdp_cmd("Page.getInstallabilityErrors", {})["installabilityErrors"] == []
