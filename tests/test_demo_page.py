"""The demo page in a real browser, on a real embedded S3 and SageMaker.

A linear model in NumPy stands in for TensorFlow behind the endpoints; it takes requests by the project's own handler.
"""

import contextlib
import http.client
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.ui import WebDriverWait

from fashion_cnn.core import params
from fashion_cnn.core.errors import UserError
from fashion_cnn.core.fashion_mnist import CLASS_NAMES
from fashion_cnn.localcloud import s3
from fashion_cnn.localsagemaker.page import routes
from fashion_cnn.reporting.style import STYLES
from fashion_cnn.serving import bodies, bundle, inference
from support import linear_model
from support.browser import chromium, emulate, violations
from support.cloud import EmbeddedCloud
from support.repository import SOURCE, random_images

TEST = random_images(120, seed=7)
SHOWN = params.ARMS[:-1]  # beside the deployed candidate


def put_linear_model(cloud: EmbeddedCloud, seed: int) -> str:
    """Make a linear model, named by the seed of its weights, and its endpoint configuration."""
    linear_model.pack(cloud.folder / "model.tar.gz", seed)
    return cloud.model(f"linear-{seed}", (cloud.folder / "model.tar.gz").read_bytes())


def put_bundle(cloud: EmbeddedCloud, content: bytes) -> None:
    cloud.objects().put_object(Bucket=s3.BUCKET, Key=bundle.KEY, Body=content)


def linear_answer(seed: int, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    return linear_model.probabilities(pixels, linear_model.weights(seed))[0]


@pytest.fixture(scope="module")
def networks() -> dict[str, Any]:
    """The study's arms and networks at the borders of what params.yaml allows; untrained, but sure of their answers."""
    from fashion_cnn.training import architectures

    def shared(*filters: int, padding: str = "same", stride: int = 1, pool: int = 2) -> params.CNN:
        return params.CNN.model_validate(
            {"filters": filters, "padding": padding, "stride": stride, "pool": pool, "units": 16, "dropout": 0.3}
        )

    built = {
        "baseline": architectures.dense(params.Baseline(units=128, dropout=0.2)),
        "cnn3": architectures.cnn(shared(32, 64), 3),
        "cnn5": architectures.cnn(shared(32, 64), 5),
        "even": architectures.cnn(shared(4, 6), 4),
        "even-strided": architectures.cnn(shared(4, 6, stride=2, pool=1), 2),
        "valid": architectures.cnn(shared(4, 6, padding="valid"), 3),
        "valid-strided": architectures.cnn(shared(5, padding="valid", stride=3, pool=3), 6),
        "three-layers": architectures.cnn(shared(3, 4, 5, stride=2, pool=1), 5),
        "pool-leaves-a-rest": architectures.cnn(shared(4, 4, pool=3), 3),
        "stride-beyond-kernel": architectures.cnn(shared(4, stride=5), 2),
        "one-pixel": architectures.cnn(shared(4), 1),
        "largest": architectures.cnn(shared(2, padding="valid", pool=1), 27),
        "largest-padded": architectures.cnn(shared(2), 27),
    }
    random = np.random.default_rng(0)
    for network in built.values():
        weights = [random.normal(0, 2.5 / np.sqrt(np.prod(one.shape[:-1])), one.shape) for one in network.get_weights()]
        network.set_weights(weights)
    return built


@pytest.fixture(scope="module")
def models_folder(networks: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """models/ with all of these networks."""
    folder = tmp_path_factory.mktemp("models")
    for arm, network in networks.items():
        (folder / arm).mkdir()
        network.save(folder / arm / "model.keras")
    return folder


@pytest.fixture(scope="module")
def study(models_folder: Path) -> bytes:
    """The bundle that a deployment makes."""
    return bundle.pack(models_folder, SHOWN, TEST, 100)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, study: bytes) -> Iterator[EmbeddedCloud]:
    """A cloud with the study's bundle and the endpoints first and second, of the linear models 1 and 2."""
    cloud = EmbeddedCloud(tmp_path_factory.mktemp("shared") / "cloud", "linear")
    cloud.start()
    put_bundle(cloud, study)
    for seed, name in enumerate(("first", "second"), start=1):
        cloud.deploy(name, put_linear_model(cloud, seed))
    yield cloud
    cloud.end(kill=True)
    s3.stop(cloud.store)


@pytest.fixture(scope="module")
def empty_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCloud]:
    """A cloud in which nothing is deployed and nothing stored."""
    cloud = EmbeddedCloud(tmp_path_factory.mktemp("empty") / "cloud", "linear")
    cloud.start()
    yield cloud
    cloud.end(kill=True)
    s3.stop(cloud.store)


