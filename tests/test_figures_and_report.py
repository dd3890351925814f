import copy
import csv
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import REPOSITORY, random_images
from planted_results import ENVIRONMENT, SETTINGS, drawn, first, result

from fashion_cnn.comparison import analysis, figures, report, study
from fashion_cnn.core import results
from fashion_cnn.core.errors import UserError
from fashion_cnn.core.outputs import output_file
from fashion_cnn.core.results import Result
from fashion_cnn.eda import figures as eda_figures
from fashion_cnn.ingest import splits as split_files
from fashion_cnn.reporting import language, style
from fashion_cnn.stages import compare, eda

TEST_IMAGES = 200
LANGUAGES = ("en", "es")
SVG = "{http://www.w3.org/2000/svg}"


def make_arms(candidate: Result | None = None, seeds: int = 1) -> dict[str, Result]:
    """The dense network gets 160 of 200 test images right, 3×3 180 and 5×5 178; each further seed one more."""

    def arm(right: int, kernel: int | None = None) -> Result:
        return result(first([right + seed for seed in range(seeds)], TEST_IMAGES), kernel)

    return {"baseline": arm(160), "cnn3": arm(180, 3), "cnn5": arm(178, 5), "candidate": candidate or arm(180, 3)}


def two_seeds() -> dict[str, Result]:
    """A candidate of its own, everything trained with two seeds."""
    return make_arms(result(first([186, 190], TEST_IMAGES), 7), seeds=2)


def write_repository(folder: Path, arms: dict[str, Result], spoken: str = "en", test_images: int = TEST_IMAGES) -> None:
    parameters = (REPOSITORY / "params.yaml").read_text()
    assert "language: en" in parameters
    (folder / "params.yaml").write_text(parameters.replace("language: en", f"language: {spoken}"))
    splits = {"train": random_images(80, 1), "validation": random_images(20, 2), "test": random_images(test_images, 3)}
    copies = min(2, test_images)
    # Exact copies: labels 0 and 5, here 0 and 1.
    splits["test"].images[:copies] = splits["train"].images[[0, 5][:copies]]
    prepared = folder / "data/prepared"
    prepared.mkdir(parents=True)
    split_files.save(splits, prepared)
    (prepared / "manifest.json").write_text(json.dumps(split_files.describe(splits)))
    for arm, planted in arms.items():
        (folder / "models" / arm).mkdir(parents=True)
        results.save(planted, folder / "models" / arm)


def make_reports(folder: Path, arms: dict[str, Result], spoken: str = "en", test_images: int = TEST_IMAGES) -> Path:
    """Run eda and compare in a folder; the folder of what they write."""
    write_repository(folder, arms, spoken, test_images)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        eda.main()
        compare.main()
    return folder / "reports"


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What eda and compare write where the candidate is a network of its own, trained with two seeds."""
    return make_reports(tmp_path_factory.mktemp("repository"), two_seeds())


@pytest.fixture(scope="module")
def spanish(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in Spanish."""
    return make_reports(tmp_path_factory.mktemp("repositorio"), two_seeds(), "es")


