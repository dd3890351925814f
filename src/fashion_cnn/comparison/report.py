"""The comparison as documents, in either language: a Markdown summary and the HTML report."""

import re
from collections.abc import Iterable, Mapping
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from fashion_cnn.comparison import statistics, words
from fashion_cnn.comparison.arms import Comparison
from fashion_cnn.comparison.panels import EDA_FIGURES, Panel
from fashion_cnn.core.fashion_mnist import CLASS_NAMES
from fashion_cnn.reporting import style
from fashion_cnn.reporting.language import Language, flat


def markdown(comparison: Comparison, language: Language) -> str:
    """The comparison for a pull request or a terminal."""
    return _environment().get_template("summary.md.jinja").render(_content(comparison, language))


def html(comparison: Comparison, language: Language, panels: Iterable[Panel], folder: Path, eda_folder: Path) -> str:
    """The report: one page that opens without network.

    Args:
        comparison: what it shows.
        language: in which it speaks.
        panels: its figures.
        folder: where those of the comparison lie.
        eda_folder: where those of the stage eda lie.
    """
    groups: dict[str, list[Markup]] = {}
    for panel in panels:
        svg = ((folder if panel.draw else eda_folder) / f"{panel.name}.svg").read_text(encoding="utf-8")
        groups.setdefault(panel.group, []).append(inline(svg, panel.name, panel.alternative))
    content = _content(comparison, language) | {
        "panels": groups,
        "eda_figures": EDA_FIGURES,
        "one_sidedness": words.one_sidedness(comparison, language),
    }
    return _environment().get_template("report.html.jinja").render(content)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("fashion_cnn.comparison"),
        autoescape=select_autoescape(["html.jinja"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["markup"] = markup
    return environment


def markup(text: str) -> Markup:
    """Text of a catalogue as HTML: what stands in `backticks` is code."""
    return Markup(re.sub(r"`(.+?)`", r"<code>\1</code>", escape(text, quote=False)))  # noqa: S704 it is escaped


def _content(comparison: Comparison, language: Language) -> dict[str, Any]:
    """What both templates name."""
    names, constant = words.labels(comparison.rows, language), words.constants(comparison, language)
    inline_names = words.labels(comparison.rows, language, "arms.inline")
    judged = [words.judged(claim, inline_names, constant, language) for claim in comparison.claims]
    shown, differences = comparison.shown_rows, comparison.shown_differences
    adjusted = statistics.holm([found.p_value for found in differences.values()]).tolist()
    return {
        "t": partial(language.text, **constant),
        "language": language,
        "names": names,
        "inline_names": inline_names,
        "answer": words.answer(comparison, language),
        "cost": words.cost(comparison, language),
        "caution": words.caution(comparison, language),
        "permuted": comparison.settings["data"]["permute_pixels"],
        "seeds": len(comparison.arms["cnn3"].probabilities),
        "rows": shown,
        "networks": [names[arm] for arm in shown],
        "architectures": {arm: words.architecture(row, comparison.settings, language) for arm, row in shown.items()},
        "mirrored": {arm: result.correct_when_mirrored.mean() for arm, result in comparison.arms.items()},
        "mirrored_classes": words.mirrored_classes(comparison, language),
        "on_training": {arm: result.correct_on_training.mean() for arm, result in comparison.arms.items()},
        "same_as": comparison.same_as,
        "kernel_size": words.kernel_size,
        "claims": judged,
        "topics": list(dict.fromkeys(claim.topic for claim in judged)),
        "verdicts": {
            verdict: language.integer(sum(claim.verdict == verdict for claim in judged))
            for verdict in ("supported", "not_supported", "undecided")
        },
        "differences": list(zip(differences.items(), adjusted, strict=True)),
        "class_names": CLASS_NAMES,
        "data": comparison.data,
        "settings": flat(comparison.settings),
        "environment": _shared({names[arm]: row.metrics["environment"] for arm, row in shown.items()}),
        "digests": comparison.digests,
    }


def _shared(environments: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[Any, str]]:
    """What each part of the environments was: each different value once, with the names of the arms that had it."""
    parts: dict[str, dict[Any, list[str]]] = {}
    for label, environment in environments.items():
        for name, value in environment.items():
            parts.setdefault(name, {}).setdefault(value, []).append(label)
    return {name: {value: ", ".join(had) for value, had in values.items()} for name, values in parts.items()}


def inline(svg: str, name: str, alternative: str) -> Markup:
    """A figure's SVG as a part of the page: in its ink, on its paper, with ids of its own, readable aloud.

    Args:
        svg: as `style.save` writes it.
        name: no other figure of the page has it.
        alternative: what it shows, in words.
    """
    (view,) = re.findall(r'<svg [^>]*?viewBox="([^"]*)"', svg)
    body = svg[svg.index(">", svg.index("<svg ")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = body.replace(style.PAPER, "none").replace(style.INK, "currentColor").replace("xlink:href", "href")
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", body)
    body = body.replace('href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")
    opening = f'<svg viewBox="{view}" role="img" aria-label="{escape(alternative)}">'
    return Markup(opening + re.sub(r"\s*\n\s*", "\n", body).strip())  # noqa: S704 the project drew it