class Page:
    """The demo page in a headless browser."""

    def __init__(self, driver: WebDriver) -> None:
        self.driver = driver
        emulate(driver, 1000)

    def open(self, cloud: EmbeddedCloud, images: int = 100) -> None:
        self.driver.get(cloud.address)
        self.until(lambda: len(self.all("#images button")) == images and self.answered())

    def until(self, condition: Callable[[], Any]) -> Any:
        return WebDriverWait(self.driver, 20, 0.02).until(lambda _: condition())

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def answered(self) -> bool:
        return self.one("#answers").get_attribute("aria-busy") == "false"

    def name(self) -> str:
        return self.one("#seen-name").text

    def message(self) -> str:
        return self.until(lambda: self.one("#failure").text)

    def pixels(self) -> NDArray[np.uint8]:
        """What the page shows as seen by the networks, uint8 (28, 28)."""
        script = "return [...document.getElementById('seen').getContext('2d').getImageData(0, 0, 28, 28).data]"
        colours = np.array(self.driver.execute_script(script), np.uint8).reshape(28, 28, 4)
        assert (colours[..., :3] == colours[..., :1]).all()
        assert (colours[..., 3] == 255).all()
        return colours[..., 0]

    def probabilities(self, column: str) -> list[float]:
        self.until(self.answered)
        script = f"return [...document.querySelectorAll('#answers td.{column} data')].map((data) => Number(data.value))"
        return self.driver.execute_script(script)

    def drop(self, name: str, media_type: str, content: bytes) -> None:
        """Drop a file on the page as a person does, as far as a page can tell."""
        script = """
            const [name, type, bytes] = arguments;
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
            const drop = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
            return document.body.dispatchEvent(drop) === false;
        """
        assert self.driver.execute_script(script, name, media_type, list(content)), "the browser would open the file"

    def console(self) -> list[str]:
        log = self.driver.get_log("browser")
        return [entry["message"] for entry in log if "getImageData" not in entry["message"]]  # the tests' own doing


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    """One browser for all tests."""
    with chromium() as driver:
        yield Page(driver)


@pytest.fixture
def demo(browser: Page, cloud: EmbeddedCloud) -> Page:
    """The page of the shared cloud, just opened."""
    browser.console()
    emulate(browser.driver, 1000)
    browser.open(cloud)
    return browser


def png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def seen_by_the_endpoint(picture: bytes) -> NDArray[np.uint8]:
    body = inference.input_handler(io.BytesIO(picture), SimpleNamespace(request_content_type="image/png"))
    return np.array(json.loads(body)["instances"][0], np.uint8)