@pytest.fixture
def repository(reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where eda has run and the candidate is cnn3, but compare has not run."""
    write_repository(tmp_path, make_arms())
    shutil.copytree(reports / "eda", tmp_path / "reports/eda")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def page_of(folder: Path) -> str:
    return (folder / "index.html").read_text(encoding="utf-8")


def make_study(arms: dict[str, Result], **data: Any) -> study.Study:
    """What is concluded from results, with some parameters of the section data changed."""
    settings = copy.deepcopy(SETTINGS)
    settings["data"] |= data
    return study.examine(arms, settings, {}, {}, np.zeros((len(arms["cnn3"].labels), 28, 28), np.uint8))


def page_about(arms: dict[str, Result], reports: Path, **settings: Any) -> str:
    """The page about other results, with the figures of those that are there: they are not what is looked at."""
    data = json.loads((reports / "eda/metrics.json").read_text())
    of = make_study(arms, **settings)._replace(data=data)
    return report.html(of, language.load("en"), {"eda": reports / "eda", "comparison": reports / "comparison"})


def test_another_process_in_another_folder_writes_the_same_bytes(reports: Path, tmp_path: Path) -> None:
    write_repository(tmp_path, two_seeds())
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "src"), "PYTHONHASHSEED": "123"}
    for stage in ("eda", "compare"):
        command = [sys.executable, "-m", "fashion_cnn.stages", stage]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    assert content(tmp_path / "reports") == content(reports)


def test_eda_measures_the_splits_and_finds_the_copies(reports: Path) -> None:
    metrics = json.loads((reports / "eda/metrics.json").read_text())
    assert metrics["train"]["images"] == 80
    assert metrics["train"]["smallest_class"] == metrics["train"]["largest_class"] == 8
    assert metrics["copies"]["within_training"] == 0
    assert metrics["copies"]["test_in_training"] == metrics["copies"]["test_near_training"] == 2
    assert metrics["copies"]["test_in_training_other_label"] == 1


def test_eda_asks_for_the_prepared_data(repository: Path) -> None:
    (repository / "data/prepared/train.npz").unlink()
    with pytest.raises(UserError, match=r"train\.npz: not found; `dvc repro preprocess` makes it"):
        eda.main()


def test_the_headline_compares_the_candidate_with_baseline_and_cnn3(reports: Path) -> None:
    metrics = json.loads((reports / "metrics.json").read_text())
    assert list(metrics) == ["baseline", "cnn3", "cnn5", "candidate"]
    assert metrics["baseline"] == {
        "test_accuracy": 0.8025,
        "test_loss": round(-0.8025 * np.log(0.91) - 0.1975 * np.log(0.01), 6),
        "parameters": 101_770,
    }
    candidate = metrics["candidate"]
    assert (candidate["kernel"], candidate["test_accuracy"]) == (7, 0.94)
    assert (candidate["accuracy_minus_baseline"], candidate["accuracy_minus_cnn3"]) == (0.1375, 0.0375)


def table(path: Path) -> dict[str, dict[str, float]]:
    """A CSV file of numbers by the texts of its first column; nan where a cell is empty."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        first_column, *others = rows.fieldnames or []
        return {row[first_column]: {name: float(row[name] or "nan") for name in others} for row in rows}


def test_confusion_tables_hold_each_test_image_of_the_first_seed(reports: Path) -> None:
    header, *lines = (reports / "comparison/confusion/candidate.csv").read_text().splitlines()
    assert header == "actual,predicted"
    assert len(lines) == TEST_IMAGES
    assert sum(actual == predicted for actual, predicted in (line.split(",") for line in lines)) == 186
    assert lines[-1] == "Ankle boot,T-shirt/top"


def test_every_figure_of_numbers_has_its_table(reports: Path) -> None:
    folder = reports / "comparison"
    accuracy = table(folder / "test_accuracy.csv")
    assert accuracy["cnn3"]["accuracy"] == pytest.approx(0.9025)
    assert accuracy["cnn3"]["low"] < 0.9025 < accuracy["cnn3"]["high"]

    pairs = table(folder / "paired_differences.csv")
    assert pairs["cnn3 minus baseline"]["difference"] == pytest.approx(0.1)
    assert pairs["candidate minus cnn3"]["seeds_low"] < 0.0375 < pairs["candidate minus cnn3"]["seeds_high"]

    by_class = table(folder / "class_accuracy.csv")
    assert list(by_class["Trouser"]) == list(study.ARMS)
    assert np.mean([shares["cnn3"] for shares in by_class.values()]) == pytest.approx(0.9025)

    for arm in study.ARMS:
        curve = table(folder / f"learning_curves/{arm}.csv")
        assert curve["2"]["validation_accuracy"] == pytest.approx(0.755), "the mean of two seeds"
        translation = table(folder / f"translation/{arm}.csv")
        assert list(translation) == [str(shift) for shift in range(9)]
        assert translation["0"]["accuracy"] == pytest.approx(accuracy[arm]["accuracy"])
        (bin_of_all,) = table(folder / f"reliability/{arm}.csv").values()
        assert bin_of_all == pytest.approx({"accuracy": accuracy[arm]["accuracy"], "share": 1})

    assert {counts["train"] for counts in table(reports / "eda/class_distribution.csv").values()} == {8}
    intensity = table(reports / "eda/pixel_intensity.csv")
    assert list(intensity["127"].values()) == pytest.approx([0.5, 0.5, 0.5], abs=0.02), "noise: half are darker"
    assert list(intensity["255"].values()) == [1, 1, 1]
    distances = table(reports / "eda/nearest_distances.csv").values()
    assert sum(counts["test_images"] for counts in distances) == TEST_IMAGES


def test_one_seed_leaves_no_interval_between_seeds_in_the_table(repository: Path) -> None:
    compare.main()
    for pair in table(repository / "reports/comparison/paired_differences.csv").values():
        assert np.isfinite([pair["low"], pair["high"]]).all()
        assert np.isnan([pair["seeds_low"], pair["seeds_high"]]).all()


def test_a_candidate_of_its_own_is_drawn(reports: Path) -> None:
    drawn_anew = {path.stem for path in (reports / "comparison").glob("*candidate*.svg")}
    assert drawn_anew == {
        "learning_candidate_accuracy", "learning_candidate_loss", "confusion_candidate", "filters_candidate",
    }  # fmt: skip
    for name in ("test_accuracy", "validation_accuracy", "translation", "reliability", "paired_differences"):
        assert "Candidate 7×7" in (reports / f"comparison/{name}.svg").read_text(), name


def test_a_reused_candidate_is_called_the_same_and_not_drawn_twice(repository: Path) -> None:
    compare.main()
    summary = (repository / "reports/comparison/summary.md").read_text()
    assert "The candidate, the CNN that the parameter `kernel` describes, is CNN 3×3 here" in summary
    for figure in (repository / "reports/comparison").glob("*.svg"):
        assert "Candidate" not in figure.read_text(), figure.name
    assert "Candidate" not in page_of(repository / "reports")


def test_a_candidate_with_the_same_kernel_and_another_result_is_not_called_the_same() -> None:
    assert study.same_arm(make_arms(result(first([179], TEST_IMAGES), 3))) is None
    assert study.same_arm(make_arms(result(first([178], TEST_IMAGES), 5))) == "cnn5"


def test_the_answer_says_how_much_and_as_the_verdicts_go() -> None:
    spoken = language.load("en")
    answer = report.answer(make_study(make_arms()), spoken)
    assert answer.startswith("Convolutions help: with 3×3 kernels the network recognises 90.00% of 200 test images")
    assert "10.00 points more than the dense network (80.00%)" in answer
    assert answer.endswith("whether 5×5 kernels change that can't be told from this run (−1.00 points).")
    worse = {"baseline": result(first([190], TEST_IMAGES))}
    assert "do not help here" in report.answer(make_study(make_arms() | worse), spoken)
    equal = {"cnn3": result(drawn(0.8, TEST_IMAGES, 1), 3), "baseline": result(drawn(0.8, TEST_IMAGES, 2))}
    assert report.answer(make_study(make_arms() | equal), spoken).startswith("Whether convolutions help stays open")
    best = {"cnn5": result(first([199], TEST_IMAGES), 5)}
    assert report.answer(make_study(make_arms() | best), spoken).endswith("5×5 kernels change that by +9.50 points.")


def test_the_answer_of_a_permuted_run_is_about_the_order_of_pixels() -> None:
    better = {"baseline": result(first([195], TEST_IMAGES))}
    answer = report.answer(make_study(make_arms() | better, permute_pixels=True), language.load("en"))
    assert answer.startswith("Convolutions live on the order of the pixels")


def test_one_seed_is_called_what_it_is() -> None:
    summary = report.markdown(make_study(make_arms()), language.load("en"))
    assert "one seed cannot show" in summary
    assert "±" not in summary
    low, high = analysis.wilson(180, TEST_IMAGES)
    assert f"{100 * low:.2f}–{100 * high:.2f}%" in summary


def test_several_seeds_are_given_with_their_standard_deviation_and_interval() -> None:
    arms = make_arms() | {
        "baseline": result(first([150, 160], TEST_IMAGES)),
        "cnn3": result(first([180, 184], TEST_IMAGES), 3),
        "cnn5": result(first([170, 172], TEST_IMAGES), 5),
        "candidate": result(first([180, 184], TEST_IMAGES), 3),
    }
    of = make_study(arms)
    summary = report.markdown(of, language.load("en"))
    assert f"| 91.00% ± {2 / np.sqrt(2):.2f} |" in summary
    assert "trained 2 times" in summary
    assert "one seed cannot show" not in summary
    interval = of.comparisons["cnn3", "baseline"].seed_interval
    assert interval is not None
    assert f"{100 * interval.low:+.2f} to {100 * interval.high:+.2f}".replace("-", "−") in summary


def test_disagreements_are_the_surest_errors_on_images_that_the_other_gets_right() -> None:
    right, wrong = result(first([200], TEST_IMAGES), 3), result(first([197], TEST_IMAGES))
    wrong.probabilities[0, 198] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]  # recognised late, but surely wrong before: class 8
    images = np.arange(TEST_IMAGES, dtype=np.uint8)[:, None, None] * np.ones((1, 28, 28), np.uint8)
    found = study.disagreements(right, wrong, images)
    assert [(one.image[0, 0], one.truth, one.answer) for one in found] == [(198, 8, 9), (197, 7, 8), (199, 9, 0)]
    assert study.disagreements(wrong, right, images) == []


