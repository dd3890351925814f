"""Running the points of a study: a few at a time, each a `dvc exp run` in a clone of its own.

Not DVC's queue: its workers outlive Ctrl-C, stopping it leaves stages running, and two experiments of one name both
end as a success. Here a run is a child of this process, and its result is what git and the cache then have.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final, NamedTuple

from ruamel.yaml import YAML

from fashion_cnn.cloud.params import TRYING_AGAIN, Training
from fashion_cnn.core.errors import UserError
from fashion_cnn.core.params import ARMS, Params
from fashion_cnn.experiments import freshness, pipeline
from fashion_cnn.experiments.commands import git
from fashion_cnn.experiments.pipeline import Stage
from fashion_cnn.experiments.studies import folders, recorded
from fashion_cnn.experiments.studies.definitions import Point
from fashion_cnn.experiments.studies.recorded import METRICS, TARGET, Experiment

ATTEMPTS: Final = 3
LINES_SHOWN: Final = 8  # of the log of a run that failed
POLL_SECONDS: Final = 0.5
REPORT_SECONDS: Final = 60
LOCK_MILLISECONDS: Final = 60_000  # that git waits for whoever holds its references


def stages() -> dict[str, Stage]:
    """The stages that lead to a point's target."""
    return pipeline.stages(pipeline.described(), TARGET)


def result(
    point: Point,
    commit: str,
    of_pipeline: Mapping[str, Stage],
    look: Callable[[Experiment, Sequence[str]], object] = recorded.bring,
) -> Experiment | None:
    """The experiment that holds a point's result; None where there is none whose metrics can be read.

    Args:
        point: of a study.
        commit: the baseline.
        of_pipeline: that lead to the target.
        look: `recorded.files` asks the cache alone, not the store.

    Raises:
        UserError: an experiment of that name is something else.
    """
    found = recorded.find(point, commit, of_pipeline)
    return found if found and look(found, [METRICS]) else None


class Run(NamedTuple):
    """A point that runs: in which claimed folder, as which process, since when (monotonic seconds)."""

    point: Point
    folder: Path
    process: subprocess.Popen[bytes]
    since: float

    @property
    def log(self) -> Path:
        """What DVC and the stages print."""
        return self.folder / "log"


@dataclass
class Call:
    """One call of `run`, as far as it got.

    Attributes:
        commit: the baseline.
        jobs: how many points run at once.
        stages: that lead to the target.
        waiting: points without a result that do not run.
        finished: fingerprints of stages whose result is there.
        pull: whether the store can give results.
        lost: stages whose committed outputs are neither in the cache nor in the store.
        runs: that are going on.
        tries: of each point that was started.
        seconds: that each run took which succeeded.
        failed: points that failed too often.
        cloud: what training jobs run on, where the points' networks are trained by such.
    """

    commit: str
    jobs: int
    stages: Mapping[str, Stage]
    waiting: list[Point]
    finished: set[str] = field(default_factory=set)
    pull: bool = False
    lost: set[str] = field(default_factory=set)
    runs: list[Run] = field(default_factory=list)
    tries: dict[str, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    cloud: Training | None = None

    @property
    def attempts(self) -> int:
        """How often a point is tried. The jobs that its stages start were each tried several times already."""
        return 1 if self.cloud else ATTEMPTS

    def makes(self, point: Point) -> set[str]:
        """Fingerprints of the stages of a point."""
        return set(pipeline.fingerprints(self.stages, point.parameters).values())


def run(points: Sequence[Point], commit: str, jobs: int, cloud: Training | None = None) -> None:
    """Give every point a result: run those that have none, a failed one again, at most `Call.attempts` times.

    Args:
        points: of a study.
        commit: the baseline.
        jobs: how many to run at once.
        cloud: what training jobs run on, where they train the networks.

    Raises:
        UserError: AWS is not ready, and nothing was started; a point failed each time; the others have a result.
        KeyboardInterrupt: the person or the system stopped it; nothing that it started is left.
    """
    of_pipeline = stages()
    waiting = [one for one in points if result(one, commit, of_pipeline) is None]
    call = Call(commit, jobs, of_pipeline, waiting, cloud=cloud)
    print(f"{len(points) - len(call.waiting)} of {len(points)} points have a result", flush=True)
    if not call.waiting:
        return
    with folders.watched(), _stopping():
        prepare(call, [point for point in points if point not in call.waiting])
        if cloud and cloud.target == "aws":
            _agree(call, cloud)
        reported = time.monotonic()
        alone = True
        while call.waiting or call.runs:
            for ended in [one for one in call.runs if one.process.poll() is not None]:
                finish(call, ended)
            for point in call.waiting[:]:
                if len(call.runs) < jobs:
                    start(call, point)
            if call.waiting and not call.runs and alone:
                alone = False
                print("waiting for another call, which makes what this one needs", flush=True)
            if time.monotonic() - reported > REPORT_SECONDS:
                reported = time.monotonic()
                print(f"running: {', '.join(map(_stage, call.runs)) or 'another call'}{_left(call)}", flush=True)
            time.sleep(POLL_SECONDS)
    if call.failed:
        raise UserError(f"no result of {', '.join(call.failed)}; the reasons stand above")


@contextmanager
def _stopping() -> Iterator[None]:
    """Within, being asked to end is an interruption like Ctrl-C; at the end, what this process started is removed."""

    def on_any(handler: signal.Handlers | Callable[[int, FrameType | None], None]) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, handler)

    on_any(signal.default_int_handler)
    try:
        yield
    finally:
        on_any(signal.SIG_IGN)  # a second Ctrl-C would leave jobs behind
        folders.remove_all_of(os.getpid())
        on_any(signal.default_int_handler)


