"""The report in a real browser: accessible, without errors, on a desk and on a phone, light, dark and printed."""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from fashion_cnn.experiments import plots
from support.browser import chromium, emulate, violations
from support.reports import LANGUAGES, make_reports
from support.repository import REPOSITORY
from support.results import drawn, result

DESK, PHONE, NARROWEST = 1280, 390, 320


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, spanish: Path) -> dict[str, Path]:
    """One seed and a reused candidate in English; two seeds and a candidate of its own in Spanish."""
    kernels = {"baseline": None, "cnn3": 3, "cnn5": 5, "candidate": 3}
    arms = {
        arm: result(drawn(0.85 if kernel is None else 0.9, 300, kernel or 0), kernel) for arm, kernel in kernels.items()
    }
    english = make_reports(tmp_path_factory.mktemp("en"), arms, test_images=300)
    return {"en": english / "index.html", "es": spanish / "index.html"}


class Browser:
    """The report in a headless browser, on a screen of any width."""

    def __init__(self, driver: WebDriver) -> None:
        self.driver = driver

    def open(self, page: Path, width: int = DESK, scheme: str = "light", media: str = "screen") -> None:
        emulate(self.driver, width, scheme, media)
        self.driver.get_log("browser")
        self.driver.get(page.as_uri())

    def ask(self, expression: str, *arguments: Any) -> Any:
        return self.driver.execute_script(f"return {expression.strip()}", *arguments)

    def style(self, selector: str, name: str) -> str:
        return self.ask("getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]", selector, name)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as driver:
        yield Browser(driver)


@pytest.fixture(scope="module", params=itertools.product(LANGUAGES, [DESK, PHONE, NARROWEST]), ids=str)
def opened(request: pytest.FixtureRequest, browser: Browser, pages: dict[str, Path]) -> Browser:
    """Each report on each screen, opened once for all tests that only look at it."""
    language, width = request.param
    browser.open(pages[language], width)
    return browser


def test_the_page_is_accessible_and_without_errors(opened: Browser) -> None:
    assert opened.driver.get_log("browser") == []
    width = opened.ask("innerWidth")
    for scheme in ("light", "dark") if width > NARROWEST else ():  # it is laid out as the phone
        emulate(opened.driver, width, scheme)
        assert violations(opened.driver) == [], scheme
    emulate(opened.driver, width)


def test_the_page_never_scrolls_sideways(opened: Browser) -> None:
    assert opened.ask("document.documentElement.scrollWidth") <= opened.ask("document.documentElement.clientWidth")


def test_no_table_is_cut_off_on_a_desk(opened: Browser) -> None:
    cut = opened.ask("""
        [...document.querySelectorAll(".scroll")].filter((box) => box.scrollWidth > box.clientWidth)
            .map((box) => box.querySelector("table").getAttribute("aria-labelledby"))""")
    assert opened.ask("innerWidth") < DESK or cut == []


def test_no_text_of_a_figure_is_cut_off_or_too_small(opened: Browser) -> None:
    cut = opened.ask("""
        [...document.querySelectorAll("figure svg")].flatMap((svg) => {
            const frame = svg.getBoundingClientRect();
            return [...svg.querySelectorAll("text")].filter((text) => {
                const box = text.getBoundingClientRect();
                return box.left < frame.left - 1 || box.right > frame.right + 1
                    || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
            }).map((text) => [svg.getAttribute("aria-label"), text.textContent]);
        })""")
    assert cut == []
    smallest = opened.ask("""
        Math.min(...[...document.querySelectorAll("figure svg text")].map((text) =>
            parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a
            || parseFloat(getComputedStyle(text).fontSize) * Math.abs(text.getScreenCTM().b)))""")
    assert opened.ask("innerWidth") == NARROWEST or smallest >= 8


def test_figures_are_drawn_in_the_ink_of_the_page(browser: Browser, pages: dict[str, Path]) -> None:
    inks = set()
    for scheme in ("light", "dark"):
        browser.open(pages["en"], scheme=scheme)
        ink = browser.style("body", "color")
        assert browser.style("figure svg text", "fill") == ink
        inks.add(ink)
    assert len(inks) == 2


def test_nothing_is_loaded_besides_the_page(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["en"])
    assert browser.ask('performance.getEntriesByType("resource").map((entry) => entry.name)') == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_keyboard_reaches_every_section_and_every_wide_table(
    browser: Browser, pages: dict[str, Path], language: str
) -> None:
    browser.open(pages[language], PHONE)
    reached = []
    body = browser.driver.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.TAB)
    while (focused := browser.driver.switch_to.active_element) != body:
        reached.append(focused.get_attribute("href") or focused.get_attribute("class") or "")
        assert browser.ask("getComputedStyle(document.activeElement).outlineStyle") != "none"
        focused.send_keys(Keys.TAB)
    headings = browser.ask('[...document.querySelectorAll("h2")].map((heading) => heading.id)')
    assert [link.rpartition("#")[2] for link in reached if "#" in link][1:] == headings
    assert reached.count("scroll") == len(browser.driver.find_elements(By.CSS_SELECTOR, ".scroll"))


def test_a_link_of_the_contents_leads_to_its_section(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["en"])
    browser.driver.find_element(By.CSS_SELECTOR, 'nav a[href="#method"]').send_keys(Keys.ENTER)
    top = browser.ask('document.getElementById("method").getBoundingClientRect().top')
    assert 0 <= top < 900


def test_the_plots_of_dvc_are_drawn_without_network(
    browser: Browser, pages: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pages["en"].parents[1]
    monkeypatch.chdir(folder)
    described = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"plots": described["plots"]}), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet", "--no-scm"], check=True)
    plots.main()
    shown = ["translation", "confusion", "class_accuracy_mirrored_cnn3"]  # one of each of DVC's templates
    subprocess.run([sys.executable, "-m", "dvc", "plots", "show", "--quiet", *shown], check=True)
    page = folder / "dvc_plots" / "index.html"
    assert "<script src" not in page.read_text(encoding="utf-8")
    browser.open(page)
    drawn = 'document.querySelectorAll(".vega-embed svg.marks").length'
    WebDriverWait(browser.driver, 60).until(lambda _: browser.ask(drawn) == len(shown))
    assert browser.ask('performance.getEntriesByType("resource").map((entry) => entry.name)') == []
    assert [entry for entry in browser.driver.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_print_is_dark_on_white_and_without_the_contents(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["en"], 800, "dark", "print")
    assert browser.style("body", "backgroundColor") == "rgb(255, 255, 255)"
    assert browser.style("figure svg text", "fill") == "rgb(0, 0, 0)"
    assert browser.style("nav", "display") == "none"


def test_a_verdict_is_told_by_words_not_by_colour_alone(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["en"])
    for item in browser.driver.find_elements(By.CSS_SELECTOR, ".claims > li"):
        verdict = (item.get_attribute("class") or "").replace("_", " ")
        assert item.find_element(By.CSS_SELECTOR, ".verdict").text.endswith(verdict)
