"""Put the candidate behind a SageMaker endpoint and prove that it answers as the model does.

In an experiment (`dvc exp run`) nothing is deployed: a trial does not take the endpoint over from what serves there.
"""

import json
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import Final

from fashion_cnn.cloud import answering
from fashion_cnn.cloud.params import Cloud, Deploy
from fashion_cnn.cloud.target import connect
from fashion_cnn.cloud.verification import verify
from fashion_cnn.core import dataset, params, results
from fashion_cnn.core.errors import UserError
from fashion_cnn.core.outputs import output_file
from fashion_cnn.serving import bundle

MODELS = Path("models")
CANDIDATE = MODELS / "candidate"
METRICS = Path("reports/metrics.json")
REPORT_PAGE = Path("reports/index.html")
PAGE_IMAGES = 100
# What `dvc exp run` tells its stages, in the workspace, --temp and --queue; `dvc repro` does not.
# Source: dvc/repo/experiments/queue/base.py, `run_env`.
EXPERIMENT: Final = "DVC_EXP_NAME"


def main() -> None:
    """Write reports/deployment.json."""
    chosen = params.load(Cloud).deploy
    if EXPERIMENT in os.environ:
        report_no_deployment(chosen)
        return
    test = dataset.load(Path("data/prepared"), "test")
    expected = results.load(CANDIDATE).probabilities[0]
    if len(test.images) != len(expected):
        raise UserError(
            f"{CANDIDATE}: predictions of {len(expected)} images, data/prepared/test.npz holds {len(test.images)}; "
            "run `dvc repro candidate`"
        )
    for path in (METRICS, REPORT_PAGE):
        if not path.exists():
            raise UserError(f"{path}: not found; `dvc repro compare` makes it")
    metrics = json.loads(METRICS.read_text(encoding="utf-8"))
    measured = metrics["candidate"]
    with output_file("reports/deployment.json") as report, tempfile.TemporaryDirectory() as folder:
        archive = pack(Path(folder), chosen)
        accuracies = {arm: metrics[arm]["test_accuracy"] for arm in ("baseline", *params.FIXED_ARMS)}
        page = bundle.pack(MODELS, accuracies, test, PAGE_IMAGES)
        target = connect(chosen)
        from fashion_cnn.cloud import deployment, preflight  # noqa: PLC0415 the SageMaker SDK takes seconds

        what = {name: measured[name] for name in ("kernel", "test_accuracy")} | {"target": chosen.target}
        if chosen.target == "aws":
            preflight.require(target)
            print(f"deploy: {preflight.costs(target)}", flush=True)
            what |= chosen.aws.model_dump(include={"region", "instance_type", "instances", "serverless"})
        count = chosen.verify_images
        check = partial(verify, images=test.images[:count], expected=expected[:count], tolerance=chosen.tolerance)
        with target.turn:
            deployed = what | deployment.deploy(archive, target, check, answering.labels(measured))
            if chosen.target == "local":
                # The page at the endpoint's address shows the other arms beside the deployed one, and the report.
                for key, body in {bundle.KEY: page, bundle.REPORT_KEY: REPORT_PAGE.read_bytes()}.items():
                    target.session.client("s3").put_object(Bucket=target.hosting.bucket, Key=key, Body=body)
        report.write_text(json.dumps(deployed, indent=2) + "\n", encoding="utf-8")
    agreement = deployed["verification"]
    print(
        f"deploy: {deployed['endpoint']} is in service; the same class for all {agreement['images']} images, "
        f"probabilities within {agreement['max_probability_difference']:.1e}"
    )


def report_no_deployment(chosen: Deploy) -> None:
    """Write a report that names the network and no endpoint, and say how to deploy it."""
    measured = json.loads(METRICS.read_text(encoding="utf-8"))["candidate"]
    what = {name: measured[name] for name in ("kernel", "test_accuracy")} | {"target": chosen.target, "endpoint": None}
    with output_file("reports/deployment.json") as report:
        report.write_text(json.dumps(what, indent=2) + "\n", encoding="utf-8")
    print(
        f"deploy: an experiment deploys nothing, the endpoint {chosen.endpoint} serves what it served; "
        "`make deploy` puts this candidate there"
    )


def pack(folder: Path, chosen: Deploy) -> Path:
    """The candidate as a model archive, whole where the container can't, or had better not, install anything."""
    from fashion_cnn.serving import archive, export  # noqa: PLC0415 they import TensorFlow, which takes seconds

    path, library = folder / "model.tar.gz", None
    if chosen.target == "aws" and (chosen.aws.network_isolation or chosen.aws.serverless):
        library = folder / "library"
        archive.fetch_library(library)
    archive.pack(export.saved_model(CANDIDATE / "model.keras"), path, library)
    return path