@pytest.mark.parametrize("spoken", LANGUAGES)
def test_the_page_opens_without_network_and_can_be_read_aloud(reports: Path, spanish: Path, spoken: str) -> None:
    page = page_of(reports if spoken == "en" else spanish)
    assert f'<html lang="{spoken}">' in page
    assert len(page.encode()) < 3_000_000
    assert not re.search(
        r'https?:(?!//www\.w3\.org)|<script|<link(?! rel="icon" href="data:,")|@import|url\((?!#)', page
    )
    images = re.findall(r"<svg [^>]*>", page)
    assert all(re.search(r'role="img" aria-label="[^"]{20,}"', image) for image in images)
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', page)) <= set(ids)


def test_the_page_shows_every_drawn_figure(reports: Path) -> None:
    drawn_figures = {file.removesuffix(".svg") for file in content(reports) if file.endswith(".svg")}
    of = make_study(two_seeds())
    shown = [
        panel.file.removesuffix(".svg") for group in report.panels(of, language.load("en")).values() for panel in group
    ]
    assert sorted(shown) == sorted(drawn_figures)
    assert page_of(reports).count("<svg ") == len(drawn_figures)


def test_figures_read_alone_and_take_the_ink_of_the_page_inside_it(reports: Path) -> None:
    for file in reports.rglob("*.svg"):
        assert ElementTree.parse(file).getroot().tag == f"{SVG}svg"  # noqa: S314 the project drew it
        assert style.PAPER in file.read_text()
    page = page_of(reports)
    assert style.INK not in page
    assert style.PAPER not in page
    assert "currentColor" in page