def prepare(call: Call, with_result: Sequence[Point]) -> None:
    """Bring what the commit itself has from the store, and note which stages need not run again."""
    for point in with_result:
        call.finished |= call.makes(point)
    committed = Experiment("", call.commit, pipeline.lock_at(call.commit))

    def here(name: str) -> bool:
        return name in committed.lock and bool(recorded.files(committed, committed.lock[name].outs))

    with folders.temporary(call.commit) as cloned:
        fresh = freshness.examine(cloned)
        try:
            cloned.ask_store(METRICS)
            call.pull = True
            if not all(map(here, call.stages)):
                cloned.fetch("--with-deps", TARGET)
        except UserError as error:
            print(f"from the store: {error}; what is not in the cache is computed", flush=True)
    fingerprints = pipeline.fingerprints(call.stages, recorded.parameters(call.commit))
    made = [name for name in call.stages if here(name)]
    call.finished |= {fingerprints[name] for name in made if name not in (*fresh.stale, *fresh.downstream)}
    call.lost = {name for name in call.stages if name in committed.lock and name not in made}


def _agree(call: Call, cloud: Training) -> None:
    """Look whether AWS is ready and say what the points may cost, before a job starts; each stage does so, too."""
    from fashion_cnn.cloud import costs, training_on_aws  # noqa: PLC0415 the SageMaker SDK takes seconds
    from fashion_cnn.cloud.target import connect  # noqa: PLC0415

    new: dict[str, int] = {}
    for point in call.waiting:
        settings, made = Params.model_validate(point.parameters), pipeline.fingerprints(call.stages, point.parameters)
        reused = {"candidate"} if settings.arms.with_kernel(settings.kernel) else set()
        for arm in {*ARMS} - reused:
            if made[arm] not in call.finished:
                new[made[arm]] = costs.jobs_of(cloud, settings.train.seeds)
    if jobs := sum(new.values()):
        training_on_aws.require(cloud, connect(cloud.place), jobs)
        print(costs.at_most(cloud, jobs), flush=True)


def start(call: Call, point: Point) -> None:
    """Start a point, unless what is new in it is being made already: then it waits, and finds it made."""
    new = call.makes(point) - call.finished
    with folders.lock():
        folders.sweep()
        others = folders.owners()
        if point.experiment in others or any(new.intersection(other.get("new", [])) for other in others.values()):
            return
        call.waiting.remove(point)
        if result(point, call.commit, call.stages, recorded.files):
            call.finished |= call.makes(point)
            print(f"{point.experiment}: another call has made it", flush=True)
            return
        folder = folders.claim(point.experiment, new=sorted(new))
    cloned = folders.clone_into(folder, call.commit)
    _forget(call.lost, cloned.folder / pipeline.LOCK)
    changes = [f"--set-param={name}={_hydra(value)}" for name, value in point.changes.items()]
    command = [sys.executable, "-m", "dvc", "exp", "run", "--name", point.experiment, *changes, TARGET]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command + (["--pull"] if call.pull else []),
            cwd=cloned.folder,
            env=cloned.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for this process, which then stops its jobs
        )
    call.tries[point.name] = call.tries.get(point.name, 0) + 1
    call.runs.append(Run(point, folder, process, time.monotonic()))
    print(f"{point.experiment}: started", flush=True)