def test_the_endpoint_and_every_arm_answer_as_their_models_do(demo: Page, networks: dict[str, Any]) -> None:
    assert [cell.text for cell in demo.all("#answers tbody th")] == list(CLASS_NAMES)
    headings = ["Class", "Deployed model", "Dense baseline", "CNN 3×3", "CNN 5×5"]
    assert [cell.text for cell in demo.all("#answers thead th")] == headings
    buttons = demo.all("#images button")
    for at in (0, 17, 55, 99):
        buttons[at].click()
        label, number = (part[at] for part in images_shown())
        pixels = TEST.images[number]
        assert demo.name() == f"{CLASS_NAMES[label]}, test image {number}"
        np.testing.assert_array_equal(demo.pixels(), pixels)
        np.testing.assert_allclose(demo.probabilities("candidate"), linear_answer(1, pixels), atol=1e-6)
        assert demo.one("tr.truth th").text == CLASS_NAMES[label]
        for arm in SHOWN:
            expected = networks[arm].predict(pixels[np.newaxis], verbose=0)[0]
            np.testing.assert_allclose(demo.probabilities(arm), expected, atol=1e-4)
            assert expected.max() > 0.15, "near-equal probabilities would not tell right from wrong"
            shown = demo.all(f"#answers td.{arm}")
            assert shown[expected.argmax()].text == f"{100 * expected.max():.1f} %"
            assert "top" in (shown[expected.argmax()].get_attribute("class") or "")
            right = "right" if expected.argmax() == label else "wrong"
            assert f"{CLASS_NAMES[expected.argmax()]}, {right}" in demo.one("#verdict").text
    assert demo.console() == []


def images_shown() -> tuple[list[int], list[int]]:
    """Labels and numbers of the test images that the page shows: the first ten of every class."""
    numbers = [int(number) for label in range(10) for number in np.flatnonzero(TEST.labels == label)[:10]]
    return [int(TEST.labels[number]) for number in numbers], numbers


def test_every_architecture_that_the_parameters_allow_is_computed_as_keras_does(
    demo: Page, cloud: EmbeddedCloud, networks: dict[str, Any], models_folder: Path, study: bytes
) -> None:
    arms = [arm for arm in networks if arm not in SHOWN]
    put_bundle(cloud, bundle.pack(models_folder, arms, TEST, 20))
    try:
        demo.open(cloud, images=20)
        for at in (0, 13):
            demo.all("#images button")[at].click()
            pixels = demo.pixels()[np.newaxis]
            for arm in arms:
                expected = networks[arm].predict(pixels, verbose=0)[0]
                assert expected.max() > 0.15, arm
                np.testing.assert_allclose(demo.probabilities(arm), expected, atol=1e-4, err_msg=arm)
    finally:
        put_bundle(cloud, study)


def test_a_picture_that_is_chosen_is_shown_and_asked_as_the_endpoint_sees_it(demo: Page, tmp_path: Path) -> None:
    picture = png(np.random.default_rng(1).integers(0, 256, (60, 90, 3), dtype=np.uint8))
    (tmp_path / "boot.png").write_bytes(picture)
    demo.one("#file").send_keys(str(tmp_path / "boot.png"))
    demo.until(lambda: demo.name() == "boot.png")
    np.testing.assert_array_equal(demo.pixels(), seen_by_the_endpoint(picture))
    np.testing.assert_allclose(demo.probabilities("candidate"), linear_answer(1, demo.pixels()), atol=1e-6)
    assert demo.all("tr.truth") == []
    assert demo.all("#images [aria-checked=true]") == []
    assert not re.search("right|wrong", demo.one("#verdict").text)


def test_a_picture_that_is_dropped_anywhere_is_asked(demo: Page) -> None:
    picture = png(np.random.default_rng(2).integers(0, 256, (28, 28), dtype=np.uint8))
    demo.drop("bag.png", "image/png", picture)
    demo.until(lambda: demo.name() == "bag.png")
    np.testing.assert_array_equal(demo.pixels(), seen_by_the_endpoint(picture))
    assert max(demo.probabilities("cnn3")) > 0
    assert demo.console() == []


@pytest.mark.parametrize(
    ("name", "media_type", "content", "reason"),
    [
        ("notes.txt", "text/plain", b"no picture", "not a PNG or JPEG picture."),
        ("torn.png", "image/png", png(np.zeros((28, 28), np.uint8))[:40], "the body is not a readable PNG picture"),
        ("narrow.png", "image/png", png(np.zeros((1, 100), np.uint8)), "the picture has 100 x 1 pixels; allowed"),
    ],
)
def test_a_bad_picture_is_named_with_its_reason_and_the_page_goes_on(
    demo: Page, name: str, media_type: str, content: bytes, reason: str
) -> None:
    before = demo.name()
    demo.drop(name, media_type, content)
    assert demo.message().startswith(f"{name}: {reason}")
    assert demo.name() == before
    demo.all("#images button")[3].click()
    assert not demo.one("#failure").is_displayed()
    assert sum(demo.probabilities("candidate")) == pytest.approx(1)


