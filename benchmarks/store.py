"""How fast `dvc push` and `dvc pull` move data to and from the embedded S3, beside one plain S3 client."""

import argparse
import os
import shutil
import time
from pathlib import Path
from typing import Any, Final

import boto3

from benchmarks import workspace
from benchmarks.report import spread
from benchmarks.workspace import Workspace
from fashion_cnn.localcloud import s3

FILES: Final = 8  # DVC moves several at once
MEGABYTE: Final = 10**6


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Push and pull new random data each round, in a DVC repository and a store of their own."""
    size, rounds = (4, 1) if options.quick else (200, 3)
    size_bytes = size * MEGABYTE // FILES
    seconds: dict[str, list[float]] = {}
    with workspace.empty() as repository:
        repository.run("dvc", "init", "--quiet")
        repository.run("dvc", "remote", "add", "--default", "store", "s3://fashion-cnn/dvc")
        workspace.connect(repository)
        settings = s3.start(s3.store(Path(repository.environment["FASHION_CNN_CLOUD"])))
        client = boto3.client(
            "s3",
            region_name=s3.REGION,
            endpoint_url=settings.endpoint,
            aws_access_key_id=settings.access_key,
            aws_secret_access_key=settings.secret_key,
        )
        folder = repository.folder / "random"
        for number in range(rounds):
            print(f"store: round {number + 1}", flush=True)
            folder.mkdir()
            for file in range(FILES):
                (folder / f"{file}").write_bytes(os.urandom(size_bytes))
            repository.run("dvc", "add", "--quiet", "random")
            book(seconds, "dvc push", lambda: repository.run("dvc", "push"))
            book(seconds, "dvc push, nothing to do", lambda: repository.run("dvc", "push"))
            forget(repository)
            book(seconds, "dvc pull", lambda: repository.run("dvc", "pull"))
            book(seconds, "boto3, upload", lambda: [
                client.upload_file(str(path), s3.BUCKET, f"plain/{path.name}") for path in sorted(folder.iterdir())
            ])  # fmt: skip
            book(seconds, "boto3, download", lambda: [
                client.download_file(s3.BUCKET, f"plain/{name}", str(repository.folder / f"{name}.bin"))
                for name in range(FILES)
            ])  # fmt: skip
            forget(repository)
    moved = [name for name in seconds if "nothing" not in name]
    return {
        "megabytes": size,
        "files": FILES,
        "megabytes_a_second": {name: spread([size / value for value in seconds[name]]) for name in moved},
        "seconds": {name: spread(values) for name, values in seconds.items()},
    }


def book(seconds: dict[str, list[float]], name: str, work: Any) -> None:
    """Do it and note how long it took."""
    started = time.perf_counter()
    work()
    seconds.setdefault(name, []).append(time.perf_counter() - started)


def forget(repository: Workspace) -> None:
    """Remove the data from the folder and from DVC's cache."""
    shutil.rmtree(repository.folder / "random")
    shutil.rmtree(repository.folder / ".dvc" / "cache")
