"""What a reviewer needs to know of a change, gathered from two commits: locks, parameters and single files. No words.

Nothing is trained, no data set is pulled.
"""

import contextlib
import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from ruamel.yaml import YAML

from fashion_cnn.comparison import statistics
from fashion_cnn.comparison.arms import reused_arm
from fashion_cnn.core import dataset, results
from fashion_cnn.core.dataset import Images
from fashion_cnn.core.errors import UserError
from fashion_cnn.core.fashion_mnist import CLASS_NAMES
from fashion_cnn.core.params import ARMS
from fashion_cnn.core.results import Result
from fashion_cnn.experiments import clone, freshness, pipeline, provenance
from fashion_cnn.experiments.clone import Clone
from fashion_cnn.experiments.commands import git, working_commit
from fashion_cnn.experiments.freshness import Freshness
from fashion_cnn.experiments.pipeline import Difference, Lock
from fashion_cnn.experiments.review import significance
from fashion_cnn.experiments.review.significance import Change
from fashion_cnn.reporting.language import flat

HEADLINE: Final = "reports/metrics.json"
TEST_IMAGES: Final = "data/prepared/test.npz"
OF_AN_ARM: Final = ("metrics.json", "history.csv", "predictions.npz")
SEEDS_STUDY: Final = "reports/studies/five-seeds/study.json"  # what another seed changes
CONFUSIONS_SHOWN: Final = 5


class Side(NamedTuple):
    """One of the two commits.

    Attributes:
        lock: its dvc.lock.
        parameters: dotted names to values: all of params.yaml, and of other files those that the lock names.
        metrics: dotted names to values: the headline; empty where it is not at hand.
        arms: the results that are at hand.
        processors: the processor that each arm was trained on, where the commit has noted it of this very result.
        test_images: the digest of the images that all was measured on; None where it is not known.
    """

    lock: Lock
    parameters: Mapping[str, Any]
    metrics: Mapping[str, Any]
    arms: Mapping[str, Result]
    processors: Mapping[str, str]
    test_images: str | None


class Store(NamedTuple):
    """Whether the store holds every file of a lock.

    Attributes:
        missing: files that it lacks.
        unreachable: why it could not be asked; None where it could.
    """

    missing: Sequence[str]
    unreachable: str | None


class Seeds(NamedTuple):
    """What the committed study of seeds knows.

    Attributes:
        accuracies: of each arm, one a seed.
        other_code: whether its networks were trained by other code than those under review.
        other_parameters: those that decide networks and had other values than those under review.
    """

    accuracies: Mapping[str, Sequence[float]]
    other_code: bool
    other_parameters: Sequence[str]

    def of(self, arm: str) -> Sequence[float] | None:
        """Those of an arm; for a CNN that the study lacks, of the CNN whose accuracies differ most."""
        if arm in self.accuracies:
            return self.accuracies[arm]
        others = [accuracies for other, accuracies in self.accuracies.items() if other != "baseline"]
        return max(others, key=np.std, default=None) if arm != "baseline" else None


class Confusion(NamedTuple):
    """How many images of a class were taken for another, mean over seeds, where that changed."""

    truth: str
    answer: str
    before: float
    after: float


class ArmChange(NamedTuple):
    """What changed for one arm whose predictions are at hand on both sides.

    Attributes:
        accuracy: how it changed; None where every prediction is the same.
        validation: its validation accuracy by epoch before and after, means over seeds.
        confusions: those that changed most.
        newly_right: numbers of the images that the first seed's network recognises now, surest first.
        newly_wrong: numbers of those that it recognised, the answer that it is surest of first.
    """

    accuracy: Change | None
    validation: tuple[Sequence[float], Sequence[float]]
    confusions: Sequence[Confusion]
    newly_right: Sequence[int]
    newly_wrong: Sequence[int]