def test_both_languages_have_the_same_keys_and_placeholders() -> None:
    english, spanish_texts = (language.load(code).texts for code in LANGUAGES)
    assert list(english) == list(spanish_texts)
    for key, text in english.items():
        placeholders = set(re.findall(r"{\w+}", text))
        assert placeholders == set(re.findall(r"{\w+}", spanish_texts[key])), key
        assert text.count("`") == spanish_texts[key].count("`"), key


def test_every_text_of_the_catalogue_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used: set[str] = set()

    class Noted(dict[str, str]):
        def __getitem__(self, key: str) -> str:
            used.add(key)
            return super().__getitem__(key)

    english = language.load("en")
    noting = dataclasses.replace(english, texts=Noted(english.texts))
    monkeypatch.setattr(language, "load", lambda _: noting)
    folder = make_reports(tmp_path, two_seeds())
    page_about(make_arms(), folder)  # one seed, and the candidate is cnn3
    page_about(make_arms(), folder, permute_pixels=True)
    as_verdicts_go = r"claims\.\w+\.(not_)?supported|reasons\.\w+|answer\.[\w.]+|figures\.disagreements\.none"
    assert [key for key in english.texts if key not in used and not re.fullmatch(as_verdicts_go, key)] == []
    names = {claim.name for claim in make_study(make_arms()).claims}
    assert {key.split(".")[1] for key in english.texts if re.fullmatch(r"claims\.\w+\.claim", key)} == names