def test_a_picture_above_the_limit_is_refused_before_it_is_sent(demo: Page) -> None:
    script = """
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([new Uint8Array(arguments[0] + 1)], "big.png", { type: "image/png" }));
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
    """
    demo.driver.execute_script(script, bodies.MAX_BYTES)
    assert demo.message() == "big.png: 6.0 MB; allowed: up to 6 MB."
    assert demo.console() == []


def test_the_keyboard_alone_moves_through_the_test_images(demo: Page) -> None:
    def chosen() -> int:
        (checked,) = demo.all("#images [aria-checked=true]")
        return buttons.index(checked)

    buttons = demo.all("#images button")
    demo.one("#endpoint").send_keys(Keys.TAB)
    walk = [(Keys.ARROW_RIGHT, 1), (Keys.ARROW_DOWN, 11), (Keys.ARROW_LEFT, 10), (Keys.ARROW_UP, 0), (Keys.END, 99)]
    for key, at in [*walk, (Keys.ARROW_RIGHT, 99), (Keys.HOME, 0)]:
        demo.driver.switch_to.active_element.send_keys(key)
        assert chosen() == at
        assert demo.driver.switch_to.active_element == buttons[at]
        assert demo.name() == buttons[at].get_attribute("aria-label")
    np.testing.assert_allclose(demo.probabilities("candidate"), linear_answer(1, demo.pixels()), atol=1e-6)


def test_an_answer_that_comes_after_the_next_question_is_dropped(demo: Page) -> None:
    script = """
        const fetched = window.fetch;
        window.fetch = async (...request) => {
            window.fetch = fetched;
            await new Promise((resolve) => { window.release = resolve; });
            const answer = await fetched(...request);
            setTimeout(() => { window.late = true; }, 100);
            return answer;
        };
        for (const at of [5, 6]) document.querySelectorAll("#images button")[at].click();
    """
    demo.driver.execute_script(script)
    expected = linear_answer(1, demo.pixels())
    np.testing.assert_allclose(demo.probabilities("candidate"), expected, atol=1e-6)
    demo.driver.execute_script("window.release()")
    demo.until(lambda: demo.driver.execute_script("return window.late"))
    np.testing.assert_allclose(demo.probabilities("candidate"), expected, atol=1e-6)


def test_of_several_endpoints_the_chosen_one_answers(demo: Page, cloud: EmbeddedCloud) -> None:
    cloud.deploy("third", "linear-1")
    demo.open(cloud)
    choice = Select(demo.one("#endpoint"))
    assert [option.text for option in choice.options] == ["first", "second", "third"]
    choice.select_by_value("second")
    np.testing.assert_allclose(demo.probabilities("candidate"), linear_answer(2, demo.pixels()), atol=1e-6)

    cloud.remove("third")
    choice.select_by_value("third")
    assert demo.message() == "Endpoint third of account 000000000000 not found."
    assert demo.probabilities("candidate") == []
    assert sum(demo.probabilities("cnn3")) == pytest.approx(1), "the arms still answer"


def notices(page: Page) -> list[str]:
    return [notice.text for notice in page.all(".notice") if notice.is_displayed()]


def test_where_nothing_is_deployed_the_page_says_what_deploys(browser: Page, empty_cloud: EmbeddedCloud) -> None:
    browser.console()
    browser.driver.get(empty_cloud.address)
    browser.until(lambda: len(notices(browser)) == 2)
    nothing_deployed, no_bundle = notices(browser)
    assert nothing_deployed.startswith("Nothing is deployed. dvc repro deploys the candidate")
    assert no_bundle.startswith("The test images and the other arms are not in the embedded S3.")
    assert browser.console() == []


