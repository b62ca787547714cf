"""The label page in a real browser: its keys, its focus, and what it says when things go wrong.

It needs Chromium and its driver (`apt-get install chromium chromium-driver`), else it is skipped.
"""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import browser
from lotor.data.ingest import import_photos
from lotor.data.label import JOURNAL, Labelling, serve
from lotor.data.store import open_store
from test_data_import import photo

pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = [pytest.mark.slow, *browser.NEEDED]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.chromium() as driver:
        yield driver


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Four photographs without a label, one of a cat."""
    for number in range(4):
        photo(tmp_path / "new" / f"{number}.jpg")
    photo(tmp_path / "old/cat/a.jpg")
    import_photos(tmp_path / "new", tmp_path / "set", label="unlabelled")
    import_photos(tmp_path / "old", tmp_path / "set")
    return tmp_path / "set"


class Page:
    """The page of one labelling, as someone at the keyboard sees it."""

    def __init__(self, driver: Any, labelling: Labelling) -> None:
        self.driver, self.labelling = driver, labelling
        self.server: ThreadingHTTPServer = serve(labelling)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.open()

    def open(self) -> None:
        self.driver.get(f"http://127.0.0.1:{self.server.server_address[1]}/")
        self.wait(lambda: self.text("count"))

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def wait(self, done: Callable[[], Any]) -> Any:
        return WebDriverWait(self.driver, 20, 0.05).until(lambda _: done())

    def text(self, name: str) -> str:
        return str(self.driver.find_element(By.ID, name).text)

    def shown(self) -> str | None:
        """The id of the photograph that one sees, loaded and with pixels."""
        script = """const photo = document.getElementById("photo");
            return !photo.hidden && photo.complete && photo.naturalWidth && photo.src"""
        source = self.driver.execute_script(script)
        return str(source).rpartition("/")[2] if source else None

    def press(self, keys: str) -> None:
        ActionChains(self.driver).send_keys(keys).perform()

    def press_for_next(self, keys: str) -> str:
        """Press keys and return the photograph that comes then."""
        before = self.shown()
        self.press(keys)
        return str(self.wait(lambda: (now := self.shown()) != before and now))

    def journal(self) -> list[tuple[str, str | None]]:
        path = self.labelling.folder / JOURNAL
        lines = path.read_text().splitlines() if path.exists() else []
        return [(line["id"], line["kind"]) for line in map(json.loads, lines)]


@pytest.fixture
def page(store: Path, chromium: Any) -> Iterator[Page]:
    opened = Page(chromium, Labelling(store, lambda path: ("cat", 0.75), ["raccoon", "cat"]))
    yield opened
    opened.stop()
    chromium.get("about:blank")


def test_every_key(page: Page, store: Path) -> None:
    first = page.wait(page.shown)
    assert page.text("said") == "cat 75 %: Enter accepts"
    assert page.text("count") == "0 of 4"
    second = page.press_for_next("1")
    assert page.text("last") == "(raccoon)"
    third = page.press_for_next(Keys.ENTER)
    fourth = page.press_for_next(Keys.SPACE)
    assert page.press_for_next("u") == second
    assert page.text("count") == "1 of 4"
    page.press("n")
    prompt = page.wait(lambda: page.driver.switch_to.alert)
    prompt.send_keys(" skunk ")
    prompt.accept()
    assert page.wait(lambda: page.shown() != second and page.shown()) == fourth
    assert "3 skunk" in page.text("kinds")
    assert page.press_for_next("3") == third
    page.press("2")
    page.wait(lambda: page.text("end"))
    assert page.text("end").startswith("Nothing is left to label")
    assert page.text("count") == "4 of 4"
    said = [(first, "raccoon"), (second, "cat"), (second, None), (second, "skunk")]
    assert page.journal() == [*said, (fourth, "skunk"), (third, "cat")]
    page.labelling.finish()
    kinds = {p.id: p.kind for p in open_store(store).photos}
    assert [kinds[i] for i in (first, second, third, fourth)] == [
        "raccoon",
        "skunk",
        "cat",
        "skunk",
    ]
    assert not page.driver.get_log("browser")


def test_a_prompt_that_is_left_or_empty_labels_nothing(page: Page) -> None:
    first = page.wait(page.shown)
    for end in ("dismiss", "accept"):
        page.press("n")
        getattr(page.wait(lambda: page.driver.switch_to.alert), end)()
    assert (page.shown(), page.journal()) == (first, [])
    page.press("n")
    prompt = page.wait(lambda: page.driver.switch_to.alert)
    prompt.send_keys("x" * 65)
    prompt.accept()
    assert "a name of 1 to 64 letters" in page.wait(lambda: page.text("error"))
    page.press_for_next("1")
    assert (page.text("error"), page.journal()) == ("", [(first, "raccoon")])


def test_after_a_click_keys_are_still_the_pages(page: Page) -> None:
    first = page.wait(page.shown)
    page.driver.find_element(By.ID, "skip").click()
    second = page.wait(lambda: page.shown() != first and page.shown())
    page.press_for_next(Keys.ENTER)  # what is suggested, not "later" again
    assert page.journal() == [(second, "cat")]


def test_who_walks_to_a_button_by_tab_means_that_button(page: Page) -> None:
    first = page.wait(page.shown)
    page.press(Keys.TAB)
    assert page.driver.switch_to.active_element.text == "1 raccoon"
    second = page.press_for_next(Keys.ENTER)
    assert page.driver.switch_to.active_element.text == "1 raccoon"
    page.press_for_next(Keys.SPACE)
    assert page.journal() == [(first, "raccoon"), (second, "raccoon")]


def test_a_button_labels(page: Page) -> None:
    first = page.wait(page.shown)
    page.driver.find_element(By.CSS_SELECTOR, "[data-kind=cat]").click()
    page.wait(lambda: page.shown() != first and page.shown())
    assert page.journal() == [(first, "cat")]


def test_a_key_before_the_next_photograph_is_there_does_nothing(page: Page) -> None:
    first = page.wait(page.shown)
    seen, gate = threading.Event(), threading.Event()

    def slow(path: Path) -> tuple[str, float]:
        seen.set()
        assert gate.wait(20)
        return "cat", 0.5

    page.labelling._suggest = slow
    page.press("1")
    assert seen.wait(20)
    page.press("2")
    page.press("u")
    gate.set()
    page.wait(lambda: page.shown() != first and page.shown())
    page.press_for_next("1")
    assert [kind for _, kind in page.journal()] == ["raccoon", "raccoon"]


@pytest.mark.parametrize("damage", ["gone", "no photograph"])
def test_a_photograph_that_cannot_be_shown(page: Page, damage: str) -> None:
    page.wait(page.shown)
    second = page.labelling.state()["next"]
    path = page.labelling.photos[second].path
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"no photograph")
    page.driver.execute_cdp_cmd("Network.clearBrowserCache", {})
    page.open()
    page.press("1")
    assert "cannot be shown" in page.wait(lambda: page.text("error"))
    page.wait(lambda: page.text("count") == "1 of 4")
    page.press(Keys.SPACE)
    page.wait(page.shown)
    assert page.wait(lambda: not page.text("error"))


def test_no_opinion_on_what_a_model_cannot_read(store: Path, chromium: Any) -> None:
    from lotor.preprocess import read_image

    labelling = Labelling(store, lambda path: (str(read_image(path).ndim), 1.0), ["raccoon"])
    first = labelling.photos[labelling.state()["id"]]
    first.path.write_bytes(b"no photograph")
    labelling._opinions.clear()
    page = Page(chromium, labelling)
    assert "cannot be shown" in page.wait(lambda: page.text("error"))
    assert page.text("said") == "unlabelled"
    page.press_for_next(Keys.SPACE)
    assert page.text("said") == "3 100 %: Enter accepts"
    page.stop()


def test_two_tabs(page: Page) -> None:
    first = page.wait(page.shown)
    one = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    page.open()
    assert page.wait(page.shown) == first
    second = page.press_for_next("1")
    page.driver.close()
    page.driver.switch_to.window(one)
    page.wait(lambda: page.shown() == second)
    page.press_for_next("2")
    assert page.journal() == [(first, "raccoon"), (second, "cat")]


def test_a_reload_goes_on_where_one_was(page: Page) -> None:
    first = page.wait(page.shown)
    second = page.press_for_next("1")
    page.driver.refresh()
    assert page.wait(page.shown) == second
    assert (page.text("count"), page.text("last")) == ("1 of 4", "(raccoon)")
    assert page.press_for_next("u") == first


def test_a_program_that_has_ended(page: Page, store: Path) -> None:
    first = page.wait(page.shown)
    second = page.press_for_next("1")
    page.stop()
    page.press("2")
    ended = "the program has ended; what was labelled is kept"
    assert page.wait(lambda: page.text("error")) == ended
    assert page.shown() == second
    assert page.labelling.finish().labelled == 1
    assert {p.id: p.kind for p in open_store(store).photos}[first] == "raccoon"