def structure(page: str) -> list[str]:
    return re.findall(r"<(?!/)(\w+)", re.sub(r"<svg.*?</svg>", "<svg>", page, flags=re.DOTALL))


def test_both_languages_have_the_same_structure_and_every_text_translated(reports: Path, spanish: Path) -> None:
    assert structure(page_of(reports)) == structure(page_of(spanish))
    for folder in (reports, spanish):
        text = re.sub(r"<style>.*?</style>", "", page_of(folder), flags=re.DOTALL)
        assert not re.search(r"\{\w+\}", text), "every placeholder is filled in"
        assert "Undefined" not in text
    english = language.load("en").texts
    same_by_right = {
        *("Parameters", "CNN {size}", "p", "TensorFlow", "Keras", "NumPy"),
        *("{first} − {second}", "<\N{NO-BREAK SPACE}{value}", "{confidence}", "{low}–{high}"),
    }
    untranslated = [key for key, text in language.load("es").texts.items() if text and text == english[key]]
    assert {english[key] for key in untranslated} <= same_by_right


def test_numbers_are_written_as_the_language_does() -> None:
    english, in_spanish = (language.load(code) for code in LANGUAGES)
    assert (english.integer(10_000), in_spanish.integer(10_000)) == ("10,000", "10.000")
    assert (english.decimal(0.9114, 4), in_spanish.decimal(0.9114, 4)) == ("0.9114", "0,9114")
    assert (english.percent(0.9114, 1), in_spanish.percent(0.9114, 1)) == ("91.1%", "91,1\N{NO-BREAK SPACE}%")
    assert (english.points(-0.0334), in_spanish.points(0.0334)) == ("−3.34", "+3,34")
    assert english.points(-0.00001) == "0.00", "no sign before a zero"
    assert english.percent(float("nan")) == "–"


def test_the_figures_speak_the_language(spanish: Path) -> None:
    assert "imágenes de prueba reconocidas" in (spanish / "comparison/test_accuracy.svg").read_text(encoding="utf-8")
    assert "entrenamiento" in (spanish / "eda/class_distribution.svg").read_text(encoding="utf-8")
    assert re.search(r">0,\d", (spanish / "comparison/learning_cnn3_loss.svg").read_text(encoding="utf-8"))


def test_class_names_stay_as_the_data_set_has_them(spanish: Path) -> None:
    assert '<th scope="row" lang="en">Ankle boot</th>' in page_of(spanish)


def test_the_page_names_parameters_versions_and_digests(reports: Path) -> None:
    page = page_of(reports)
    manifest = json.loads((reports.parent / "data/prepared/manifest.json").read_text())
    assert manifest["test"]["sha256"] in page
    assert "<code>train.batch_size</code></th><td><code>128</code></td>" in page
    assert "<td>2.21.0</td>" in page
    assert "<td>float32</td>" in page


def test_the_digest_of_the_parameters_changes_with_each_of_them_alone() -> None:
    def digest(settings: dict[str, Any]) -> str:
        return compare.digests({}, settings)["parameters"]

    assert digest({"kernel": 3, "train": {"seeds": 1}}) == digest({"train": {"seeds": 1}, "kernel": 3})
    assert digest({"kernel": 3, "train": {"seeds": 1}}) != digest({"kernel": 3, "train": {"seeds": 2}})


