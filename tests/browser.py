"""A real browser without a window, for tests of pages."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

_BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
_DRIVER = shutil.which("chromedriver")

NEEDED = (
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(
        not (_BROWSER and _DRIVER),
        reason="no browser: apt-get install chromium chromium-driver",
    ),
)
"""Marks of a test that needs one."""


@contextmanager
def chromium() -> Iterator[Any]:
    """Selenium's driver of a Chromium that ends with the block."""
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = _BROWSER or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-first-run"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(_DRIVER))
    try:
        yield driver
    finally:
        driver.quit()
