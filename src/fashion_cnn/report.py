"""The arms side by side, in numbers and words: the headline metrics, a Markdown summary, the HTML report."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from fashion_cnn import analysis
from fashion_cnn.evaluation import evaluate
from fashion_cnn.fashion_mnist import CLASS_NAMES
from fashion_cnn.results import Result

ARMS: Final = ("baseline", "cnn3", "cnn5", "candidate")
NAMES: Final = {"baseline": "Dense baseline", "cnn3": "CNN", "cnn5": "CNN", "candidate": "Candidate"}
DIGITS: Final = 6


class Row(NamedTuple):
    """One arm in the comparison; accuracies are shares, losses are in nats, means over seeds.

    Attributes:
        arm: its name.
        label: its name for people.
        same_as: the fixed arm whose result the candidate reuses, if it does.
        kernel: the size of its kernels; None for the dense network.
        parameters: how many are trained.
        accuracies: on the test images, one a seed.
        accuracy: on the test images.
        loss: on the test images.
        accuracy_spread: standard deviation between seeds; None for one seed.
        loss_spread: likewise.
        accuracy_standard_error: binomial, of one run's accuracy on that many test images.
        difference: of its accuracy to the baseline's.
    """

    arm: str
    label: str
    same_as: str | None
    kernel: int | None
    parameters: int
    accuracies: list[float]
    accuracy: float
    loss: float
    accuracy_spread: float | None
    loss_spread: float | None
    accuracy_standard_error: float
    difference: float


class Picture(NamedTuple):
    """A figure of the report: its file below reports/, its caption, and a text for whoever can't see it."""

    file: str
    caption: str
    alternative: str


RESULT_PICTURES: Final = (
    Picture(
        "comparison/test_accuracy.svg",
        "Test accuracy",
        "One point an arm with one binomial standard error to each side. The table has the numbers.",
    ),
    Picture(
        "comparison/validation_curves.svg",
        "All arms while they train",
        "Validation accuracy and validation loss against the epoch, one line an arm.",
    ),
    Picture(
        "comparison/learning_curves.svg",
        "Training against validation",
        "For each arm, accuracy and loss against the epoch, on the training and on the validation images.",
    ),
    Picture(
        "comparison/confusion_matrices.svg",
        "Which classes are taken for which",
        "For each arm, a 10 by 10 table: the percentage of each true class that is taken for each class.",
    ),
)
DATA_PICTURES: Final = (
    Picture(
        "eda/class_examples.svg",
        "Examples",
        "The first ten training images of each class, one class in each row.",
    ),
    Picture(
        "eda/class_distribution.svg",
        "Images in each class",
        "Bars: images of each class in each split, with a line at an equal share.",
    ),
    Picture(
        "eda/pixel_intensity.svg",
        "Pixel values",
        "Share of pixels with each value from 0 to 255, on a logarithmic scale, one line a split.",
    ),
    Picture(
        "eda/class_images.svg",
        "Mean and standard deviation of each class",
        "For each class, the mean of its training images and the standard deviation of every pixel.",
    ),
    Picture(
        "eda/nearest_distances.svg",
        "Distance to the nearest training image",
        "Histogram: how far each test image is from the nearest training or validation image.",
    ),
    Picture(
        "eda/nearest_pairs.svg",
        "The closest pairs",
        "The ten test images that are closest to a training image, each above that image.",
    ),
)


def size(kernel: int) -> str:
    """Write a kernel's size as people do: 3 by 3 pixels."""
    return f"{kernel}×{kernel}"


def same_arm(results: Mapping[str, Result]) -> str | None:
    """Name the fixed arm whose result the candidate reuses, if it does."""
    candidate = results["candidate"]
    for arm in ("cnn3", "cnn5"):
        fixed = results[arm]
        if fixed.metrics == candidate.metrics and np.array_equal(fixed.probabilities, candidate.probabilities):
            return arm
    return None


def rows(results: Mapping[str, Result]) -> list[Row]:
    """Compare the arms; `results` holds one of each name in ARMS."""
    baseline = results["baseline"]
    return [_row(arm, results[arm], baseline, same_arm(results) if arm == "candidate" else None) for arm in ARMS]


def _row(arm: str, result: Result, baseline: Result, same_as: str | None) -> Row:
    metrics, labels = result.metrics, result.labels
    kernel = metrics.get("kernel")
    seeds = [evaluate(probabilities, labels) for probabilities in result.probabilities]
    several = len(seeds) > 1
    return Row(
        arm=arm,
        label=NAMES[arm] + (f" {size(kernel)}" if kernel else ""),
        same_as=same_as,
        kernel=kernel,
        parameters=metrics["parameters"],
        accuracies=[seed["accuracy"] for seed in seeds],
        accuracy=metrics["test_accuracy"],
        loss=metrics["test_loss"],
        accuracy_spread=float(np.std([seed["accuracy"] for seed in seeds], ddof=1)) if several else None,
        loss_spread=float(np.std([seed["loss"] for seed in seeds], ddof=1)) if several else None,
        accuracy_standard_error=analysis.standard_error(metrics["test_accuracy"], len(labels)),
        difference=metrics["test_accuracy"] - baseline.metrics["test_accuracy"],
    )


