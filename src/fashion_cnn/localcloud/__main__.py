"""Commands: python -m fashion_cnn.localcloud up | down | status | connect | credentials."""

from fashion_cnn.core import process  # first: it makes the process ready for what is imported next

# isort: split
import argparse
import http.client
import json
import shutil
import sys
from pathlib import Path

from fashion_cnn.core.errors import UserError
from fashion_cnn.localcloud import connection, daemon, inventory, s3, sagemaker
from fashion_cnn.localcloud.daemon import Daemon

NOT_RUNNING = 3  # as the Linux Standard Base has it for `status`


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Returns:
        0; 1 for a mistake of the user's; 3 where `status` finds the store stopped.
    """
    options = _parser().parse_args(arguments)
    try:
        store = s3.store(options.folder and options.folder.absolute())
        match options.command:
            case "up":
                s3.settings(store, options.port)
                print(f"S3 answers at {s3.start(store).endpoint}")
                if sagemaker.endpoints(store):
                    print(f"SageMaker answers at {sagemaker.start(store)}")
            case "down":
                print("SageMaker stopped" if sagemaker.stop(store) else "SageMaker was not running")
                print("S3 stopped" if s3.stop(store) else "S3 was not running")
            case "status":
                return status(store)
            case "connect":
                connect(store, options.port)
            case "credentials":
                credentials(store, options.port, with_sagemaker=options.sagemaker)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fashion_cnn.localcloud",
        description="The embedded S3 and SageMaker, on loopback only. They start by themselves when needed.",
        epilog=f"{connection.FOLDER_VARIABLE} names the folder of its data and keys, shared by all clones.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, explanation in {
        "up": "start S3, and SageMaker where it has endpoints",
        "down": "stop both; their data stays",
        "status": f"where they are, and whether they run: exit status 0, or {NOT_RUNNING} where S3 does not",
        "connect": "point this clone's DVC remote at it",
        "credentials": "start it and print its keys; what DVC calls (an AWS credential_process)",
    }.items():
        command = commands.add_parser(name, help=explanation, description=explanation)
        command.add_argument("--folder", type=Path, help=f"the embedded cloud's folder ({connection.FOLDER_VARIABLE})")
        if name in ("up", "connect"):
            command.add_argument("--port", type=int, help=f"S3 port from now on, first {s3.DEFAULT_PORT}")
        if name == "credentials":
            command.add_argument("--port", type=int, help="the port that the caller expects")
            command.add_argument("--sagemaker", action="store_true", help="start SageMaker too")
    return parser


def status(store: Daemon) -> int:
    """Print where the store is, whether it runs, and what it lacks."""
    process, stopped = daemon.find(store), "stopped; it starts by itself when needed"
    print(f"S3       {f'running, pid {process.pid}' if process else stopped}")
    if (store.folder / "s3.json").exists():
        print(f"address  {s3.settings(store).endpoint}")
    print(f"folder   {store.folder}")
    size = f"{s3.bytes_on_disk(store) / 1e6:.1f} MB"
    print(f"size     {size}; all clones share it, so read docs/store.md before `dvc gc --cloud`")
    if store.folder.exists():
        disk = shutil.disk_usage(store.folder)
        print(f"disk     {disk.free / 1e9:.1f} GB free of {disk.total / 1e9:.1f} GB; below 1 % it takes no more data")
    if process:
        print_inventory(store)
    server = daemon.find(sagemaker.server(store))
    where = f"running, pid {server.pid}, at {sagemaker.endpoint(s3.settings(store))}" if server else stopped
    print(f"SageMaker  {where}")
    for name, state in sagemaker.endpoints(store).items():
        print(f"endpoint {name}: {state if server else 'comes back when SageMaker starts'}")
    return 0 if process else NOT_RUNNING


def print_inventory(store: Daemon) -> None:
    """Print whether the running store holds what the committed dvc.lock of the clone in the working folder names."""
    try:
        found = inventory.take(s3.settings(store))
    except (OSError, http.client.HTTPException) as error:
        print(f"results  unknown, because S3 does not answer ({error}); its log: {store.log}")
        return
    if found and found.lacking:
        print(
            f"results  MISSING {len(found.lacking)} of {len(found.named)} outputs of the committed dvc.lock: "
            f"{', '.join(found.lacking)}\n"
            "         bring them back: `dvc push --all-commits --run-cache` where they are cached, else `make repro`; "
            "see docs/store.md"
        )
    elif found:
        print(f"results  all {len(found.named)} outputs of the committed dvc.lock are in the store")


def connect(store: Daemon, port: int | None) -> None:
    """Point the remote of the clone in the working folder at the store.

    Raises:
        UserError: the working folder is not the root of a DVC repository, or its remote is missing.
    """
    chosen = s3.settings(store, port)
    # Whoever asks for keys, in whatever shell: PYTHONINSPECT would end a program in a traceback.
    process = ["env", "-u", "PYTHONINSPECT", sys.executable, "-m", "fashion_cnn.localcloud", "credentials"]
    process += ["--folder", str(store.folder), "--port", str(chosen.port)]
    addresses = dict.fromkeys(("sagemaker", "sagemaker_runtime", "sts"), sagemaker.endpoint(chosen))
    connection.connect(s3.REGION, process, {"s3": chosen.endpoint} | addresses)
    print(f"The DVC remote {connection.REMOTE!r} of this clone is {chosen.endpoint}, with its data in {store.folder}")


def credentials(store: Daemon, expected: int | None, *, with_sagemaker: bool) -> None:
    """Start what does not run yet and print the user's keys, in the form of AWS's credential_process.

    Source: docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html.

    Raises:
        UserError: the store or SageMaker can't start, or they moved to another port since this clone was connected.
    """
    chosen = s3.settings(store)
    if expected not in (None, chosen.port):
        raise UserError(
            f"this clone expects the embedded S3 on port {expected}, but it moved to {chosen.port}; "
            "run here: python -m fashion_cnn.localcloud connect"
        )
    s3.start(store)
    if with_sagemaker:
        sagemaker.start(store)
    keys = {"Version": 1, "AccessKeyId": chosen.access_key, "SecretAccessKey": chosen.secret_key}
    print(json.dumps(keys))


if __name__ == "__main__":
    process.run(main)
