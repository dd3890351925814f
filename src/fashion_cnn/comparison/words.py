"""The comparison in words: names, the answer, cautions and judged claims, in either language."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from fashion_cnn.comparison import arms, claims, figures, statistics
from fashion_cnn.comparison.arms import Comparison, Row
from fashion_cnn.comparison.claims import Claim, Measure
from fashion_cnn.core.fashion_mnist import CLASS_NAMES, CLASSES, IMAGE_SIZE
from fashion_cnn.core.params import FIXED_ARMS
from fashion_cnn.reporting.language import Language

ONE_SIDED_CLASSES: Final = 3  # those that are named: the data set's shoes
FEW_IMAGES: Final = 2000  # below, a difference of a point is within the interval of any two networks


def kernel_size(kernel: int | None) -> str:
    """Write a kernel's size as people do: 3 by 3 pixels; nothing for a network without kernels."""
    return f"{kernel}×{kernel}" if kernel else ""


def labels(rows: Mapping[str, Row], language: Language, where: str = "arms") -> dict[str, str]:
    """The name of each arm for people; `where` is arms, or arms.inline for its name within a sentence."""
    kinds = {arm: "cnn" if arm.startswith("cnn") else arm for arm in rows}
    return {arm: language.text(f"{where}.{kinds[arm]}", size=kernel_size(row.kernel)) for arm, row in rows.items()}


def answer(comparison: Comparison, language: Language) -> str:
    """Answer the question in one sentence, as the verdicts go: what the convolution buys, what the kernel changes."""
    verdicts = {claim.name: claim.verdict for claim in comparison.claims}
    if comparison.settings["data"]["permute_pixels"]:
        key = f"answer.permuted.{verdicts['spatial_structure']}"
    else:
        key = f"answer.{verdicts['cnn_beats_dense']}"
    small, large, dense = (comparison.rows[arm] for arm in ("cnn3", "cnn5", "baseline"))
    beginning = language.text(
        key,
        small=kernel_size(small.kernel),
        accuracy=language.percent(small.accuracy, 2),
        baseline=language.percent(dense.accuracy, 2),
        images=language.integer(len(comparison.arms["cnn3"].labels)),
        magnitude=language.points(abs(small.accuracy - dense.accuracy), signed=False),
    )
    return language.text(
        f"answer.kernel.{verdicts['kernel']}",
        beginning=beginning,
        large=kernel_size(large.kernel),
        difference=language.points(large.accuracy - small.accuracy),
    )


def cost(comparison: Comparison, language: Language) -> str:
    """Say what the convolutions cost: how many times the dense network's parameters and multiply-adds."""

    def times(arm: str, count: str) -> str:
        ratio = comparison.rows[arm].metrics[count] / comparison.rows["baseline"].metrics[count]
        return language.decimal(ratio, 1 if ratio < 10 else 0)

    ratios = {f"{arm}_{count}": times(arm, count) for arm in FIXED_ARMS for count in ("parameters", "multiply_adds")}
    sizes = {f"{arm}_size": kernel_size(comparison.rows[arm].kernel) for arm in FIXED_ARMS}
    return language.text("answer.cost", **ratios, **sizes)


def caution(comparison: Comparison, language: Language) -> str:
    """Say what these numbers can't show, in words that fit the number of seeds and of images."""
    constant = constants(comparison, language)
    seeds, images = comparison.arms["cnn3"].probabilities.shape[:2]
    text = language.text("caution.one_seed" if seeds == 1 else "caution.several", **constant)
    return f"{text} {language.text('caution.small', **constant)}" if images < FEW_IMAGES else text


class Step(NamedTuple):
    """A layer in words: its kind, and what there is to say of it."""

    kind: str
    details: Sequence[str]


def architecture(row: Row, settings: Mapping[str, Any], language: Language) -> list[Step]:
    """The layers of a network in the order in which an image passes through them."""
    size, shared = kernel_size(row.kernel), settings["cnn"]
    dense = settings["cnn" if row.kernel else "baseline"]
    lines = [[language.text("layers.image", size=kernel_size(IMAGE_SIZE))]]
    for layer in row.metrics["layers"]:
        name, _, number = layer["name"].partition("_")
        values = {
            "filters": language.integer(shared["filters"][int(number) - 1]) if number else "",
            "units": language.integer(dense["units"]),
            "dropout": language.percent(dense["dropout"]),
            "classes": language.integer(CLASSES),
        }
        costs = [
            language.text(f"layers.{count}", count=language.integer(layer[count]))
            for count in ("parameters", "multiply_adds")
        ]
        lines.append([language.text(f"layers.{name}", size=size, **values), *costs])
        if number:
            lines.append([language.text("layers.pooling", size=kernel_size(shared["pool"]))])
    return [Step(kind, details) for kind, *details in ("\n".join(of_a_layer).split("\n") for of_a_layer in lines)]


