"""The sentinel's page in a real browser: what one sees, by mouse, keyboard and telephone.

It needs Chromium and its driver (`apt-get install chromium chromium-driver`), else it is skipped.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import browser
from lotor.sentinel.bus import ArmedChanged, HealthChanged
from lotor.sentinel.media import jpeg
from lotor.sentinel.page import Page
from lotor.sentinel.webm import write_webm
from sentinel_page import (
    ACTIONS,
    CAMERAS,
    NIGHT,
    Garden,
    decisions,
    event,
    picture,
    remember,
    scene,
)

pytest.importorskip("selenium", reason="selenium is not installed")
pytest.importorskip("aiohttp", reason="aiohttp is not installed")

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = [pytest.mark.slow, *browser.NEEDED]

NASTY = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.chromium() as driver:
        yield driver


class Looker:
    """Somebody at the page of a garden."""

    def __init__(self, driver: Any, garden: Garden) -> None:
        self.driver, self.garden = driver, garden
        self.size(1280, 900)

    def size(self, width: int, height: int, phone: bool = False) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def open(self, where: str = "") -> None:
        self.driver.get("about:blank")
        self.driver.get(f"{self.garden.url}{where}")
        self.wait(lambda: self.text("#name") == "garden")

    def wait(self, until: Callable[[], Any]) -> Any:
        return WebDriverWait(self.driver, 20, 0.05).until(lambda _: until())

    def all(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def one(self, selector: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        script = "return document.querySelector(arguments[0])?.innerText ?? ''"
        return str(self.run(script, selector)).strip()

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self) -> Any:
        return self.driver.switch_to.active_element


@pytest.fixture
def look(tmp_path: Path, chromium: Any) -> Iterator[Looker]:
    garden = Garden(tmp_path)
    yield Looker(chromium, garden)
    chromium.get("about:blank")
    garden.page.close()
    assert not chromium.get_log("browser")  # no error, and nothing that the policy forbids


def test_an_empty_garden_says_what_will_come(look: Looker) -> None:
    look.open()
    look.wait(lambda: "Nothing seen yet; the camera is well." in look.text("#empty"))
    assert look.text("#status") == "All is well"
    assert look.text(".view .veil") == "Waiting for the first picture"
    look.garden.controls.fall_ill(HealthChanged("camera back", False, "no frames", True))
    look.wait(lambda: "camera back is not well: no frames" in look.text("#empty"))
    assert look.text("#status") == "Nothing acts for now"
    assert look.text("#alerts") == "camera back: no frames. Nothing acts meanwhile."


def test_the_live_picture_and_its_boxes(look: Looker) -> None:
    garden = look.garden
    garden.controls.see(scene(1, garden.clock))
    look.open()
    look.wait(lambda: look.text(".tags span:not(.name)") == "raccoon 94 %")
    pixel = look.run(
        """const context = document.querySelector("canvas").getContext("2d");
           return [...context.getImageData(10, 200, 1, 1).data]"""
    )
    assert 80 <= pixel[1] <= 140 and pixel[0] < pixel[1]  # the lawn is green
    kinds = [shape.get_attribute("class") for shape in look.all(".view svg > *")]
    assert kinds == ["mask", "zone", "moving", "moving", "track", "track lost"]
    view, box = look.one(".view").rect, look.one(".view .track").rect
    assert abs(box["x"] - view["x"] - view["width"] * 150 / 320) < 4
    assert abs(box["height"] - view["height"] * 57 / 240) < 6
    assert not look.one(".veto").is_displayed()
    assert "person 3 %" in look.text(".caption")
    garden.controls.see(scene(2, garden.clock, person=0.8))
    look.wait(lambda: look.text(".veto") == "Person 80 %: nothing acts (from 50 % on)")
    garden.controls.see(scene(3, garden.clock, person=float("nan")))
    look.wait(lambda: look.text(".veto") == "The model person failed: nothing acts")
    look.press("o")
    assert not look.one(".view svg").is_displayed()
    assert look.one(".veto").is_displayed()
    look.press("o")


def test_a_picture_that_grows_old(look: Looker) -> None:
    garden = look.garden
    garden.controls.see(scene(1, garden.clock))
    garden.clock.advance(95)
    look.open()
    look.wait(lambda: look.text(".veil").startswith("No new picture for 9"))
    garden.controls.see(scene(2, garden.clock))
    look.wait(lambda: not look.one(".veil").is_displayed())


def test_events_come_by_themselves_and_say_why(look: Looker) -> None:
    garden = look.garden
    look.open()
    look.wait(lambda: look.text("#empty"))
    kept = remember(garden.store, garden.folder, replace(event(NIGHT), end=None, actions=()))
    row = look.wait(lambda: next(iter(look.all(".row")), None))
    look.wait(lambda: "now" in row.text and "only watched" in row.text)
    garden.store.change(replace(kept, end=NIGHT + 12, actions=("bark",)))
    look.wait(lambda: "bark" in row.text and "12 s" in row.text)
    assert "now" not in row.text
    assert not look.one("#empty").is_displayed()
    row.click()
    look.wait(lambda: look.text("#event-title") == "Raccoon, 94 %")
    look.wait(lambda: len(look.all(".decision")) == 2)
    acted, held = look.all(".decision")
    assert acted.text.startswith("Acted: bark") and "All 3 rules agreed." in acted.text
    assert "bark\ndone · on for 5 s" in acted.text
    held.find_element(By.TAG_NAME, "summary").click()
    against = held.find_elements(By.CSS_SELECTOR, ".against")
    assert [check.text.lower().split("\n")[1:] for check in against] == [
        ["votes", "2 of the last 5 frames say raccoon; 3 are needed"]
    ]
    bars = [bar.rect["width"] for bar in held.find_elements(By.CSS_SELECTOR, ".bar i")]
    assert bars[1] / bars[0] == pytest.approx(0.2 / 0.71, rel=0.05)
    look.wait(lambda: look.run("return document.querySelector('.media img').naturalWidth") == 320)
    wait, _ = decisions(kept)
    garden.store.decide(replace(wait, id="later", first=120), [])
    look.wait(lambda: len(look.all(".decision")) == 3)
    assert look.all(".decision")[2].get_attribute("open")  # stays as it was
    look.one("#close").click()
    look.wait(lambda: not look.one("#event").is_displayed())


def test_a_clip_plays(look: Looker) -> None:
    garden = look.garden
    kept = remember(garden.store, garden.folder, event(NIGHT))
    path = garden.folder / "clip.webm"
    frames = [jpeg(picture(60 + 5 * number), 640, 80) for number in range(40)]
    write_webm(path, [(number / 5, content) for number, content in enumerate(frames)])
    garden.store.change(replace(kept, clip=path.name))
    look.open(f"#event={kept.id}")
    look.wait(lambda: len(look.all(".choice button")) == 2)
    look.all(".choice button")[1].click()
    look.wait(lambda: look.run("return document.querySelector('video')?.videoWidth") == 320)
    assert look.run("return document.querySelector('video').duration") == pytest.approx(8.0)
    # Between two key frames; it plays on from there to the end, and again.
    look.run("document.querySelector('video').currentTime = 7.3")
    look.wait(lambda: look.run("return document.querySelector('video').currentTime") < 7)
    assert look.run("return document.querySelector('video').error") is None
    path.write_bytes(b"no clip")
    look.open(f"#event={kept.id}")
    look.wait(lambda: len(look.all(".choice button")) == 2)
    look.all(".choice button")[1].click()
    look.wait(lambda: "cannot play" in look.text(".media"))


def test_by_keyboard(look: Looker) -> None:
    garden = look.garden
    for number in range(3):
        remember(garden.store, garden.folder, event(NIGHT + 60 * number, number=number))
    look.open()
    look.wait(lambda: len(look.all(".row")) == 3)
    ids = [row.get_attribute("data-id") for row in look.all(".row")]
    look.press("j")
    assert look.focused().get_attribute("data-id") == ids[0]
    look.press(Keys.ARROW_DOWN)
    assert look.focused().get_attribute("data-id") == ids[1]
    look.press(Keys.ENTER)
    look.wait(lambda: look.driver.current_url.endswith(ids[1]) and look.all(".decision"))
    look.press(Keys.ARROW_RIGHT)
    look.wait(lambda: look.driver.current_url.endswith(ids[2]))
    look.wait(lambda: not look.one("#next").is_enabled())
    look.press(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    look.wait(lambda: look.driver.current_url.endswith(ids[0]))
    look.press(Keys.ESCAPE)
    look.wait(lambda: not look.one("#event").is_displayed())
    assert "#" not in look.driver.current_url
    before = look.run("return history.length")
    look.press(Keys.ENTER)  # the row has the focus again
    look.wait(lambda: look.one("#event").is_displayed())
    assert look.run("return history.length") == before  # what was closed is not gone back to
    look.driver.back()
    look.wait(lambda: not look.one("#event").is_displayed())


def test_only_one_label_and_older_events(look: Looker) -> None:
    garden = look.garden
    for number in range(40):
        label = "unknown" if number % 20 == 0 else "raccoon"
        garden.store.change(event(NIGHT + 60 * number, label, number))
    look.open()
    look.wait(lambda: len(look.all(".row")) == 30)
    look.run("document.getElementById('older').click()")
    look.wait(lambda: len(look.all(".row")) == 40)
    assert not look.one("#older").is_displayed()
    look.one("[data-label=unknown]").click()
    look.wait(lambda: len(look.all(".row")) == 2)
    garden.store.change(event(NIGHT + 9000, "raccoon", 90))
    garden.store.change(event(NIGHT + 9001, "unknown", 91))
    look.wait(lambda: len(look.all(".row")) == 3)
    look.one("[data-label='']").click()
    look.wait(lambda: len(look.all(".row")) == 30)


def test_arming_and_trying(look: Looker) -> None:
    garden = look.garden
    look.open()
    look.wait(lambda: look.text("#armed") == "Armed")
    look.one("#arm").click()
    look.wait(lambda: look.text("#armed") == "Disarmed")
    assert look.text("#armed-by").startswith("by the page, ")
    assert look.one("#arm").get_attribute("aria-checked") == "false"
    garden.controls.armed = True
    garden.bus.tell(ArmedChanged(True, "MQTT"))
    look.wait(lambda: look.text("#armed-by").startswith("by MQTT"))
    bark, spray = look.all("#actions button")
    bark.click()
    look.wait(lambda: "dry run: would play bark.wav" in look.text("#actions"))
    spray.click()
    assert spray.text == "Really?"
    assert garden.controls.asked == [("arm", False, "the page"), ("test", "bark", "the page")]
    spray.click()
    look.wait(lambda: "the pin is taken by another program" in look.text("#actions"))
    assert garden.controls.asked[2:] == [("test", "spray", "the page")]
    (refused,) = look.driver.get_log("browser")  # the browser says that it was answered 400
    assert "api/test/spray" in refused["message"]


def test_text_of_others_is_text(look: Looker) -> None:
    garden = look.garden
    garden.controls.labels = (NASTY, "unknown")
    garden.controls.see(replace(scene(1, garden.clock, label=NASTY), errors=(NASTY,)))
    garden.controls.fall_ill(HealthChanged("camera back", False, NASTY))
    kept = remember(garden.store, garden.folder, event(NIGHT, NASTY, actions=(NASTY,)))
    look.open(f"#event={kept.id}")
    look.wait(lambda: NASTY in look.text("#event-title") and NASTY in look.text("#alerts"))
    look.wait(lambda: NASTY in look.text(".tags") and NASTY in look.text(".wrong"))
    assert NASTY in look.text(".row") and NASTY in look.text("#labels")
    assert not look.all("img[src=x]")


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_and_does_not_jump(look: Looker, width: int, dark: bool) -> None:
    garden = look.garden
    look.size(width, 800, phone=width < 500)
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    look.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    garden.controls.see(scene(1, garden.clock))
    for number in range(4):
        remember(garden.store, garden.folder, event(NIGHT + 60 * number, number=number))
    look.open()
    look.run(
        """window.jumps = 0; new PerformanceObserver(list => {
           for (const entry of list.getEntries()) if (!entry.hadRecentInput) jumps += entry.value;
        }).observe({type: "layout-shift", buffered: true})"""
    )
    look.wait(lambda: len(look.all(".row")) == 4 and look.all(".tags span"))
    for number in range(2, 6):
        garden.controls.see(scene(number, garden.clock, person=0.9 if number % 2 else 0.1))
        look.wait(partial(look.all, ".veto:not([hidden])" if number % 2 else ".veto[hidden]"))
    assert look.run("return document.documentElement.scrollWidth") <= width
    assert look.text("#armed-by") == "since it began" and look.one("#armed-by").is_displayed()
    assert look.run("return jumps") < 0.1  # what Core Web Vitals call good
    light = look.run("return getComputedStyle(document.body).backgroundColor")
    assert (light == "rgb(15, 19, 17)") == dark
    look.run("document.querySelector('.row').click()")
    look.wait(lambda: len(look.all(".decision")) == 2)
    assert look.run(
        "const d = document.getElementById('event'); return d.scrollWidth <= d.clientWidth"
    )


def test_a_sentinel_that_is_gone_and_comes_again(look: Looker) -> None:
    garden = look.garden
    remember(garden.store, garden.folder, event(NIGHT))
    look.open()
    look.wait(lambda: len(look.all(".row")) == 1)
    garden.page.close()
    look.wait(lambda: "does not answer" in look.text("#alerts"))
    assert look.text("#status") == "Connection lost"
    remember(garden.store, garden.folder, event(NIGHT + 60, number=2))
    settings = replace(garden.page.settings, port=garden.port)
    garden.page = Page(
        garden.controls, garden.store, garden.bus, settings, garden.folder, CAMERAS, ACTIONS,
        garden.clock,
    )  # fmt: skip
    garden.page.start()
    look.wait(lambda: look.text("#status") == "All is well" and len(look.all(".row")) == 2)
    assert look.driver.get_log("browser")  # of requests that nobody answered


def test_nobody_is_asked_for_pictures_that_are_not_seen(look: Looker) -> None:
    garden = look.garden
    for number in range(20):
        garden.store.change(event(NIGHT + 60 * number, number=number))
    look.size(390, 800, phone=True)
    look.open()
    look.wait(lambda: len(look.all(".row")) == 20 and garden.controls.latest_asked > 3)
    quiet = threading.Event()

    def is_quiet() -> bool:
        before = garden.controls.latest_asked
        quiet.wait(1.5)
        return garden.controls.latest_asked == before

    look.run("scrollTo(0, document.body.scrollHeight)")
    look.wait(is_quiet)
    look.run("scrollTo(0, 0)")
    look.wait(lambda: not is_quiet())
    look.driver.get("about:blank")
    look.wait(is_quiet)