def test_without_an_endpoint_the_arms_answer_all_the_same(
    browser: Page, empty_cloud: EmbeddedCloud, study: bytes, networks: dict[str, Any]
) -> None:
    put_bundle(empty_cloud, study)
    try:
        browser.open(empty_cloud)
        assert [notice[:20] for notice in notices(browser)] == ["Nothing is deployed."]
        expected = networks["cnn5"].predict(browser.pixels()[np.newaxis], verbose=0)[0]
        np.testing.assert_allclose(browser.probabilities("cnn5"), expected, atol=1e-4)
        assert browser.all("td.candidate") == []
    finally:
        empty_cloud.objects().delete_object(Bucket=s3.BUCKET, Key=bundle.KEY)


def test_where_s3_or_sagemaker_ended_the_page_says_what_starts_it(browser: Page, empty_cloud: EmbeddedCloud) -> None:
    s3.stop(empty_cloud.store)
    browser.driver.get(empty_cloud.address)
    assert browser.message() == "The embedded S3 does not answer; make cloud-up starts it."
    s3.start(empty_cloud.store)

    empty_cloud.end(kill=True)
    browser.drop("bag.png", "image/png", png(np.zeros((28, 28), np.uint8)))
    expected = "bag.png: The embedded SageMaker does not answer; make cloud-up starts it."
    browser.until(lambda: browser.message().startswith(expected))
    empty_cloud.start()


def test_the_browser_fetches_the_bundle_again_only_where_it_changed(demo: Page, cloud: EmbeddedCloud) -> None:
    demo.open(cloud)
    script = """
        const [bundle] = performance.getEntriesByType("resource").filter(({ name }) => name.endsWith("/demo/bundle"));
        return [bundle.transferSize, bundle.encodedBodySize];
    """
    transferred, size = demo.driver.execute_script(script)
    assert transferred < 1000 < size
    assert request(cloud, "GET", "/demo/bundle", {"If-None-Match": etag(cloud)})[0] == 304
    assert request(cloud, "GET", "/demo/bundle", {"If-None-Match": '"another"'})[0] == 200


def etag(cloud: EmbeddedCloud) -> str:
    return request(cloud, "GET", "/demo/bundle")[1]["etag"]


def test_the_page_asks_its_own_address_alone_and_carries_a_strict_policy(demo: Page, cloud: EmbeddedCloud) -> None:
    script = "return performance.getEntriesByType('resource').map(({ name }) => name)"
    asked = demo.driver.execute_script(script)
    assert len(asked) > 4
    assert all(name.startswith(f"{cloud.address}/demo/") for name in asked)
    for path in [*routes.FILES, "/demo/arms.css", "/demo/state", "/demo/bundle"]:
        status, headers, _ = request(cloud, "GET", path)
        assert (status, headers["x-content-type-options"]) == (200, "nosniff")
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    inline = "const s = document.createElement('script'); s.text = 'window.ran = true'; document.head.append(s)"
    demo.driver.execute_script(inline)
    assert demo.driver.execute_script("return window.ran") is None
    assert "violates the following Content Security Policy" in demo.console()[0]