def test_arms_from_different_machines_are_listed_apart(reports: Path) -> None:
    elsewhere = result(first([181], TEST_IMAGES), 3, environment=ENVIRONMENT | {"keras": "<b>9</b>"})
    page = page_about(make_arms(elsewhere), reports)
    assert "Dense network, CNN 3×3, CNN 5×5</th>" in page
    assert "Candidate 3×3</th>" in page
    assert "&lt;b&gt;9&lt;/b&gt;" in page


def test_a_permuted_run_says_so_at_the_top(reports: Path) -> None:
    assert 'class="notice"' not in page_about(make_arms(), reports)
    permuted = page_about(make_arms(), reports, permute_pixels=True)
    assert permuted.index('class="notice"') < permuted.index("<main>")


def test_classes_without_test_images_are_left_blank(repository: Path) -> None:
    labels = np.zeros(TEST_IMAGES, np.uint8)
    for arm, kernel in zip(study.ARMS, (None, 3, 5, 3), strict=True):
        results.save(result(first([150], TEST_IMAGES), kernel, labels=labels), repository / "models" / arm)
    compare.main()
    assert "\nTrouser,,,,\n" in (repository / "reports/comparison/class_accuracy.csv").read_text()
    assert '<th scope="row" lang="en">Trouser</th><td>–</td>' in page_of(repository / "reports")


@pytest.mark.parametrize("images", [1, 20])
def test_a_handful_of_images_still_makes_a_report(images: int, tmp_path: Path) -> None:
    arms = {
        arm: result(drawn(0.7, images, seed), kernel)
        for seed, (arm, kernel) in enumerate(zip(study.ARMS, (None, 3, 5, 7), strict=True))
    }
    page = page_of(make_reports(tmp_path, arms, test_images=images))
    assert "supported</strong>" in page
    assert not re.search(r"\b(nan|NaN|None)\b", page)


def test_a_comparison_that_fails_leaves_the_earlier_one(repository: Path) -> None:
    compare.main()
    (repository / "reports/eda/nearest_pairs.svg").unlink()  # the report, written last, needs it
    results.save(result(first([200], TEST_IMAGES), 3), repository / "models/cnn3")
    before = content(repository / "reports")
    with pytest.raises(FileNotFoundError):
        compare.main()
    assert content(repository / "reports") == before


@pytest.mark.parametrize(
    ("missing", "stage"),
    [
        ("models/cnn5/metrics.json", "cnn5"),
        ("data/prepared/manifest.json", "compare"),
        ("data/prepared/test.npz", "preprocess"),
    ],
)
def test_compare_says_what_is_missing_and_which_stage_makes_it(repository: Path, missing: str, stage: str) -> None:
    (repository / missing).unlink()
    with pytest.raises(UserError, match=re.escape(f"{missing}: not found; `dvc repro {stage}` makes it")):
        compare.main()
    assert not (repository / "reports/comparison").exists()


@pytest.mark.parametrize("stage", [eda, compare])
def test_a_parameter_that_is_not_allowed_stops_the_stage(repository: Path, stage: Any) -> None:
    before = content(repository / "reports")
    parameters = repository / "params.yaml"
    parameters.write_text(parameters.read_text().replace("epochs: 10", "epochs: 0"))
    with pytest.raises(UserError, match=r"train\.epochs = 0 is not allowed"):
        stage.main()
    assert content(repository / "reports") == before


def test_a_file_whose_writing_fails_does_not_appear(tmp_path: Path) -> None:
    file = tmp_path / "reports/metrics.json"

    def write(*texts: str) -> None:
        with output_file(file) as partial, partial.open("w") as stream:
            stream.writelines(texts)

    write("first")
    with pytest.raises(TypeError):
        write("half", None)  # type: ignore[arg-type]
    assert content(tmp_path) == {"reports/metrics.json": b"first"}


