"""The report in words: its answer, its cautions and tables, on a page that needs no network."""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fashion_cnn.comparison import report, statistics, words
from fashion_cnn.comparison.panels import panels
from fashion_cnn.core.params import ARMS
from fashion_cnn.reporting.language import Language
from fashion_cnn.stages import compare
from support.reports import (
    LANGUAGES,
    TEST_IMAGES,
    compare_arms,
    content,
    make_arms,
    make_reports,
    page_about,
    page_of,
    two_seeds,
)
from support.repository import REPOSITORY
from support.results import ENVIRONMENT, drawn, first, result


def test_the_answer_says_how_much_and_as_the_verdicts_go() -> None:
    english = Language.load("en")
    answer = words.answer(compare_arms(make_arms()), english)
    assert answer.startswith("Convolutions help: with 3×3 kernels the network recognises 90.00% of 200 test images")
    assert "10.00 points more than the dense network (80.00%)" in answer
    assert answer.endswith("whether 5×5 kernels change that can't be told from this run (−1.00 points).")
    worse = {"baseline": result(first([190], TEST_IMAGES))}
    assert "do not help here" in words.answer(compare_arms(make_arms() | worse), english)
    equal = {"cnn3": result(drawn(0.8, TEST_IMAGES, 1), 3), "baseline": result(drawn(0.8, TEST_IMAGES, 2))}
    assert words.answer(compare_arms(make_arms() | equal), english).startswith("Whether convolutions help stays open")
    best = {"cnn5": result(first([199], TEST_IMAGES), 5)}
    assert words.answer(compare_arms(make_arms() | best), english).endswith("5×5 kernels change that by +9.50 points.")


def test_the_answer_of_a_permuted_run_is_about_the_order_of_pixels() -> None:
    better = {"baseline": result(first([195], TEST_IMAGES))}
    answer = words.answer(compare_arms(make_arms() | better, permute_pixels=True), Language.load("en"))
    assert answer.startswith("Convolutions live on the order of the pixels")


def test_one_seed_is_called_what_it_is() -> None:
    summary = report.markdown(compare_arms(make_arms()), Language.load("en"))
    assert summary.count("one seed cannot show") == 1
    assert "±" not in summary
    low, high = statistics.wilson(180, TEST_IMAGES)
    assert f"{100 * low:.2f}–{100 * high:.2f}%" in summary


def test_several_seeds_are_given_with_their_standard_deviation_and_interval() -> None:
    arms = make_arms() | {
        "baseline": result(first([150, 160], TEST_IMAGES)),
        "cnn3": result(first([180, 184], TEST_IMAGES), 3),
        "cnn5": result(first([170, 172], TEST_IMAGES), 5),
        "candidate": result(first([180, 184], TEST_IMAGES), 3),
    }
    comparison = compare_arms(arms)
    summary = report.markdown(comparison, Language.load("en"))
    assert f"| 91.00% ± {2 / np.sqrt(2):.2f} |" in summary
    assert "trained 2 times" in summary
    assert "one seed cannot show" not in summary
    interval = comparison.differences["cnn3", "baseline"].estimate.seed_interval
    assert interval is not None
    assert f"{100 * interval.low:+.2f} to {100 * interval.high:+.2f}".replace("-", "−") in summary


def test_the_cost_stands_beside_the_gain(reports: Path) -> None:
    comparison = compare_arms(make_arms())
    counted = [
        comparison.rows[arm].metrics[count] / comparison.rows["baseline"].metrics[count]
        for arm in ("cnn3", "cnn5")
        for count in ("parameters", "multiply_adds")
    ]
    assert counted == pytest.approx([2.16, 39.7, 2.49, 106.9], rel=0.002)
    cost = words.cost(comparison, Language.load("en"))
    assert re.findall(r"[\d.]+(?= times| and)", cost) == ["2.2", "40", "2.5", "107"]
    assert cost in report.markdown(comparison, Language.load("en"))
    assert re.search(r'<p class="answer">[^<]*The price: ', page_of(reports))


