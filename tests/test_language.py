"""Both languages say the same, each in its own way, and nothing that nobody reads."""

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from fashion_cnn.core.fashion_mnist import CLASS_NAMES
from fashion_cnn.reporting.language import Language, flat
from support.reports import LANGUAGES, compare_arms, make_arms, make_reports, page_about, page_of, two_seeds
from support.repository import REPOSITORY


def test_both_languages_have_the_same_keys_and_placeholders() -> None:
    english, spanish_texts = (Language.load(code).texts for code in LANGUAGES)
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

    english = Language.load("en")
    noting = dataclasses.replace(english, texts=Noted(english.texts))
    monkeypatch.setattr(Language, "load", lambda _: noting)
    folder = make_reports(tmp_path, two_seeds())
    page_about(make_arms(), folder)  # one seed, and the candidate is cnn3
    page_about(make_arms(), folder, permute_pixels=True)
    as_verdicts_go = r"claims\.\w+\.(not_)?supported|reasons\.\w+|answer\.[\w.]+|figures\.disagreements\.none"
    assert [key for key in english.texts if key not in used and not re.fullmatch(as_verdicts_go, key)] == []
    names = {claim.name for claim in compare_arms(make_arms()).claims}
    assert {key.split(".")[1] for key in english.texts if re.fullmatch(r"claims\.\w+\.claim", key)} == names


def structure(page: str) -> list[str]:
    return re.findall(r"<(?!/)(\w+)", re.sub(r"<svg.*?</svg>", "<svg>", page, flags=re.DOTALL))


def test_both_languages_have_the_same_structure_and_every_text_translated(reports: Path, spanish: Path) -> None:
    assert structure(page_of(reports)) == structure(page_of(spanish))
    for folder in (reports, spanish):
        text = re.sub(r"<style>.*?</style>", "", page_of(folder), flags=re.DOTALL)
        assert not re.search(r"\{\w+\}", text), "every placeholder is filled in"
        assert "Undefined" not in text
    english = Language.load("en").texts
    same_by_right = {
        *("Parameters", "CNN {size}", "p", "TensorFlow", "Keras", "NumPy"),
        *("{first} − {second}", "<\N{NO-BREAK SPACE}{value}", "{confidence}", "{low}–{high}"),
    }
    untranslated = [key for key, text in Language.load("es").texts.items() if text and text == english[key]]
    assert {english[key] for key in untranslated} <= same_by_right


def test_numbers_are_written_as_the_language_does() -> None:
    english, in_spanish = (Language.load(code) for code in LANGUAGES)
    assert (english.integer(10_000), in_spanish.integer(10_000)) == ("10,000", "10.000")
    assert (english.integer(9_999.4), in_spanish.integer(9_999.4)) == ("9,999", "9999")
    assert (in_spanish.integer(9_999.6), in_spanish.decimal(-1_234.5, 1)) == ("10.000", "−1234,5")
    assert (english.decimal(0.9114, 4), in_spanish.decimal(0.9114, 4)) == ("0.9114", "0,9114")
    assert (english.percent(0.9114, 1), in_spanish.percent(0.9114, 1)) == ("91.1%", "91,1\N{NO-BREAK SPACE}%")
    assert (english.points(-0.0334), in_spanish.points(0.0334)) == ("−3.34", "+3,34")
    assert english.points(-0.00001) == "0.00", "no sign before a zero"
    assert english.percent(float("nan")) == "–"


def test_class_names_stay_as_the_data_set_has_them_and_are_explained_once(spanish: Path) -> None:
    page = page_of(spanish)
    assert '<th scope="row" lang="en">Ankle boot</th>' in page
    for name in CLASS_NAMES:
        assert len(re.findall(rf"{name} \([a-zíó ]+\)", page)) == 1, name


def test_a_network_s_confidence_and_accuracy_have_one_word_each_in_spanish() -> None:
    assert not [text for text in Language.load("es").texts.values() if re.search(r"\bsegur|\bacierto\b", text)]


def test_the_catalogues_are_valid_and_say_no_more_than_text() -> None:
    for code in LANGUAGES:
        catalogue = tomllib.loads((REPOSITORY / f"src/fashion_cnn/reporting/{code}.toml").read_text(encoding="utf-8"))
        assert all(isinstance(text, str) for text in flat(catalogue).values())
        assert not [text for text in flat(catalogue).values() if "<" in text and text != "<\N{NO-BREAK SPACE}{value}"]
