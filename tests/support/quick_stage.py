"""A stage of a pipeline that has the real one's shape and takes no time: python src/quick_stage.py NAME.

What it writes as a network's result is planted in the repository. The folder that STAGE_CONTROL names records which
stages ran and where, and can hold or fail them by files called hold-NAME and fail-NAME. It needs the standard library
alone, so that it starts fast.
"""

import json
import os
import re
import shutil
import sys
import time
from pathlib import Path


def main(stage: str) -> None:
    """Run one stage."""
    control = Path(os.environ["STAGE_CONTROL"])
    parameters = Path("params.yaml").read_text(encoding="utf-8")
    kernel, limit = (re.search(rf"^ *{name}: *(\d+)", parameters, re.MULTILINE) for name in ("kernel", "limit"))
    assert kernel
    with (control / "ran").open("a", encoding="utf-8") as log:
        log.write(f"{stage} kernel={kernel[1]} limit={limit[1] if limit else None}\n")
    print(f"{stage} begins", flush=True)
    if where := os.environ.get("FASHION_CNN_TRAIN"):
        with (control / "where").open("a", encoding="utf-8") as log:
            log.write(f"{where}\n")
        print("a job: its reason; trying again, 2 left", flush=True)
    while (control / f"hold-{stage}").exists():
        time.sleep(0.02)
    if (control / f"fail-{stage}").exists():
        sys.exit(f"error: {stage} was told to fail")
    if stage == "fetch":
        write("data/raw/images", "images")
    elif stage == "preprocess":
        write("data/prepared/manifest.json", json.dumps({"train": {"images": int(limit[1]) if limit else 48000}}))
    elif stage == "compare":
        write("reports/metrics.json", json.dumps({"candidate": {"kernel": int(kernel[1])}}))
    else:
        planted = {"baseline": "dense", "cnn3": "3", "cnn5": "5"}.get(stage, kernel[1])
        shutil.copytree(f"planted/{planted}", f"models/{stage}")


def write(path: str, text: str) -> None:
    """Write a file, and the folder that it lies in."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding="utf-8")


main(sys.argv[1])
