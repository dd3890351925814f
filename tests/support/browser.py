"""A headless Chromium that keeps its console's messages."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from selenium import webdriver
from selenium_axe_python import Axe

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "headless no-sandbox disable-gpu disable-quic no-first-run "
    "disable-background-networking disable-component-update disable-sync"
)


@contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """One with a profile of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = program(BROWSERS)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # Chromium's last writes may come while its profile is removed.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in [*FLAGS.split(), f"user-data-dir={profile}"]:
            options.add_argument(f"--{flag}")
        driver = webdriver.Chrome(options, webdriver.ChromeService(program(["chromedriver"])))
        driver.set_script_timeout(120)
        try:
            yield driver
        finally:
            driver.quit()


def program(names: Sequence[str]) -> str:
    found = next(filter(None, map(shutil.which, names)), None)
    assert found, f"{' or '.join(names)}: not found in PATH; on Debian: apt-get install chromium chromium-driver"
    return found


def emulate(driver: webdriver.Chrome, width: int, scheme: str = "light", media: str = "screen") -> None:
    """Show pages on a screen so many pixels wide, to someone who prefers light or dark, or on paper."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": [feature]})


def violations(driver: webdriver.Chrome) -> list[tuple[str, list[str]]]:
    """What of the page axe-core finds wrong: rules, with the elements that break them."""
    axe = Axe(driver)
    axe.inject()
    inside_pictures = {"exclude": [["svg[role=img] > *"]]}  # a picture is one thing to who hears the page
    # Of other results one element each: a third of the time.
    found = axe.run(inside_pictures, {"resultTypes": ["violations"]})
    assert found["passes"], "axe has looked"
    return [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in found["violations"]]
