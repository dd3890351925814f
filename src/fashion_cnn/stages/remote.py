"""Train one arm as a SageMaker training job: `train` elsewhere, with the same files in the same place."""

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Final

import fashion_cnn
from fashion_cnn.cloud.params import Where
from fashion_cnn.cloud.target import connect
from fashion_cnn.core import params
from fashion_cnn.core.outputs import output_folder
from fashion_cnn.core.params import Params
from fashion_cnn.localcloud import connection
from fashion_cnn.localcloud.daemon import Daemon
from fashion_cnn.stages import job, train

CODE: Final = ("__init__.py", "core/*.py", "training/*.py", "stages/__init__.py", "stages/train.py")


def main() -> None:
    """Write models/<arm>/."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arm", choices=params.ARMS)
    arm = parser.parse_args().arm
    settings, where = params.load(Params), params.load(Where).cloud
    if arm == "candidate" and settings.arms.with_kernel(settings.kernel):
        train.main()  # it copies what a job trained
        return
    train.check_versions()
    target = connect(where.place)
    target = target._replace(turn=Daemon(target.folder, "training").lock)
    from fashion_cnn.cloud import costs, training, training_on_aws  # noqa: PLC0415 the SageMaker SDK takes seconds

    stored = connection.remote_url() if where.target == "local" else None
    if where.target == "aws":
        jobs = costs.jobs_of(where, settings.train.seeds)
        training_on_aws.require(where, target, jobs)
        training.say(f"{arm}: {costs.at_most(where, jobs)}")

    with output_folder(train.MODELS / arm) as folder, tempfile.TemporaryDirectory() as code:
        source = Path(code)
        pack(settings, source)
        if where.target == "aws":
            training_on_aws.write_requirements(source)
        wanted = training.plan(arm, settings, where, target, source=source, remote=stored)
        training.bring(wanted, folder, where, target, settings.train.seeds)


def pack(settings: Params, folder: Path) -> None:
    """Make a folder of what a job runs: the entry script, the parameters, and the code that a trained stage names."""
    package = Path(fashion_cnn.__file__).parent
    for pattern in CODE:
        for path in package.glob(pattern):
            copy = folder / package.name / path.relative_to(package)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    shutil.copy(Path(job.__file__), folder / "train.py")
    shutil.copy("pyproject.toml", folder)
    (folder / "params.yaml").write_text(json.dumps(settings.model_dump(mode="json")), encoding="utf-8")  # JSON is YAML