def _forget(lost: set[str], lock: Path) -> None:
    """Take stages out of a dvc.lock: DVC may stop at the list of a folder's files that nobody has any more."""
    if lost:
        locked = YAML(typ="safe").load(lock.read_text(encoding="utf-8"))
        locked["stages"] = {name: stage for name, stage in locked["stages"].items() if name not in lost}
        with lock.open("w", encoding="utf-8") as file:
            YAML(pure=True).dump(locked, file)


def _hydra(value: object) -> str:
    """A value as Hydra's grammar has it, in which `dvc exp run --set-param` reads: JSON without spaces."""
    return json.dumps(value, separators=(",", ":"))


def finish(call: Call, ended: Run) -> None:
    """Take over the result of a run that ended; without one, say why, and let the point wait for another try."""
    call.runs.remove(ended)
    point, seconds = ended.point, time.monotonic() - ended.since
    for line in said(ended.log):
        if TRYING_AGAIN in line:
            print(f"{point.experiment}: {line.strip()}", flush=True)
    if ended.process.returncode == 0 and _collected(call, ended):
        call.finished |= call.makes(point)
        call.seconds.append(seconds)
        ran = ", ".join(stages_run(ended.log)) or "nothing"
        print(f"{point.experiment}: done in {_spoken(seconds)}, ran {ran}{_left(call)}", flush=True)
    else:
        tries, status = call.tries[point.name], ended.process.returncode
        how = f"was killed ({signal.Signals(-status).name})" if status < 0 else f"failed (status {status})"
        print(f"{point.experiment}: try {tries} of {call.attempts} {how}; the end of its log:", flush=True)
        print("".join(f"    {line}\n" for line in said(ended.log)[-LINES_SHOWN:]), end="", flush=True)
        if tries < call.attempts:
            call.waiting.insert(0, point)
        else:
            call.failed.append(point.experiment)
    folders.remove(ended.folder)


def _collected(call: Call, ended: Run) -> bool:
    """Bring the experiment's reference from the clone, and look whether it is the point's result."""
    reference = recorded.reference(call.commit, ended.point.experiment)
    wait = [f"core.{of}={LOCK_MILLISECONDS}" for of in ("filesRefLockTimeout", "packedRefsTimeout")]
    options = [word for setting in (*wait, "gc.auto=0", "maintenance.auto=false") for word in ("-c", setting)]
    quietly = ["--quiet", "--no-tags", "--no-write-fetch-head"]
    try:
        git(*options, "fetch", *quietly, str(ended.folder / "clone"), f"+{reference}:{reference}")
    except UserError as error:
        print(f"{ended.point.experiment}: {error}", flush=True)
        return False
    return result(ended.point, call.commit, call.stages, recorded.files) is not None


def _left(call: Call) -> str:
    """How long the rest will take, by the mean of what ran so far; nothing where a run takes longer than that."""
    to_go = len(call.waiting) + len(call.runs)
    each = sum(call.seconds) / len(call.seconds) if call.seconds else 0
    spent = [time.monotonic() - one.since for one in call.runs]
    if not to_go or max(spent, default=0) >= each:
        return f"; {to_go} to go" if to_go else ""
    return f"; {to_go} to go, about {_spoken((to_go * each - sum(spent)) / min(call.jobs, to_go))} left"


def _spoken(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _stage(one: Run) -> str:
    """A run and the stage that it is in."""
    return f"{one.point.experiment} ({current_stage(one.log)})"


def current_stage(log: Path) -> str:
    """The stage that a run is in."""
    return (stages_run(log) or ["preparing"])[-1]


def stages_run(log: Path) -> list[str]:
    """The stages that a run's log says were run; the others' results came from the cache."""
    found = (re.match(r"Running stage '(.*)'", line) for line in said(log))
    return [match[1] for match in found if match]


def said(log: Path) -> list[str]:
    """The lines of a log that say anything; none where it is not there yet."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [line.rstrip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