def test_a_network_is_drawn_layer_by_layer_with_what_each_costs() -> None:
    comparison = compare_arms(make_arms())
    steps = words.architecture(comparison.rows["cnn5"], comparison.settings, Language.load("en"))
    assert [step.kind for step in steps] == [
        "image", "convolution", "max pooling", "convolution", "max pooling", "dense layer", "output",
    ]  # fmt: skip
    assert steps[3].details == ["64 filters of 5×5", "51,264 parameters", "10,035,200 multiply-adds"]
    assert steps[5].details[:2] == ["64 units", "30% dropout in training"]
    for arm, row in comparison.rows.items():
        drawn = "\n".join(line for step in words.architecture(row, comparison.settings, Language.load("en"))
                          for line in step.details)  # fmt: skip
        for count in ("parameters", "multiply_adds"):
            numbers = re.findall(rf"([\d,]+) {count.replace('_', '-')}", drawn)
            assert sum(int(number.replace(",", "")) for number in numbers) == row.metrics[count], arm


def test_what_mirroring_costs_is_told_of_the_classes_that_lose_most(reports: Path) -> None:
    right = first([200], TEST_IMAGES)
    mirrored = right.copy()
    mirrored[:, 9::10] = False  # of class 9 none, and of class 5 half
    mirrored[:, 5::20] = False
    cnn = result(right, 3, mirrored=mirrored)
    worst = words.mirrored_classes(compare_arms(make_arms() | {"cnn3": cnn}), Language.load("en"))
    assert worst[:2] == [
        "Ankle boot: 100.0% as they are, 0.0% mirrored, mostly mistaken for T-shirt/top",
        "Sandal: 100.0% as they are, 50.0% mirrored, mostly mistaken for Shirt",
    ]
    page = page_about(make_arms() | {"cnn3": cnn}, reports)
    assert "100.00% of the images as they are and 85.00% of their mirror images" in page
    assert "Recognised, mirrored</th><td>80.00%</td><td>85.00%</td>" in page
    measured = json.loads((reports / "eda/metrics.json").read_text(encoding="utf-8"))["one_sided"]
    assert f"at most {100 * sorted(measured.values())[-4]:.1f}%" in page, "the fourth of the classes"


def test_the_curves_of_shifts_say_that_they_are_of_fewer_images(reports: Path) -> None:
    arms = {arm: one._replace(correct_when_shifted=one.correct_when_shifted[..., :50])
            for arm, one in make_arms().items()}  # fmt: skip
    assert "The first 50 of 200 test images, recognised when the whole image is shifted" in page_about(arms, reports)


def test_the_page_says_whose_claims_they_are_and_of_what_a_value_behind_the_last_pooling_depends(
    reports: Path,
) -> None:
    page = page_of(reports)
    assert "The claims are those by which a notebook explained its own results" in page
    assert "a value depends on that enters a CNN&#39;s dense layer, behind the last pooling" in page


@pytest.mark.parametrize("seeds", [1, 2])
def test_no_sentence_stands_twice_and_no_cell_is_empty(reports: Path, seeds: int) -> None:
    page = re.sub(r"<svg.*?</svg>|<style>.*?</style>", "", page_about(make_arms(seeds=seeds), reports), flags=re.DOTALL)
    assert not re.search(r"<td>\s*</td>", "".join(re.findall(r"<tbody>.*?</tbody>", page, re.DOTALL)))
    # A reason may hold for several claims, and networks have layers in common.
    said = re.sub(r'<ul class="claims">.*?</section>|<ol class="layers">.*?</ol>', "", page, flags=re.DOTALL)
    paragraphs = re.findall(r"<(?:p|li|figcaption)[^>]*>(.*?)</(?:p|li|figcaption)>", said, re.DOTALL)
    sentences = [one for text in paragraphs for one in re.split(r"(?<=[.:;]) +", re.sub(r"<[^>]*>", "", text))]
    assert [one for one, times in Counter(sentences).items() if times > 1 and len(one) > 25] == []
    assert page.count("One rule judges all") == 1
    assert page.count("one seed cannot show") == (seeds == 1)
    assert not re.search(r": [\d.]+ points \(\+", page), "a number and its interval have the same signs"


