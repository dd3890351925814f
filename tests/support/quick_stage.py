"""A stage of a pipeline that has the real one's shape and takes no time: python src/quick_stage.py NAME.

What it writes is planted: a CNN recognises more images the larger its kernel. The folder that STAGE_CONTROL names
records which stages ran, and can hold or fail them by files called hold-NAME and fail-NAME.
"""

import json
import os
import sys
import time
from pathlib import Path

from ruamel.yaml import YAML

from fashion_cnn.core import results
from fashion_cnn.core.outputs import output_folder
from support.results import drawn, result

IMAGES = 2000


def main(stage: str) -> None:
    """Run one stage."""
    control = Path(os.environ["STAGE_CONTROL"])
    parameters = YAML(typ="safe", pure=True).load(Path("params.yaml").read_text(encoding="utf-8"))
    with (control / "ran").open("a", encoding="utf-8") as log:
        log.write(f"{stage} kernel={parameters['kernel']} limit={parameters['data']['limit']}\n")
    print(f"{stage} begins", flush=True)
    while (control / f"hold-{stage}").exists():
        time.sleep(0.02)
    if (control / f"fail-{stage}").exists():
        sys.exit(f"error: {stage} was told to fail")
    if stage == "fetch":
        with output_folder("data/raw") as folder:
            (folder / "images").write_text("images", encoding="utf-8")
    elif stage == "preprocess":
        with output_folder("data/prepared") as folder:
            (folder / "manifest.json").write_text(
                json.dumps({"train": {"images": parameters["data"]["limit"] or 48000}})
            )
    elif stage == "compare":
        Path("reports").mkdir(exist_ok=True)
        Path("reports/metrics.json").write_text(
            json.dumps({"candidate": {"kernel": parameters["kernel"]}}), encoding="utf-8"
        )
    else:
        kernel = {"baseline": None, "cnn3": 3, "cnn5": 5}.get(stage, parameters["kernel"])
        seed = 0 if stage == "baseline" else kernel
        planted = result(drawn(0.7 + 0.025 * (kernel or 0), IMAGES, seed, parameters["train"]["seeds"]), kernel)
        with output_folder(f"models/{stage}") as folder:
            results.save(planted, folder)


main(sys.argv[1])