class Review(NamedTuple):
    """All that is said of a change.

    Attributes:
        base: the commit that the branch left.
        head: the commit under review.
        freshness: of the head's lock.
        store: whether it holds what the head's lock names.
        same_images: whether both sides were measured on the same test images; None where that is not known.
        parameters: that changed, to their values before and after.
        metrics: headline metrics that changed, and every test accuracy, to their values before and after.
        arms: what changed for each arm; empty where nothing is compared.
        not_compared: why no predictions are compared, or those of some arms are not; empty where all are.
        candidate_is: the fixed arm whose result the candidate reuses on both sides, if it does.
        seeds: the study that the band over seeds is taken from; None where there is none.
        causes: the stages that differ.
        environments: of arms that equal inputs gave another output, what each side was trained on.
        edited: code that differs between the two locks, to the files that differ between the commits.
    """

    base: str
    head: str
    freshness: Freshness
    store: Store
    same_images: bool | None
    parameters: Mapping[str, tuple[Any, Any]]
    metrics: Mapping[str, tuple[Any, Any]]
    arms: Mapping[str, ArmChange]
    not_compared: Sequence[str]
    candidate_is: str | None
    seeds: Seeds | None
    causes: Sequence[Difference]
    environments: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]
    edited: Mapping[str, Sequence[str]]

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against trusting the numbers; a lower accuracy does not."""
        return not self.freshness.stale and not self.store.missing and self.same_images is not False


def commits(base: str) -> tuple[str, str]:
    """The commit at which this branch left another one, and the commit that is checked out.

    Raises:
        UserError: there is none of these; the clone is shallow; files differ from what is committed.
    """
    head = working_commit("a review", "--untracked-files=no")
    try:
        of_base = git("rev-parse", "--verify", "--end-of-options", f"{base}^{{commit}}").strip()
    except UserError:
        remedy = "git fetch, or name another: make review BASE=main"
        raise UserError(f"BASE={base}: no such commit here; {remedy}") from None
    try:
        return git("merge-base", of_base, head).strip(), head
    except UserError:
        raise UserError(f"BASE={base}: it shares no commit with this branch") from None


def gather(base: str, head: str) -> tuple[Review, Side, Side, Images | None]:
    """Everything there is to say of a change, both sides, and the test images where they are at hand.

    Args:
        base: the commit to compare with.
        head: the commit under review.
    """
    with clone.temporary(head) as cloned:
        try:
            store = Store(cloned.not_in_store(), None)
        except UserError as error:
            store = Store((), str(error))
        after = _side(cloned, fetch=store.unreachable is None)
        fresh = freshness.examine(cloned)
        images = _test_images(cloned, after.lock)
        seeds = _seeds(cloned.folder, after)
        cloned.checkout(base)
        before = _side(cloned, fetch=store.unreachable is None)

    known = before.test_images and after.test_images
    same_images = before.test_images == after.test_images if known else None
    twin = _twin(before, after)
    arms, not_compared = _arms(before, after, same_images, twin, seeds)
    causes = pipeline.differences(before.lock, after.lock)
    return (
        Review(
            base,
            head,
            fresh,
            store,
            same_images,
            pipeline.changed(before.parameters, after.parameters),
            _metrics(before.metrics, after.metrics) if same_images else {},
            arms,
            not_compared,
            twin,
            seeds,
            causes,
            _environments(causes, before, after),
            {path: _edited(base, head, path) for cause in causes for path in cause.code},
        ),
        before,
        after,
        images,
    )


def _side(cloned: Clone, *, fetch: bool) -> Side:
    """Read the commit that is checked out in the clone."""
    lock = pipeline.lock_at("HEAD", cloned.folder)
    wanted = [HEADLINE, TEST_IMAGES, *(f"models/{arm}/{name}" for arm in ARMS for name in OF_AN_ARM)]
    lacking = [path for path in wanted if pipeline.producers(lock, path) and not _content(cloned, lock, path)]
    if fetch and lacking:
        with contextlib.suppress(UserError):  # what the store has of them was brought
            cloned.fetch(*lacking)
    headline = _content(cloned, lock, HEADLINE)
    file = cloned.folder / pipeline.PARAMETERS
    parameters = flat(YAML(typ="safe").load(file.read_text(encoding="utf-8"))) if file.exists() else {}
    others = {name: value for stage in lock.values() for name, value in stage.params.items() if ":" in name}
    arms = {arm: _result(cloned, lock, arm) for arm in ARMS}
    return Side(
        lock,
        parameters | others,
        flat(json.loads(headline)) if headline else {},
        {arm: result for arm, result in arms.items() if result},
        _processors(cloned.folder / provenance.RECORD, lock),
        pipeline.written(lock, TEST_IMAGES, cloned.read).get(TEST_IMAGES) or _read_digest(lock, TEST_IMAGES),
    )


def _processors(record: Path, lock: Lock) -> dict[str, str]:
    """The processors that `make repro` noted, of those arms whose results are still the noted ones."""
    noted = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    written = provenance.results(provenance.arms_of(lock))
    return {arm: noted["processor"] for arm, digest in noted.get("results", {}).items() if written.get(arm) == digest}


def _content(cloned: Clone, lock: Lock, path: str) -> bytes | None:
    """A file that a stage wrote, where it is at hand."""
    digest = pipeline.written(lock, path, cloned.read).get(path)
    return cloned.read(digest) if digest else None


def _read_digest(lock: Lock, path: str) -> str | None:
    """The digest of a file as a stage read it: known without the list of the folder that it lies in."""
    return next((stage.deps[path] for stage in lock.values() if path in stage.deps), None)


def _result(cloned: Clone, lock: Lock, arm: str) -> Result | None:
    """An arm's result; None where it is not at hand, or of another form than today's."""
    with tempfile.TemporaryDirectory() as folder:
        for name in OF_AN_ARM:
            content = _content(cloned, lock, f"models/{arm}/{name}")
            if content is None:
                return None
            Path(folder, name).write_bytes(content)
        try:
            return results.load(Path(folder))
        except (KeyError, ValueError, TypeError, zipfile.BadZipFile):
            return None


def _test_images(cloned: Clone, lock: Lock) -> Images | None:
    content = _content(cloned, lock, TEST_IMAGES)
    if content is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test.npz").write_bytes(content)
        return dataset.load(Path(folder), "test")


def _seeds(folder: Path, after: Side) -> Seeds | None:
    """Read the study of seeds that the commit in a folder holds; `after` is the side under review."""
    path = folder / SEEDS_STUDY
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        changed = pipeline.changed(found["parameters"], after.parameters)
        return Seeds(
            {network["arm"]: network["accuracies"] for network in found["networks"]},
            found["code"] != pipeline.code(after.lock, ARMS),
            [name for name in changed if name in found["parameters"] and name != "train.seeds"],
        )
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{SEEDS_STUDY}: not what the study writes; run it again: make study NAME=five-seeds") from None


def _twin(before: Side, after: Side) -> str | None:
    """The fixed arm whose result the candidate reuses on both sides, if it does."""
    if not all(arm in side.arms for side in (before, after) for arm in ARMS):
        return None
    twins = [reused_arm(side.arms) for side in (before, after)]
    return twins[0] if twins[0] == twins[1] else None


def _arms(
    before: Side, after: Side, same_images: bool | None, twin: str | None, seeds: Seeds | None
) -> tuple[dict[str, ArmChange], list[str]]:
    """What changed for each arm, and why some or all are not compared."""
    if same_images is False:
        return {}, ["the two sides were measured on other test images"]
    if same_images is None:
        return {}, ["it is not known whether both sides were measured on the same test images"]
    there = [arm for arm in ARMS if arm in before.arms and arm in after.arms]
    lacking = [arm for arm in ARMS if arm not in there]
    if twin:
        there.remove("candidate")
    changed = [arm for arm in there if not _same_predictions(before.arms[arm], after.arms[arm])]
    arms = {
        arm: _arm(
            before.arms[arm], after.arms[arm], seeds.of(arm) if seeds else None, len(changed) if arm in changed else 0
        )
        for arm in there
    }
    return arms, [f"the predictions of {', '.join(lacking)} are not at hand for both sides"] if lacking else []


def _same_predictions(before: Result, after: Result) -> bool:
    return np.array_equal(before.probabilities, after.probabilities)


def _arm(before: Result, after: Result, accuracies: Sequence[float] | None, comparisons: int) -> ArmChange:
    right_before, right_after = before.correct, after.correct
    newly_right = np.flatnonzero(right_after[0] & ~right_before[0])
    newly_wrong = np.flatnonzero(right_before[0] & ~right_after[0])
    sureness = after.probabilities[0].max(-1)
    counts = [
        statistics.confusion_matrix(side.labels, side.probabilities.argmax(-1)) / len(side.probabilities)
        for side in (before, after)
    ]
    moved = np.abs(counts[1] - counts[0])
    np.fill_diagonal(moved, 0)
    largest = np.argsort(-moved, axis=None, kind="stable")[:CONFUSIONS_SHOWN]
    return ArmChange(
        significance.compare(right_before, right_after, accuracies, comparisons) if comparisons else None,
        tuple(side.history["validation_accuracy"].mean(0).tolist() for side in (before, after)),
        [
            Confusion(CLASS_NAMES[truth], CLASS_NAMES[answer], counts[0][truth, answer], counts[1][truth, answer])
            for truth, answer in zip(*np.unravel_index(largest, moved.shape), strict=True)
            if moved[truth, answer]
        ],
        newly_right[np.argsort(-sureness[newly_right], kind="stable")].tolist(),
        newly_wrong[np.argsort(-sureness[newly_wrong], kind="stable")].tolist(),
    )


def _metrics(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    if not before or not after:
        return {}
    always = {name: (before[name], after[name]) for name in after if name.endswith(".test_accuracy") and name in before}
    either = pipeline.changed(before, after) | always
    return {name: either[name] for name in [*before, *(set(after) - set(before))] if name in either}


def _environments(
    causes: Sequence[Difference], before: Side, after: Side
) -> dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]]:
    def environment(side: Side, arm: str) -> dict[str, Any]:
        processor = {"processor": side.processors[arm]} if arm in side.processors else {}
        return processor | side.arms[arm].metrics["environment"]

    unexplained = [cause.stage for cause in causes if cause.unexplained]
    arms = [arm for arm in unexplained if arm in before.arms and arm in after.arms]
    return {arm: (environment(before, arm), environment(after, arm)) for arm in arms}


def _edited(base: str, head: str, path: str) -> list[str]:
    return git("diff", "--name-only", base, head, "--", path).splitlines()
