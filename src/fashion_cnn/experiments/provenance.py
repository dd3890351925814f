"""On which processor dvc.lock was made: reports/provenance.json, kept in git beside it.

python -m fashion_cnn.experiments.provenance, after `dvc repro`: notes it where the results are new, and says so in one
line where a processor of another kind made the committed ones. Outputs of stages can't hold it: the store is shared.
"""

from fashion_cnn.core import process  # first: it makes the process ready for what is imported next

# isort: split
import json
from pathlib import Path
from typing import Any, Final

from fashion_cnn.core.errors import UserError
from fashion_cnn.core.params import FIXED_ARMS
from fashion_cnn.experiments import pipeline
from fashion_cnn.experiments.commands import file_at
from fashion_cnn.experiments.pipeline import Lock
from fashion_cnn.training import processor

LOCK: Final = Path("dvc.lock")
RECORD: Final = Path("reports/provenance.json")


def arms_of(lock: Lock) -> Lock:
    """The arms of a lock that every experiment trains."""
    return {arm: lock[arm] for arm in ("baseline", *FIXED_ARMS) if arm in lock}


def record(arms: Lock) -> dict[str, Any]:
    """What made the results that lie in models/: the processor, each arm's environment and the digest of its folder.

    Raises:
        UserError: an arm's result is not there.
    """
    path = Path("models")
    try:
        metrics = {arm: json.loads((path / arm / "metrics.json").read_text(encoding="utf-8")) for arm in arms}
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: not found; `dvc repro` makes it") from None
    return {
        "processor": processor.name(),
        "environment": {arm: metrics[arm]["environment"] for arm in arms},
        "results": results(arms),
    }


def results(arms: Lock) -> dict[str, str]:
    """Each arm to the digest of its folder, as dvc.lock has it."""
    return {arm: next(iter(entry.outs.values())) for arm, entry in arms.items()}


def difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Say in one line that another machine made the committed results, given both records."""
    kinds = [
        f"{of['processor']} ({next(iter(of['environment'].values()))['instruction_set']}, "
        + " and ".join(dict.fromkeys(str(one["precision"]) for one in of["environment"].values()))
        + f", {next(iter(of['environment'].values()))['threads']} threads)"
        for of in (before, now)
    ]
    if before["environment"] == now["environment"]:
        return (
            f"The committed dvc.lock is from {kinds[0]}, this is {kinds[1]}; what is recorded of them is equal and the "
            "networks are not: docs/reproducibility.md"
        )
    return (
        f"The committed dvc.lock is from {kinds[0]}, this is {kinds[1]}: other last digits of the networks, and so a "
        "changed dvc.lock, are expected"
    )


def main() -> None:
    """Note what made the results; compare with what made the committed ones."""
    now, before = arms_of(pipeline.parse(LOCK.read_text(encoding="utf-8"))), arms_of(pipeline.lock_at("HEAD"))
    noted = json.loads(file_at("HEAD", str(RECORD)) or "{}")
    if noted.get("results") == results(now):
        return
    made = record(now)
    RECORD.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    same_inputs = all(
        arm in before and (entry.deps, entry.params) == (before[arm].deps, before[arm].params)
        for arm, entry in now.items()
    )
    if same_inputs and noted.get("results") == results(before):
        print(difference(noted, made))


if __name__ == "__main__":
    process.run(main)