def headline(table: list[Row]) -> dict[str, dict[str, Any]]:
    """What `dvc metrics diff` shows in review: a few numbers of every arm."""
    metrics: dict[str, dict[str, Any]] = {
        row.arm: {
            "test_accuracy": round(row.accuracy, DIGITS),
            "test_loss": round(row.loss, DIGITS),
            "parameters": row.parameters,
        }
        for row in table
    }
    accuracy = {row.arm: row.accuracy for row in table}
    candidate = next(row for row in table if row.arm == "candidate")
    metrics["candidate"] = {
        "kernel": candidate.kernel,
        **metrics["candidate"],
        "accuracy_minus_baseline": round(accuracy["candidate"] - accuracy["baseline"], DIGITS),
        "accuracy_minus_cnn3": round(accuracy["candidate"] - accuracy["cnn3"], DIGITS),
    }
    return metrics


def answer(results: Mapping[str, Result]) -> str:
    """Answer the question in one sentence: what the convolution buys, and what the larger kernel changes."""
    baseline, small, large = (results[arm] for arm in ("baseline", "cnn3", "cnn5"))
    small_size, large_size = (size(result.metrics["kernel"]) for result in (small, large))
    convolution, kernel = _difference(small, baseline), _difference(large, small)
    return (
        f"On {len(small.labels):,} test images the CNN with {small_size} kernels gets "
        f"{small.metrics['test_accuracy']:.2%} right, {convolution} than the dense baseline "
        f"({baseline.metrics['test_accuracy']:.2%}); with {large_size} kernels it gets "
        f"{large.metrics['test_accuracy']:.2%} right, {kernel} than with {small_size}."
    )


def _difference(result: Result, other: Result) -> str:
    """Word a difference of two accuracies and its standard error, in percentage points."""
    points = 100 * (result.metrics["test_accuracy"] - other.metrics["test_accuracy"])
    error = 100 * analysis.paired_standard_error(result.probabilities, other.probabilities, result.labels)
    return f"{abs(points):.2f} points {'more' if points >= 0 else 'fewer'} (standard error {error:.2f})"


def caution(table: list[Row], test_images: int) -> str:
    """Say what these numbers can't show, in words that fit the number of seeds."""
    best = max(table, key=lambda row: row.accuracy)
    sampling = (
        f"on {test_images:,} test images an accuracy of {best.accuracy:.4f} has a binomial standard error of "
        f"{best.accuracy_standard_error:.4f}"
    )
    if len(best.accuracies) == 1:
        return (
            f"Every number is one training run: {sampling}, and one seed cannot show how much another would "
            "change it. Set train.seeds to see that."
        )
    return (
        f"Numbers are means over {len(best.accuracies)} seeds, ± is the standard deviation between them; "
        f"all seeds share the test images: {sampling}."
    )


def cells(row: Row) -> dict[str, str]:
    """One line of the table, in words: column name to text."""

    def spread(value: float | None) -> str:
        return "" if value is None else f" ± {value:.4f}"

    return {
        "Arm": row.label + (f" (same as {row.same_as})" if row.same_as else ""),
        "Kernel": size(row.kernel) if row.kernel else "none",
        "Parameters": f"{row.parameters:,}",
        "Test accuracy": f"{row.accuracy:.4f}{spread(row.accuracy_spread)}",
        "Test loss": f"{row.loss:.4f}{spread(row.loss_spread)}",
        "Difference to baseline": "" if row.arm == "baseline" else f"{row.difference:+.4f}",
    }


def markdown(results: Mapping[str, Result]) -> str:
    """The comparison for a pull request or a terminal."""
    table = rows(results)
    lines = [cells(row) for row in table]
    names = list(lines[0])
    body = [names, ["---"] * 2 + ["---:"] * (len(names) - 2), *(list(line.values()) for line in lines)]
    text = "\n".join(f"| {' | '.join(line)} |" for line in body)
    return f"{answer(results)}\n\n{text}\n\n{caution(table, len(results['baseline'].labels))}\n"


def html(
    results: Mapping[str, Result],
    data_metrics: Mapping[str, Any],
    manifest: Mapping[str, Any],
    settings: Mapping[str, Any],
    folders: Mapping[str, Path],
) -> str:
    """The report: one page that opens without network.

    Args:
        results: one of each name in ARMS.
        data_metrics: what the stage eda measured, reports/eda/metrics.json.
        manifest: `dataset.describe`'s dictionary of the prepared data.
        settings: the parameters that made the results, by section.
        folders: where the figures lie: "comparison" and "eda" to a folder each.
    """
    environment = Environment(
        loader=PackageLoader("fashion_cnn"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def embedded(picture: Picture) -> str:
        folder, name = picture.file.split("/")
        return "data:image/svg+xml;base64," + base64.b64encode((folders[folder] / name).read_bytes()).decode()

    table = rows(results)
    return environment.get_template("report.html.jinja").render(
        answer=answer(results),
        caution=caution(table, len(results["baseline"].labels)),
        table=[cells(row) for row in table],
        class_names=CLASS_NAMES,
        classes={
            row.label: analysis.class_accuracy(*results[row.arm][2:]).tolist() for row in table if not row.same_as
        },
        result_pictures=RESULT_PICTURES,
        data_pictures=DATA_PICTURES,
        embedded=embedded,
        data=data_metrics,
        settings=_flat(settings),
        environments=_shared({row.label: results[row.arm].metrics["environment"] for row in table}),
        digests={split: described["sha256"] for split, described in manifest.items()},
    )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as dotted names, as `dvc exp run -S` takes them."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _shared(environments: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Each different environment once, under the names of the arms that were trained in it."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for label, environment in environments.items():
        groups.setdefault(tuple(environment.items()), []).append(label)
    return {", ".join(labels): dict(environment) for environment, labels in groups.items()}