def request(
    cloud: EmbeddedCloud, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", cloud.port, timeout=20)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


POSTS = {
    "/demo/picture": ("image/png", png(np.zeros((28, 28), np.uint8))),
    "/demo/endpoints/first": ("application/json", json.dumps({"instances": TEST.images[:1].tolist()}).encode()),
}


@pytest.mark.parametrize("path", POSTS)
def test_only_the_page_itself_may_ask_without_a_signature(cloud: EmbeddedCloud, path: str) -> None:
    media_type, body = POSTS[path]
    for origin in (None, "null", "http://example.org", f"https{cloud.address[4:]}", cloud.address + "1"):
        headers = {"Content-Type": media_type} | ({"Origin": origin} if origin else {})
        status, _, answer = request(cloud, "POST", path, headers, body)
        assert status == 403, origin
        assert json.loads(answer)["message"] == "Only the demo page may ask without a signature."
    assert request(cloud, "POST", path, {"Content-Type": media_type, "Origin": cloud.address}, body)[0] == 200


@pytest.mark.parametrize("path", [*routes.FILES, "/demo/arms.css", "/demo/state", "/demo/bundle", *POSTS])
def test_a_name_of_another_site_that_leads_here_is_refused(cloud: EmbeddedCloud, path: str) -> None:
    port = cloud.port
    foreign = {"Host": f"example.org:{port}", "Origin": f"http://example.org:{port}"}
    assert request(cloud, "POST" if path in POSTS else "GET", path, foreign, b"")[0] == 400


def test_what_is_too_large_or_no_picture_is_refused_by_the_server_too(cloud: EmbeddedCloud) -> None:
    origin = {"Origin": cloud.address}
    large = bytes(bodies.MAX_BYTES + 1)
    assert request(cloud, "POST", "/demo/picture", {"Content-Type": "image/png", **origin}, large)[0] == 413
    assert request(cloud, "POST", "/demo/endpoints/first", {"Content-Type": "image/png", **origin}, large)[0] == 413
    status, _, answer = request(cloud, "POST", "/demo/picture", {"Content-Type": "image/webp", **origin}, b"x")
    assert (status, "image/webp" in json.loads(answer)["message"]) == (415, True)
    assert request(cloud, "POST", "/demo/picture", origin, b"x")[0] == 415


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_accessible_in_light_and_dark(demo: Page, scheme: str) -> None:
    emulate(demo.driver, 1000, scheme)
    every_notice = "document.querySelectorAll('main .notice').forEach((notice) => { notice.hidden = false; })"
    demo.driver.execute_script(every_notice)
    assert violations(demo.driver) == []
    dark = demo.driver.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 27)"
    assert dark == (scheme == "dark")


def test_a_phone_shows_the_whole_page_without_scrolling_sideways(demo: Page) -> None:
    emulate(demo.driver, 320)  # WCAG 2.2, success criterion 1.4.10
    cut = """
        return [document.documentElement, ...document.querySelectorAll("th, td")]
            .filter((element) => element.scrollWidth > element.clientWidth).map((element) => element.textContent);
    """
    assert demo.driver.execute_script(cut) == []


def test_every_arm_has_the_colour_of_the_figures(demo: Page) -> None:
    script = "return getComputedStyle(document.querySelector(`thead th.${arguments[0]}`)).borderTopColor"
    for arm, style in STYLES.items():
        red, green, blue = bytes.fromhex(style.color[1:])
        assert demo.driver.execute_script(script, arm) == f"rgb({red}, {green}, {blue})"


def test_the_same_models_and_images_make_the_same_bundle(models_folder: Path, study: bytes) -> None:
    assert bundle.pack(models_folder, SHOWN, TEST, 100) == study


def test_a_network_that_the_page_can_not_compute_is_named(tmp_path: Path) -> None:
    import keras

    layers = [keras.Input((28, 28)), keras.layers.BatchNormalization(name="normal")]
    (tmp_path / "odd").mkdir()
    keras.Sequential(layers).save(tmp_path / "odd" / "model.keras")
    with pytest.raises(UserError, match=r"odd/model\.keras: the demo page can't compute its layer normal"):
        bundle.pack(tmp_path, ["odd"], TEST, 10)
    with pytest.raises(UserError, match=r"cnn9/model\.keras: not found; `dvc repro cnn9` makes it"):
        bundle.pack(tmp_path, ["cnn9"], TEST, 10)


def test_the_embedded_sagemaker_serves_the_page_without_tensorflow() -> None:
    heavy = "{'tensorflow', 'keras', 'matplotlib', 'pandas'}"
    script = f"import sys, fashion_cnn.localsagemaker.server; print(sorted({heavy} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, encoding="utf-8"
    )
    assert done.stdout.strip() == "[]"
