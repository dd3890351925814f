"""The demo page in a real browser, on a real embedded S3 and SageMaker.

A linear model in NumPy stands in for TensorFlow behind the endpoints; it takes requests by the project's own handler.
"""

import contextlib
import http.client
import io
import itertools
import json
import os
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.action_chains import ActionChains
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
SHOWN = dict(zip(params.ARMS, (0.8752, 0.9096, 0.9121), strict=False))  # beside the deployed candidate
REPORT = b"<!doctype html><title>The report</title><style>p { color: red }</style><p>All that was found"


def put_linear_model(cloud: EmbeddedCloud, seed: int) -> str:
    """Make a linear model, named by the seed of its weights, and its endpoint configuration."""
    linear_model.pack(cloud.folder / "model.tar.gz", seed)
    return cloud.model(f"linear-{seed}", (cloud.folder / "model.tar.gz").read_bytes())


def put(cloud: EmbeddedCloud, key: str, content: bytes) -> None:
    cloud.objects().put_object(Bucket=s3.BUCKET, Key=key, Body=content)


def name_network(cloud: EmbeddedCloud, config: str, kernel: str, test_accuracy: str) -> None:
    """Tag an endpoint configuration with its network's facts, as a deployment does."""
    arn = cloud.client().describe_endpoint_config(EndpointConfigName=config)["EndpointConfigArn"]
    facts = {"fashion-cnn:kernel": kernel, "fashion-cnn:test_accuracy": test_accuracy}
    cloud.client().add_tags(ResourceArn=arn, Tags=[{"Key": key, "Value": value} for key, value in facts.items()])


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
    put(cloud, bundle.KEY, study)
    put(cloud, bundle.REPORT_KEY, REPORT)
    for seed, name in enumerate(("first", "second"), start=1):
        cloud.deploy(name, put_linear_model(cloud, seed))
    name_network(cloud, "linear-1", "7", "0.8")
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
        emulate(driver, 1280)

    def open(self, cloud: EmbeddedCloud, images: int = 100, language: str = "en") -> None:
        self.driver.get(f"{cloud.address}/?lang={language}")
        self.until(lambda: len(self.all("#images button")) == images and self.answered())

    def until(self, condition: Callable[[], Any]) -> Any:
        return WebDriverWait(self.driver, 60, 0.2).until(lambda _: condition())

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        return self.one(selector).text

    def answered(self) -> bool:
        return self.one("#answers").get_attribute("aria-busy") == "false"

    def wait_for(self, name: str) -> None:
        """Until that picture is shown and answered."""
        self.until(lambda: self.name() == name and self.answered())

    def name(self) -> str:
        return self.text("#seen-name")

    def message(self) -> str:
        return self.until(lambda: self.text("#failure"))

    def outage(self) -> str:
        return self.until(lambda: self.text("#outage"))

    def pixels(self, canvas: str = "#seen") -> NDArray[np.uint8]:
        """What the page shows as seen by the networks, uint8 (28, 28)."""
        colours = self.colours(canvas)
        assert (colours == colours[..., :1]).all()
        return colours[..., 0]

    def colours(self, canvas: str) -> NDArray[np.uint8]:
        script = """
            const canvas = document.querySelector(arguments[0]);
            return [...canvas.getContext("2d").getImageData(0, 0, 28, 28).data];
        """
        colours = np.array(self.driver.execute_script(script, canvas), np.uint8).reshape(28, 28, 4)
        assert (colours[..., 3] == 255).all()
        return colours[..., :3]

    def probabilities(self, column: str) -> list[float]:
        self.until(self.answered)
        script = f"return [...document.querySelectorAll('#answers td.{column} data')].map((data) => Number(data.value))"
        return self.driver.execute_script(script)

    def give(self, event: str, **data: Any) -> None:
        """Drop or paste, as far as a page can tell: texts by type (with _ for /), and files: name, type, bytes."""
        script = """
            const [event, { files = [], ...texts }] = arguments;
            const transfer = new DataTransfer();
            for (const [type, text] of Object.entries(texts)) transfer.setData(type.replace("_", "/"), text);
            for (const [name, type, bytes] of files) {
              transfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
            }
            const init = { bubbles: true, cancelable: true };
            if (event === "paste") {
              document.body.dispatchEvent(new ClipboardEvent("paste", { ...init, clipboardData: transfer }));
              return true;
            }
            return document.body.dispatchEvent(new DragEvent("drop", { ...init, dataTransfer: transfer })) === false;
        """
        assert self.driver.execute_script(script, event, data), "the browser would open the file"

    def drop(self, name: str, content: bytes, media_type: str = "image/png") -> None:
        self.give("drop", files=[[name, media_type, list(content)]])

    def drop_path(self, path: Path) -> None:
        """Drop a file or a folder as the system would."""
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            event = {"type": kind, "x": 100, "y": 100, "data": data}
            self.driver.execute_cdp_cmd("Input.dispatchDragEvent", event)

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
    emulate(browser.driver, 1280)
    browser.open(cloud)
    return browser