def mirrored_classes(comparison: Comparison, language: Language) -> list[str]:
    """The classes that mirroring costs the 3×3 network most, and what their mirror images are mistaken for."""
    row, result = comparison.rows["cnn3"], comparison.arms["cnn3"]
    answers = statistics.confusion_matrix(result.labels, result.answers_when_mirrored)
    np.fill_diagonal(answers, 0)
    lost = np.nan_to_num(row.class_accuracy - row.class_mirrored)
    return [
        language.text(
            "mirroring.of_class",
            name=CLASS_NAMES[at],
            before=language.percent(row.class_accuracy[at], 1),
            after=language.percent(row.class_mirrored[at], 1),
            wrong=CLASS_NAMES[answers[at].argmax()],
        )
        for at in np.argsort(-lost, kind="stable")[:ONE_SIDED_CLASSES]
    ]


def one_sidedness(comparison: Comparison, language: Language) -> str:
    """Say how one-sided the training images of the most one-sided classes are."""
    shares = sorted(comparison.data["one_sided"].items(), key=lambda item: -item[1])
    most, others = shares[:ONE_SIDED_CLASSES], shares[ONE_SIDED_CLASSES:]
    return language.text(
        "mirroring.one_sided",
        facts=", ".join(f"{name} {language.percent(share, 1)}" for name, share in most),
        others=language.percent(max((share for _, share in others), default=0.0), 1),
    )


def constants(comparison: Comparison, language: Language) -> dict[str, str]:
    """What texts name whatever the results: the numbers of the rule, of what is measured and of what is shown."""
    result, names = comparison.arms["cnn3"], labels(comparison.rows, language, "arms.inline")
    seeds = len(result.probabilities)
    return {
        "cnn3": names["cnn3"],
        "confidence": language.percent(claims.CONFIDENCE, 1),
        "differing": language.integer(statistics.FEWEST_DIFFERING),
        "family": language.integer(len(claims.FAMILY)),
        "farthest": language.integer(result.correct_when_shifted.shape[2] - 1),
        "fewest": language.integer(claims.FEWEST_IMAGES),
        "images": language.integer(len(result.labels)),
        "invariant": language.points(claims.INVARIANT, 0, signed=False),
        "least": language.decimal(2.0 ** (1 - seeds), 3),
        "negligible": language.points(claims.NEGLIGIBLE, 1, signed=False),
        "rare": language.percent(figures.RARE, 1),
        "resamples": language.integer(statistics.RESAMPLES),
        "seeds": language.integer(seeds),
        "shift": language.integer(claims.SHIFT),
        "shifted": language.integer(result.correct_when_shifted.shape[3]),
        "shown": language.integer(arms.DISAGREEMENTS_SHOWN),
        "training": language.integer(result.correct_on_training.shape[1]),
    }


class ClaimInWords(NamedTuple):
    """A claim in words."""

    name: str
    topic: str
    verdict: str
    claim: str
    criterion: str
    meaning: str
    evidence: list[str]
    command: str | None


def judged(claim: Claim, names: Mapping[str, str], constant: Mapping[str, str], language: Language) -> ClaimInWords:
    """Word a judged claim; `names` are those of the arms within a sentence, `constant` is what `constants` gives."""
    key = f"claims.{claim.name}"

    def say(key: str, **values: str) -> str:
        return language.text(key, **constant, **values)

    return ClaimInWords(
        claim.name,
        claim.topic,
        claim.verdict,
        say(f"{key}.claim"),
        say("claims.criterion", criterion=say(f"{key}.criterion")),
        say(f"reasons.{claim.reason}" if claim.reason else f"{key}.{claim.verdict}"),
        [_measured(measure, names, constant, language) for measure in claim.evidence],
        claim.command,
    )


def _measured(measure: Measure, names: Mapping[str, str], constant: Mapping[str, str], language: Language) -> str:
    """A number in words, with its intervals."""
    first, second = names[measure.arms[0]], names[measure.arms[-1]]
    what = language.text(f"measures.{measure.name}", first=first, second=second, **constant)
    signed = measure.name.endswith("difference")
    if isinstance(measure.value, int):
        return f"{what}: {language.decimal(measure.value, 0, signed=signed)}"
    number = language.text("measures.points", value=language.points(measure.value, signed=signed))
    if measure.estimate is None:
        return f"{what}: {number}"
    found = [("test", measure.estimate.test_interval), ("seeds", measure.estimate.seed_interval)]
    intervals = [
        language.text(
            f"measures.{kind}",
            low=language.points(interval.low, signed=signed),
            high=language.points(interval.high, signed=signed),
        )
        for kind, interval in found
        if interval
    ]
    return f"{what}: {number} ({'; '.join(intervals)})"