def test_a_reused_candidate_is_called_the_same_and_not_drawn_twice(repository: Path) -> None:
    compare.main()
    summary = (repository / "reports/comparison/summary.md").read_text(encoding="utf-8")
    assert "The candidate, the CNN that the parameter `kernel` describes, is CNN 3×3 here" in summary
    for figure in (repository / "reports/comparison").glob("*.svg"):
        assert "Candidate" not in figure.read_text(encoding="utf-8"), figure.name
    assert "Candidate" not in page_of(repository / "reports")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_opens_without_network_and_can_be_read_aloud(reports: Path, spanish: Path, language: str) -> None:
    page = page_of(reports if language == "en" else spanish)
    assert f'<html lang="{language}">' in page
    assert len(page.encode()) < 3_000_000
    links = re.findall(r'<a href="(https?:[^"]*)">', page)
    assert links == ["https://arxiv.org/abs/1708.07747"], "followed by whoever wants to, loaded by nobody"
    loaded = re.sub(r'<a href="https?:[^"]*">', "", page)
    assert not re.search(
        r'https?:(?!//www\.w3\.org)|<script|<link(?! rel="icon" href="data:,")|@import|url\((?!#)', loaded
    )
    images = re.findall(r"<svg [^>]*>", page)
    assert all(re.search(r'role="img" aria-label="[^"]{20,}"', image) for image in images)
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', page)) <= set(ids)


def test_the_page_shows_every_drawn_figure(reports: Path) -> None:
    drawn_figures = {file.removesuffix(".svg") for file in content(reports) if file.endswith(".svg")}
    shown = panels(compare_arms(two_seeds()), Language.load("en"))
    assert {f"{'comparison' if panel.draw else 'eda'}/{panel.name}" for panel in shown} == drawn_figures
    assert page_of(reports).count("<svg ") == len(drawn_figures)


def test_the_page_leads_to_the_list_of_studies(reports: Path) -> None:
    (link,) = re.findall(r'href="(studies/[^"]*)"', page_of(reports))
    assert (REPOSITORY / "reports" / link).exists(), "it is committed, and `make study` keeps it"


def test_the_page_names_parameters_versions_and_digests(reports: Path) -> None:
    page = page_of(reports)
    manifest = json.loads((reports.parent / "data/prepared/manifest.json").read_text(encoding="utf-8"))
    assert manifest["test"]["sha256"] in page
    assert "<code>train.batch_size</code></th><td><code>128</code></td>" in page
    assert "<td>2.21.0</td>" in page
    assert "<td>float32</td>" in page
    assert "Which code trained them is said by <code>dvc.lock</code> and the commit" in page


def test_arms_from_different_machines_are_listed_apart(reports: Path) -> None:
    elsewhere = result(first([181], TEST_IMAGES), 3, environment=ENVIRONMENT | {"keras": "<b>9</b>"})
    page = page_about(make_arms(elsewhere), reports)
    assert "<td>3.15.1 (Dense network, CNN 3×3, CNN 5×5); &lt;b&gt;9&lt;/b&gt; (Candidate 3×3)</td>" in page
    assert "<td>float32</td>" in page, "what all have in common stands once"


def test_a_permuted_run_says_so_at_the_top(reports: Path) -> None:
    assert 'class="notice"' not in page_about(make_arms(), reports)
    permuted = page_about(make_arms(), reports, permute_pixels=True)
    assert permuted.index('class="notice"') < permuted.index("<main>")


def test_a_single_image_still_makes_a_report(tmp_path: Path) -> None:
    arms = {
        arm: result(drawn(0.7, 1, seed), kernel)
        for seed, (arm, kernel) in enumerate(zip(ARMS, (None, 3, 5, 7), strict=True))
    }
    page = page_of(make_reports(tmp_path, arms, test_images=1))
    assert "supported</strong>" in page
    assert not re.search(r"\b(nan|NaN|None)\b", page)
