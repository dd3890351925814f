"""Which of the outputs that the clone's committed dvc.lock names the store does not hold."""

import http.client
import json
import subprocess
from typing import Any, NamedTuple

from fashion_cnn.localcloud import connection, s3


class Inventory(NamedTuple):
    """Paths of the outputs that a committed dvc.lock names, and of those that the store lacks or has in part."""

    named: list[str]
    lacking: list[str]


def take(store: s3.Settings) -> Inventory | None:
    """Look for every file of every output in a running store.

    Returns:
        None where the working folder has no committed dvc.lock, or DVC's default remote is another one.

    Raises:
        OSError, http.client.HTTPException: the store does not answer.
    """
    outputs = _committed_outputs()
    remote = connection.default_remote() if outputs else None
    if not remote:
        return None
    files = f"{remote.removeprefix('s3:/')}/files/md5"
    lacking = [path for path, digest in outputs.items() if not _holds(store, files, digest)]
    return Inventory(list(outputs), lacking)


def _committed_outputs() -> dict[str, str]:
    """Paths to digests, in the form of DVC: those of folders end in .dir. What DVC does not cache is not among them."""
    locked = _committed("dvc.lock")
    named = {out["path"]: out["md5"] for stage in locked.values() for out in stage.get("outs", [])}
    options: dict[str, dict[str, Any]] = {}
    for stage in _committed("dvc.yaml").values():
        for entry in stage.get("outs", []):
            options |= entry if isinstance(entry, dict) else {}
    return {path: digest for path, digest in named.items() if options.get(path, {}).get("cache", True)}


def _committed(file: str) -> dict[str, Any]:
    """The stages of a committed file of DVC; none where it is not there."""
    from ruamel.yaml import YAML  # noqa: PLC0415 (no other command needs it)

    shown = subprocess.run(["git", "show", f"HEAD:./{file}"], capture_output=True, check=False)
    return {} if shown.returncode else dict(YAML(typ="safe").load(shown.stdout)["stages"])


def _holds(store: s3.Settings, files: str, digest: str) -> bool:
    """Whether the store has a file, or a folder with all files in it."""
    path = f"{files}/{digest[:2]}/{digest[2:]}"
    if not digest.endswith(".dir"):
        return s3.request("HEAD", store, path)[0] == http.client.OK
    status, listed = s3.request("GET", store, path)
    return status == http.client.OK and all(_holds(store, files, file["md5"]) for file in json.loads(listed))