def encoded(pixels: NDArray[np.uint8], file_format: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, file_format)
    return stream.getvalue()


def photograph(seed: int, side: int = 90) -> NDArray[np.uint8]:
    """Something dark and colourful in the middle of a light background, uint8 (side, side, 3)."""
    image = Image.new("RGB", (side, side), (240, 240, 235))
    garment = np.random.default_rng(seed).integers(0, 120, (side // 3, side // 2, 3), dtype=np.uint8)
    image.paste(Image.fromarray(garment), (side // 5, side // 3))
    return np.asarray(image)


def patchwork(seed: int) -> NDArray[np.uint8]:
    """Greys in squares on white, which the linear model answers differently the other way round; uint8 (100, 80)."""
    patches = np.random.default_rng(seed).integers(0, 220, (6, 4), dtype=np.uint8)
    return np.pad(patches.repeat(10, 0).repeat(10, 1), 20, constant_values=255)


def seen_by_the_endpoint(picture: bytes, *, as_is: bool = False) -> NDArray[np.uint8]:
    return inference.see(picture, as_is=as_is).pixels


def test_the_endpoint_and_every_arm_answer_as_their_models_do(demo: Page, networks: dict[str, Any]) -> None:
    assert [cell.text for cell in demo.all("#answers tbody th")] == list(CLASS_NAMES)
    headings = ["Class", "Deployed CNN 7×7\nright on 80.0%", "Dense network\nright on 87.5%"]
    headings += ["CNN 3×3\nright on 91.0%", "CNN 5×5\nright on 91.2%"]
    assert [cell.text for cell in demo.all("#answers thead th")] == headings
    assert "On 120 test images that they had never seen, they are right 80.0% to 91.2% of the time." in demo.text(
        "#lead"
    )
    by = "Answered by: Deployed CNN 7×7, right on 80.0% of 120 test images, at the endpoint first since "
    assert demo.text("#by").startswith(by)
    assert demo.text("#by").endswith(" (linear-1).")
    buttons = demo.all("#images button")
    for at in (0, 17, 55, 99):
        buttons[at].click()
        label, number = (part[at] for part in images_shown())
        pixels = TEST.images[number]
        assert demo.name() == f"{CLASS_NAMES[label]}, test image {number}"
        np.testing.assert_array_equal(demo.pixels(), pixels)
        answer = linear_answer(1, pixels)
        np.testing.assert_allclose(demo.probabilities("candidate"), answer, atol=1e-6)
        assert demo.text("tr.truth th") == CLASS_NAMES[label]
        likeliest = [f"{CLASS_NAMES[i]}\n{100 * answer[i]:.1f}%" for i in np.argsort(-answer)[:3]]
        assert [item.text for item in demo.all("#top li")] == likeliest
        assert demo.text("#truth").startswith("✓ Right." if answer.argmax() == label else "✗ Wrong: it is ")
        assert demo.text("#big").lower().endswith(garment(answer.argmax()))
        for arm in SHOWN:
            expected = networks[arm].predict(pixels[np.newaxis], verbose=0)[0]
            np.testing.assert_allclose(demo.probabilities(arm), expected, atol=1e-4)
            assert expected.max() > 0.15, "near-equal probabilities would not tell right from wrong"
            shown = demo.all(f"#answers td.{arm}")
            assert shown[expected.argmax()].text == f"{100 * expected.max():.1f}%"
            assert "top" in (shown[expected.argmax()].get_attribute("class") or "")
            otherwise = f"{LABELS[arm]}: " in demo.text("#agreement")
            assert otherwise == (expected.argmax() != answer.argmax())
    assert demo.console() == []


LABELS = {"baseline": "Dense network", "cnn3": "CNN 3×3", "cnn5": "CNN 5×5"}


def garment(label: np.intp) -> str:
    """The last word of what the page calls a class within a sentence."""
    return {0: "top", 1: "trousers"}.get(int(label), CLASS_NAMES[label].lower().split()[-1])


def images_shown() -> tuple[list[int], list[int]]:
    """Labels and numbers of the test images that the page shows: the first of every class, the second, up to ten."""
    ranked = [
        (turn, label, int(number))
        for label in range(10)
        for turn, number in enumerate(np.flatnonzero(TEST.labels == label)[:10])
    ]
    numbers = [number for *_, number in sorted(ranked)]
    return [int(TEST.labels[number]) for number in numbers], numbers


def test_every_architecture_that_the_parameters_allow_is_computed_as_keras_does(
    demo: Page, cloud: EmbeddedCloud, networks: dict[str, Any], models_folder: Path, study: bytes
) -> None:
    arms = [arm for arm in networks if arm not in SHOWN]
    put(cloud, bundle.KEY, bundle.pack(models_folder, dict.fromkeys(arms, 0.5), TEST, 20))
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
        put(cloud, bundle.KEY, study)


def test_pictures_that_are_chosen_are_shown_and_asked_as_the_endpoint_sees_them(demo: Page, tmp_path: Path) -> None:
    boot, bag = photograph(1), photograph(2)
    # Two at once; a JPEG by another name, as it comes from chats and shops.
    for name, picture in {"boot.png": encoded(boot, "JPEG"), "bag.webp": encoded(bag, "WEBP")}.items():
        (tmp_path / name).write_bytes(picture)
    demo.one("#file").send_keys(f"{tmp_path / 'boot.png'}\n{tmp_path / 'bag.webp'}")
    demo.until(lambda: [one.get_attribute("aria-label") for one in demo.all("#own button")] == ["boot.png", "bag.webp"])
    assert demo.name() == "boot.png"
    assert demo.one("#own [aria-checked=true]").get_attribute("aria-label") == "boot.png"
    assert demo.all("#images [aria-checked=true]") == []
    as_seen = demo.pixels()
    assert_seen(as_seen, encoded(boot, "JPEG"))
    assert_answers(demo, as_seen)
    assert demo.text("#done").startswith("Light background, so light and dark were swapped; cut to ")
    assert demo.all("tr.truth") == []
    assert demo.text("#truth") == ""

    demo.one("#undo").click()
    demo.until(lambda: demo.text("#undo") == "Redo")
    np.testing.assert_array_equal(demo.pixels(), seen_by_the_endpoint(encoded(boot, "JPEG"), as_is=True))
    assert_answers(demo, demo.pixels())
    assert demo.text("#done").startswith("Undone")
    demo.one("#undo").click()
    demo.until(lambda: demo.text("#undo") == "Undo")
    np.testing.assert_array_equal(demo.pixels(), as_seen)

    demo.one("#mirror").click()
    np.testing.assert_array_equal(demo.pixels(), as_seen[:, ::-1])
    assert_answers(demo, as_seen[:, ::-1])

    demo.all("#own button")[1].click()
    assert demo.name() == "bag.webp"
    assert_seen(demo.pixels(), encoded(bag, "WEBP"))
    assert demo.console() == []


def assert_seen(pixels: NDArray[np.uint8], picture: bytes) -> None:
    """They are the picture's as the endpoint sees it, in the direction that it chose."""
    expected = seen_by_the_endpoint(picture)
    assert any(np.array_equal(pixels, either) for either in (expected, expected[:, ::-1]))


def assert_answers(page: Page, pixels: NDArray[np.uint8]) -> None:
    """Both the deployed network and an arm have answered for these pixels, and the page says whether it is unsure."""
    np.testing.assert_allclose(page.probabilities("candidate"), linear_answer(1, pixels), atol=1e-6)
    assert sum(page.probabilities("cnn3")) == pytest.approx(1, abs=1e-4)
    unsure = max(page.probabilities("candidate")) < inference.UNSURE
    assert ("The network is not sure." in page.text("#warnings")) == unsure


def test_pictures_may_be_dropped_pasted_and_dragged_from_another_site(demo: Page) -> None:
    pictures = [encoded(photograph(seed)) for seed in range(4)]
    inline = f"data:image/png;base64,{b64encode(pictures[2]).decode()}"
    demo.drop("dropped.png", pictures[0])
    demo.until(lambda: demo.name() == "dropped.png")
    demo.give("paste", files=[["pasted.png", "image/png", list(pictures[1])]])
    demo.until(lambda: demo.name() == "pasted.png")
    assert_seen(demo.pixels(), pictures[1])
    # The page takes the picture alone out of the other site's markup: its script would be a console's error, or run.
    markup = f"<img src='{inline}' onerror='window.ran = true'><script>window.ran = true</script>"
    demo.give("drop", text_html=markup)
    demo.until(lambda: demo.name() == "picture")
    assert_seen(demo.pixels(), pictures[2])
    assert demo.driver.execute_script("return window.ran") is None
    assert demo.console() == []

    for data in ({"text_uri-list": "http://example.org/boot.png"}, {"text_html": "<img src='//example.org/boot.png'>"}):
        demo.give("drop", **data)
        assert demo.message().startswith("That site gave only the picture's address")
        demo.all("#images button")[0].click()
    demo.give("paste", text_plain="no picture")
    assert demo.message() == "There was no picture in it."
    assert len(demo.all("#own button")) == 3


def test_what_is_no_picture_is_named_with_its_reason_and_the_page_goes_on(demo: Page, tmp_path: Path) -> None:
    torn, narrow = encoded(np.zeros((28, 28), np.uint8))[:40], encoded(np.zeros((1, 100), np.uint8))
    blank = encoded(np.full((50, 50), 255, np.uint8))
    files = [("notes.txt", b"no picture"), ("torn.png", torn), ("narrow.png", narrow)]
    files += [("empty.png", b""), ("blank.png", blank)]
    demo.give("drop", files=[[name, "image/png", list(content)] for name, content in files])
    demo.until(lambda: "blank.png: " in demo.message())
    reasons = "notes.txt: This is no picture.* torn.png: This is no .* narrow.png: The picture is .*far longer than .*"
    assert re.match(
        f"{reasons} empty.png: The file is empty. blank.png: Nothing in it stands out from the background",
        demo.message(),
    )
    demo.one("#languages [lang=es]").click()
    reasons = (
        "notes.txt: No es una imagen.* torn.png: No es .* narrow.png: La imagen .* empty.png: El archivo está vacío. "
        "blank.png: Nada en ella destaca"
    )
    assert re.match(reasons, demo.message())
    demo.one("#languages [lang=en]").click()
    # The answer before is gone: it could be taken for theirs.
    assert demo.text("#big") == "No answer to the last picture"
    assert not demo.pixels().any()
    assert demo.all("#own button") == demo.all("#top li") == demo.all("#answers data") == []

    demo.drop_path(tmp_path)
    demo.until(
        lambda: (
            demo.message() == f"{tmp_path.name}: This is no picture, or of a kind that is not known here. "
            "JPEG and PNG always work."
        )
    )
    too_large = tmp_path / "large.txt"
    too_large.write_bytes(bytes(bodies.MAX_BYTES + 1))
    demo.one("#file").send_keys(str(too_large))
    demo.until(lambda: demo.message() == "large.txt: 6.0 MB; allowed: up to 6 MB.")
    demo.all("#images button")[3].click()
    assert not demo.one("#failure").is_displayed()
    assert sum(demo.probabilities("candidate")) == pytest.approx(1)
    assert demo.console() == []  # a refusal is no fault of the page


def test_a_picture_too_large_to_send_is_shrunk_first(demo: Page, tmp_path: Path) -> None:
    picture = photograph(3, side=2000)
    Image.fromarray(picture).save(tmp_path / "photo.bmp")
    assert (tmp_path / "photo.bmp").stat().st_size > bodies.MAX_BYTES
    demo.one("#file").send_keys(str(tmp_path / "photo.bmp"))
    demo.until(lambda: demo.name() == "photo.bmp")
    expected = seen_by_the_endpoint(encoded(picture)).astype(int)
    assert min(np.abs(demo.pixels() - either).mean() for either in (expected, expected[:, ::-1])) < 4

    # Few bytes, but more pixels than the handler decodes.
    many = Image.fromarray(photograph(3)).convert("L").resize((4140, 4140), Image.Resampling.NEAREST)
    assert many.width * many.height > inference.MAX_PICTURE_PIXELS
    many.save(tmp_path / "many.jpg")
    assert (tmp_path / "many.jpg").stat().st_size < bodies.MAX_BYTES
    demo.one("#file").send_keys(str(tmp_path / "many.jpg"))
    demo.until(lambda: demo.name() == "many.jpg" or demo.text("#failure"))
    expected = seen_by_the_endpoint(encoded(np.asarray(many.reduce(4)))).astype(int)
    assert min(np.abs(demo.pixels() - either).mean() for either in (expected, expected[:, ::-1])) < 4
    assert demo.console() == []


def test_an_endpoint_that_says_nothing_of_pictures_is_asked_about_the_pixels_that_the_page_makes(demo: Page) -> None:
    script = """
        const post = Worker.prototype.postMessage;
        Worker.prototype.postMessage = async function (message, ports) {
            const { path, options } = message;
            const aPicture = options?.headers["Content-Type"] === "application/x-image";
            if (!aPicture || !path.startsWith("/demo/endpoints/")) return post.call(this, message, ports);
            const { predictions: [{ probabilities }] } = await (await fetch(path, options)).json();
            const body = new TextEncoder().encode(JSON.stringify({ predictions: [{ probabilities }] }));
            ports[0].postMessage({ status: 200, headers: [], body });
        };
    """
    demo.driver.execute_script(script)
    picture = encoded(photograph(6))
    demo.drop("boot.png", picture)
    demo.until(lambda: demo.name() == "boot.png")
    np.testing.assert_array_equal(demo.pixels(), seen_by_the_endpoint(picture))
    assert_answers(demo, demo.pixels())


def test_what_the_endpoint_says_of_a_picture_is_told_in_either_language(demo: Page) -> None:
    script = """
        const done = arguments[0];
        Promise.all([import("/demo/answers.js"), import("/demo/words.js")]).then(([{ whatWasDone }, { speaker }]) => {
          const shares = (label) => Array.from({ length: 10 }, (_, i) => (i === label ? 0.91 : 0.01));
          const picture = {
            size: [800, 600], background: "light", negated: true, trimmed: [120, 80, 640, 520], mirrored: true,
          };
          const shown = { picture, prediction: shares(9), other: shares(8) };
          done(["en", "es"].map((language) => whatWasDone(speaker(language), shown)));
        });
    """
    english, spanish = demo.driver.execute_async_script(script)
    assert english == (
        "Light background, so light and dark were swapped; cut to 520 × 440 of 800 × 600 pixels; brought to 28 × 28; "
        "mirrored, because the networks know this direction better. The other way round it would be a bag (91.0%)."
    )
    assert spanish.startswith("Fondo claro, así que se intercambiaron claro y oscuro; recortada a 520 × 440")


def test_a_drawing_is_asked_stroke_by_stroke(demo: Page) -> None:
    demo.one("#draw").click()
    assert demo.text("#big").startswith("Draw a garment")
    assert not demo.pixels().any()
    assert demo.probabilities("candidate") == []
    pad = demo.one("#seen")
    drawn = []
    for left, right in ((-80, -40), (20, 60)):
        mouse = ActionChains(demo.driver, duration=20).move_to_element_with_offset(pad, left, 0).click_and_hold()
        mouse.move_to_element_with_offset(pad, right, 0).release().perform()
        demo.until(lambda: len(demo.probabilities("candidate")) == 10)
        drawn.append(demo.pixels())
        assert_answers(demo, drawn[-1])
    scale = 28 / pad.size["width"]
    rows, columns = np.nonzero(drawn[0] > 100)
    assert abs(rows.mean() - 13.5) < 1
    assert columns.min() == pytest.approx(13.5 - 80 * scale, abs=2)
    assert columns.max() == pytest.approx(13.5 - 40 * scale, abs=2)
    assert ((drawn[1] > 0) >= (drawn[0] > 0)).all()

    demo.one("#mirror").click()
    np.testing.assert_array_equal(demo.pixels(), drawn[1][:, ::-1])
    for before in (drawn[1], drawn[0], np.zeros((28, 28), np.uint8)):
        demo.one("#undo").click()
        np.testing.assert_array_equal(demo.pixels(), before)
    assert not demo.one("#undo").is_enabled()
    assert demo.console() == []


def test_the_maps_show_what_is_lost_without_each_part_of_the_picture(demo: Page, networks: dict[str, Any]) -> None:
    answer = {
        "candidate": lambda images: linear_model.probabilities(images, linear_model.weights(1)),
        "baseline": lambda images: networks["baseline"].predict(images, verbose=0),
    }
    # A picture in which something is lost; these networks are rather sure of themselves.
    numbers = images_shown()[1]
    at = next(i for i, number in enumerate(numbers) if losses(TEST.images[number], answer["baseline"]).max() > 0.02)
    demo.all("#images button")[at].click()
    demo.one("#look").click()
    demo.until(lambda: len(demo.all("#maps figure[aria-busy=false]")) == 4)
    pixels = demo.pixels()
    for arm, its_answer in answer.items():
        lost = losses(pixels, its_answer)
        assert lost.max() > 0.01, arm
        red, grey = demo.colours(f"#maps .{arm} canvas")[..., 0], 0.75 * pixels
        np.testing.assert_allclose((red - grey) / (0.8 * (255 - grey)), np.maximum(lost, 0) / lost.max(), atol=0.02)
        assert f"; {100 * lost.max():.1f} points less" in demo.text(f"#maps .{arm}")
    assert "Zeiler & Fergus 2014" in demo.text("#closer")
    demo.all("#images button")[99].click()  # the maps follow the picture
    demo.until(lambda: len(demo.all("#maps figure[aria-busy=false]")) == 4)
    assert demo.console() == []


def losses(pixels: NDArray[np.uint8], answer: Callable[[NDArray[np.uint8]], NDArray[Any]]) -> NDArray[np.float64]:
    """How much a network's confidence falls without the squares over each pixel, on average; (28, 28)."""
    before = answer(pixels[np.newaxis])[0]
    corners = [(top, left) for top in range(-2, 28, 3) for left in range(-2, 28, 3)]
    covers = np.zeros((len(corners), 28, 28), bool)
    for cover, (top, left) in zip(covers, corners, strict=True):
        cover[max(top, 0) : top + 7, max(left, 0) : left + 7] = True
    after = answer(np.where(covers, 0, pixels).astype(np.uint8))[:, before.argmax()]
    return ((before.max() - after)[:, np.newaxis, np.newaxis] * covers).sum(axis=0) / covers.sum(axis=0)


def test_two_columns_that_are_one_network_are_explained(
    demo: Page, cloud: EmbeddedCloud, study: bytes, tmp_path: Path
) -> None:
    import keras

    layers = [keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    keras.Sequential(layers).save(tmp_path / "model.keras")
    network = keras.models.load_model(tmp_path / "model.keras")
    network.set_weights([linear_model.weights(2).astype(np.float32), np.zeros(10, np.float32)])
    (tmp_path / "cnn3").mkdir()
    network.save(tmp_path / "cnn3" / "model.keras")
    assert not demo.one("#same").is_displayed()
    put(cloud, bundle.KEY, bundle.pack(tmp_path, {"cnn3": 0.9}, TEST, 10))
    try:
        demo.open(cloud, images=10)
        assert not demo.one("#same").is_displayed()
        Select(demo.one("#endpoint")).select_by_value("second")
        demo.until(lambda: demo.text("#same").startswith("Deployed network and Dense network answer alike because"))
        assert demo.text("#by").endswith("The endpoint does not say which network it is.")
    finally:
        put(cloud, bundle.KEY, study)


def test_the_keyboard_alone_moves_through_the_test_images(demo: Page) -> None:
    def chosen() -> int:
        (checked,) = demo.all("#images [aria-checked=true]")
        return buttons.index(checked)

    buttons = demo.all("#images button")
    demo.one("#draw").send_keys(Keys.TAB)
    walk = [(Keys.ARROW_RIGHT, 1), (Keys.ARROW_DOWN, 11), (Keys.ARROW_LEFT, 10), (Keys.ARROW_UP, 0), (Keys.END, 99)]
    for key, at in [*walk, (Keys.ARROW_RIGHT, 99), (Keys.HOME, 0)]:
        demo.driver.switch_to.active_element.send_keys(key)
        assert chosen() == at
        assert demo.driver.switch_to.active_element == buttons[at]
        assert demo.name() == buttons[at].get_attribute("aria-label")
    pixels = demo.pixels()
    assert_answers(demo, pixels)
    for key in (Keys.TAB, Keys.ENTER):
        demo.driver.switch_to.active_element.send_keys(key)
    assert demo.one("#mirror").get_attribute("aria-pressed") == "true"
    assert_answers(demo, pixels[:, ::-1])


def test_an_answer_that_comes_after_the_next_question_is_dropped(demo: Page) -> None:
    script = """
        const post = Worker.prototype.postMessage;
        Worker.prototype.postMessage = async function (message, ports) {
            if (!message.path) return post.call(this, message, ports);
            Worker.prototype.postMessage = post;
            await new Promise((resolve) => { window.release = resolve; });
            const response = await fetch(message.path, message.options);
            ports[0].postMessage({ status: 200, headers: [], body: await response.arrayBuffer() });
            setTimeout(() => { window.late = true; }, 100);
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

    demo.drop("boot.png", encoded(photograph(1)))
    demo.until(lambda: demo.name() == "boot.png")
    choice.select_by_value("third")
    demo.all("#own button")[0].click()  # the answer that came with it was the other endpoint's
    np.testing.assert_allclose(demo.probabilities("candidate"), linear_answer(1, demo.pixels()), atol=1e-6)
    cloud.remove("third")
    demo.until(lambda: demo.one("#endpoint").get_property("textContent") == "firstsecond")
    np.testing.assert_allclose(demo.probabilities("candidate"), linear_answer(1, demo.pixels()), atol=1e-6)


def test_where_nothing_is_deployed_the_page_says_what_deploys_and_goes_on_by_itself(
    browser: Page, empty_cloud: EmbeddedCloud, study: bytes, networks: dict[str, Any]
) -> None:
    browser.console()
    browser.driver.get(f"{empty_cloud.address}/?lang=en")
    assert browser.outage() == "Nothing is deployed. make deploy deploys the candidate."
    assert browser.text("#no-bundle").startswith("The test images and the study's networks are not in the embedded S3.")
    assert browser.text("#big") == "No picture yet"
    assert not browser.one("#report").is_displayed()

    put(empty_cloud, bundle.KEY, study)
    browser.until(lambda: len(browser.all("#images button")) == 100)
    expected = networks["cnn5"].predict(browser.pixels()[np.newaxis], verbose=0)[0]
    np.testing.assert_allclose(browser.probabilities("cnn5"), expected, atol=1e-4)
    assert browser.all("td.candidate") == []
    assert browser.text("#by") == "Answered by: CNN 5×5, right on 91.2% of 120 test images, computed in your browser."
    assert not browser.one("#no-bundle").is_displayed()
    seen = np.stack([seen_by_the_endpoint(encoded(image)) for image in TEST.images])
    least_sure = networks["cnn5"].predict(seen, verbose=0).max(axis=1).argmin()
    for name, picture in (("unsure.png", TEST.images[least_sure]), ("boot.png", photograph(5))):
        browser.drop(name, encoded(picture))
        browser.wait_for(name)
        np.testing.assert_array_equal(browser.pixels(), seen_by_the_endpoint(encoded(picture)))
        unsure = max(browser.probabilities("cnn5")) < inference.UNSURE
        assert unsure == (name == "unsure.png")
        assert ("The network is not sure." in browser.text("#warnings")) == unsure
    assert "light and dark were swapped" in browser.text("#done")

    empty_cloud.deploy("first", put_linear_model(empty_cloud, 1))
    browser.until(lambda: len(browser.probabilities("candidate")) == 10)
    assert not browser.one("#outage").is_displayed()
    assert_answers(browser, browser.pixels())
    assert browser.console() == []


def test_what_ends_while_the_page_is_open_is_said_and_what_comes_back_is_used(
    browser: Page, empty_cloud: EmbeddedCloud
) -> None:
    """It goes on with the endpoint and the bundle of the test before."""
    browser.console()
    browser.open(empty_cloud)
    browser.drop("boot.png", encoded(patchwork(1)))
    browser.wait_for("boot.png")
    assert "The other way round it would be an ankle boot" in browser.text("#done")
    assert browser.text("#warnings") == "The network is not sure."

    empty_cloud.end(kill=True)
    stopped = "The embedded SageMaker does not answer; make cloud-up starts it,"
    browser.until(lambda: browser.outage().startswith(stopped))
    # What the endpoint said of its own answer goes with it; what was done to the picture stays.
    assert browser.text("#by").startswith("Answered by: CNN 5×5")
    assert "light and dark were swapped" in browser.text("#done")
    assert "other way round" not in browser.text("#done")
    assert max(browser.probabilities("cnn5")) > inference.UNSURE
    assert not browser.one("#warnings").is_displayed()
    browser.drop("bag.png", encoded(photograph(0)))
    browser.until(lambda: browser.message().startswith(f"bag.png: {stopped}"))
    browser.all("#images button")[4].click()
    assert sum(browser.probabilities("cnn3")) == pytest.approx(1, abs=1e-4)

    deployed = age_deployment(empty_cloud, "first", days=3)  # a restart is no deployment
    empty_cloud.start()
    browser.until(lambda: len(browser.probabilities("candidate")) == 10)
    assert not browser.one("#outage").is_displayed()
    in_words = "return new Intl.DateTimeFormat('en', {dateStyle: 'medium', timeStyle: 'short'}).format(arguments[0])"
    since = browser.driver.execute_script(in_words, 1000 * deployed)
    assert f", at the endpoint first since {since} (linear-1)." in browser.text("#by")
    browser.all("#own button")[0].click()
    assert_answers(browser, browser.pixels())
    empty_cloud.remove("first")
    assert browser.outage().startswith(
        "The endpoint first is gone: the deployed network no longer answers. make deploy"
    )
    assert browser.all("td.candidate") == []
    assert browser.text("#by").startswith("Answered by: CNN 5×5")

    s3.stop(empty_cloud.store)
    browser.driver.get(f"{empty_cloud.address}/?lang=en")
    browser.until(lambda: browser.text("#no-bundle") == "The embedded S3 does not answer; make cloud-up starts it.")
    s3.start(empty_cloud.store)
    browser.until(lambda: len(browser.all("#images button")) == 100)
    assert not browser.one("#no-bundle").is_displayed()
    assert browser.console() == []


def age_deployment(cloud: EmbeddedCloud, endpoint: str, days: int) -> float:
    """Have a server that is stopped find a deployment so much older; the time of it, in seconds."""
    path = cloud.folder / "sagemaker.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    (variant,) = state["Endpoint"][endpoint]["ProductionVariants"]
    (image,) = variant["DeployedImages"]
    image["ResolutionTime"] -= 86400 * days
    path.write_text(json.dumps(state), encoding="utf-8")
    return image["ResolutionTime"]


def test_the_page_speaks_spanish_too(demo: Page, cloud: EmbeddedCloud) -> None:
    every_word = """
        const [done] = arguments;
        import("/demo/words.js").then(({ LANGUAGES, speaker }) => {
          const keys = Object.keys(LANGUAGES).map((language) => Object.keys(speaker(language).words).sort().join());
          done([Object.keys(LANGUAGES), new Set(keys).size]);
        });
    """
    assert demo.driver.execute_async_script(every_word) == [["en", "es"], 1]
    big = demo.text("#big")
    demo.one("#languages [lang=es]").click()
    assert demo.one("html").get_attribute("lang") == "es"
    assert demo.driver.title == demo.text("h1") == "¿Qué prenda es esta?"
    assert demo.text("#big") != big
    assert re.match(r"Confianza: \d+,\d\s%\.", demo.text("#sure"))
    assert re.search(r"exactitud 80,0\s%", demo.text("#answers thead"))
    assert demo.name().startswith("Camiseta, imagen de prueba")
    assert [one.text for one in demo.all("[data-say]") if one.is_displayed() and not one.text] == []
    demo.open(cloud, language="es")
    assert demo.text("h1") == "¿Qué prenda es esta?"
    assert demo.console() == []


def test_the_report_can_be_read_and_runs_nothing(demo: Page, cloud: EmbeddedCloud) -> None:
    link = demo.one("#report").get_attribute("href")
    assert link == f"{cloud.address}/demo/report"
    status, headers, body = request(cloud, "GET", "/demo/report")
    assert (status, headers["content-type"], body) == (200, "text/html; charset=utf-8", REPORT)
    assert headers["content-security-policy"].startswith(
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:;"
    )
    assert request(cloud, "GET", "/demo/studies/index.html")[2].endswith(b"reports/studies/index.html")


def test_the_browser_fetches_the_bundle_again_only_where_it_changed(demo: Page, cloud: EmbeddedCloud) -> None:
    script = """
        const [done] = arguments;
        fetch("/demo/bundle").then((response) => response.arrayBuffer()).then(() => {
          const [bundle] = performance.getEntriesByType("resource").filter(({ name }) => name.endsWith("/demo/bundle"));
          done([bundle.transferSize, bundle.encodedBodySize]);
        });
    """
    transferred, size = demo.driver.execute_async_script(script)
    assert transferred < 1000 < size
    assert request(cloud, "GET", "/demo/bundle", {"If-None-Match": etag(cloud)})[0] == 304
    assert request(cloud, "GET", "/demo/bundle", {"If-None-Match": '"another"'})[0] == 200


def etag(cloud: EmbeddedCloud) -> str:
    return request(cloud, "GET", "/demo/bundle")[1]["etag"]


def test_the_page_asks_its_own_address_alone_and_carries_a_strict_policy(demo: Page, cloud: EmbeddedCloud) -> None:
    script = "return performance.getEntriesByType('resource').map(({ name }) => name)"
    asked = demo.driver.execute_script(script)
    assert len(asked) > 6
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
    "/demo/picture": ("application/x-image", encoded(photograph(0))),
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


@pytest.mark.parametrize(
    "path", [*routes.FILES, "/demo/arms.css", "/demo/state", "/demo/bundle", "/demo/report", *POSTS]
)
def test_a_name_of_another_site_that_leads_here_is_refused(cloud: EmbeddedCloud, path: str) -> None:
    port = cloud.port
    foreign = {"Host": f"example.org:{port}", "Origin": f"http://example.org:{port}"}
    assert request(cloud, "POST" if path in POSTS else "GET", path, foreign, b"")[0] == 400


def test_what_is_too_large_or_no_picture_is_refused_by_the_server_too(cloud: EmbeddedCloud) -> None:
    origin = {"Origin": cloud.address}
    large = bytes(bodies.MAX_BYTES + 1)
    assert request(cloud, "POST", "/demo/picture", {"Content-Type": "image/png", **origin}, large)[0] == 413
    assert request(cloud, "POST", "/demo/endpoints/first", {"Content-Type": "image/png", **origin}, large)[0] == 413
    status, _, answer = request(cloud, "POST", "/demo/picture", origin, b"no picture")
    assert (status, json.loads(answer)["__type"]) == (400, "BadPicture")


def test_the_page_is_accessible_with_all_that_it_can_show(demo: Page) -> None:
    demo.drop("boot.png", encoded(photograph(1)))
    demo.until(lambda: demo.name() == "boot.png")
    demo.one("#look").click()
    demo.until(lambda: len(demo.all("#maps figure[aria-busy=false]")) == 4)
    all_else = """
        for (const one of document.querySelectorAll("main [hidden]")) {
          if (!one.textContent) one.textContent = "Something went wrong";
          one.hidden = false;
        }
    """
    for width, scheme, language in itertools.product((1280, 390), ("light", "dark"), ("en", "es")):
        emulate(demo.driver, width, scheme)
        demo.one(f"#languages [lang={language}]").click()
        demo.driver.execute_script(all_else)
        assert violations(demo.driver) == [], (width, scheme, language)
        dark = demo.driver.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 27)"
        assert dark == (scheme == "dark")


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_the_answer_is_in_sight_beside_the_pictures(demo: Page, width: int, height: int) -> None:
    def in_sight(shown: str) -> bool:
        script = (
            "const { top, bottom } = document.querySelector(arguments[0]).getBoundingClientRect(); return [top, bottom]"
        )
        top, bottom = demo.driver.execute_script(script, shown)
        return 0 <= top < bottom <= height

    emulate(demo.driver, width)
    for shown in ("#images button", "#seen", "#big", "#sure", "#top li:last-child"):
        assert in_sight(shown), shown
    demo.driver.execute_script("scrollTo(0, document.body.scrollHeight)")
    demo.drop("blank.png", encoded(np.full((50, 50), 255, np.uint8)))
    assert demo.message().startswith("blank.png: Nothing in it stands out")
    assert in_sight("#failure")
    assert in_sight("#big")


def test_a_phone_shows_the_whole_page_without_scrolling_sideways(demo: Page) -> None:
    emulate(demo.driver, 320)  # WCAG 2.2, success criterion 1.4.10
    cut = """
        return [document.documentElement, ...document.querySelectorAll("th, td, p, figcaption")]
            .filter((element) => element.scrollWidth > element.clientWidth).map((element) => element.textContent);
    """
    for language in ("es", "en"):
        demo.one(f"#languages [lang={language}]").click()
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
        bundle.pack(tmp_path, {"odd": 0.5}, TEST, 10)
    with pytest.raises(UserError, match=r"cnn9/model\.keras: not found; `dvc repro cnn9` makes it"):
        bundle.pack(tmp_path, {"cnn9": 0.5}, TEST, 10)


def test_the_embedded_sagemaker_serves_the_page_without_tensorflow() -> None:
    heavy = "{'tensorflow', 'keras', 'matplotlib', 'pandas'}"
    script = f"import sys, fashion_cnn.localsagemaker.server; print(sorted({heavy} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, encoding="utf-8"
    )
    assert done.stdout.strip() == "[]"