def contrast(color: str, other: str) -> float:
    """Contrast of two colours, 1 to 21. Source: WCAG 2.2, relative luminance and contrast ratio."""

    def luminance(text: str) -> float:
        channels = np.array([int(text[at : at + 2], 16) for at in (1, 3, 5)]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(color), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_arms_differ_in_colour_and_in_grey_and_stand_out_from_light_and_dark_paper() -> None:
    assert set(style.STYLES) == set(study.ARMS)
    for looks in zip(*style.STYLES.values(), strict=True):
        assert len(set(looks)) == len(study.ARMS)
    drawn_colors = [one.color for one in style.STYLES.values()] + [
        color for color, *_ in eda_figures.SPLIT_STYLES.values()
    ]
    css = (REPOSITORY / "src/fashion_cnn/templates/report.css").read_text()
    papers = re.findall(r"--paper: (#\w+)", css)[:2]
    assert [len(paper) for paper in papers] == [4, 7]
    for color in [*drawn_colors, eda_figures.PLAIN]:
        assert contrast(color, "#ffffff") >= 3, color
        assert contrast(color, papers[1]) >= 3, color


def test_curves_have_labelled_axes_in_the_unit_of_the_reader() -> None:
    spoken = language.load("en")
    histories = {arm: one.history for arm, one in make_arms().items()}
    names = dict.fromkeys(histories, "name")
    for metric, label in (("accuracy", "images recognised"), ("loss", "loss (nats)")):
        (axes,) = figures.validation_curves(histories, metric, names, spoken).axes
        assert axes.get_ylabel() == label
        assert axes.get_xlabel().startswith("epoch")
        assert len(axes.lines) == 4
    figure = figures.validation_curves(histories, "accuracy", names, spoken)
    figure.draw_without_rendering()
    ticks = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert all(tick.endswith("%") for tick in ticks)
    assert len(set(ticks)) == len(ticks)


def test_a_curve_is_the_mean_over_seeds() -> None:
    history = result(first([180, 184], TEST_IMAGES), 3).history
    (axes,) = figures.validation_curves({"cnn3": history}, "accuracy", {"cnn3": "CNN"}, language.load("en")).axes
    np.testing.assert_allclose(np.asarray(axes.lines[0].get_ydata(), float), [0.505, 0.755, 1 - 0.5 / 3 + 0.005])


def test_a_translation_curve_is_the_mean_of_four_directions() -> None:
    shifted = np.zeros((1, 4, 9, 10), bool)
    shifted[:, 0] = True
    (axes,) = figures.translation_curves({"cnn3": shifted}, {"cnn3": "CNN"}, language.load("en")).axes
    np.testing.assert_allclose(np.asarray(axes.lines[0].get_ydata(), float), [0.25] * 9)


def test_the_difference_of_confusion_matrices_is_in_points_of_the_true_class() -> None:
    counts = np.diag([50] * 10)
    other = counts.copy()
    other[6, 6], other[6, 0] = 40, 10
    figure = figures.confusion_difference(counts, other, "title", language.load("en"))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert sorted(filter(None, texts)) == ["+20", "−20"]


def test_filters_of_any_number_and_size_are_drawn_up_to_a_limit() -> None:
    for count, size, shown in ((1, 1, 1), (32, 3, 32), (100, 27, figures.FILTERS_SHOWN)):
        figure = figures.filters(np.ones((count, size, size)), "title")
        assert len(figure.axes[0].images) == shown


def test_examples_show_each_class_in_its_row() -> None:
    images = np.stack([np.full((28, 28), 20 * label, np.uint8) for label in range(10)] * 2)
    figure = eda_figures.class_examples(images, np.arange(20) % 10, language.load("en"), examples=3)
    mosaic = np.asarray(figure.axes[0].images[0].get_array())
    assert mosaic.shape == (280, 84)
    assert (mosaic[::28, 0] == 20 * np.arange(10)).all()
    assert (mosaic[:, 56:] == 0).all()  # two examples of each class, no third


def test_the_catalogues_are_valid_and_say_no_more_than_text() -> None:
    for code in LANGUAGES:
        catalogue = tomllib.loads((REPOSITORY / f"src/fashion_cnn/templates/{code}.toml").read_text(encoding="utf-8"))
        assert all(isinstance(text, str) for text in language.flat(catalogue).values())
        assert not [
            text for text in language.flat(catalogue).values() if "<" in text and text != "<\N{NO-BREAK SPACE}{value}"
        ]
