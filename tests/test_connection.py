"""What reaches the embedded store, and what can't get between: a person's network, AWS settings, folders and clocks.

One real store serves all clones here. DVC runs as people run it: nothing of the embedded cloud is in its shell.
"""

import hashlib
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import psutil
import pytest
from botocore.exceptions import ClientError

from benchmarks.workspace import free_ports
from fashion_cnn.core.errors import UserError
from fashion_cnn.localcloud import connection, daemon, s3, sagemaker
from support import hostile
from support.clones import Clone
from support.cloud import ONCE, wait_until
from support.hostile import Recorder
from support.repository import REPOSITORY, SOURCE

LOCALCLOUD = (sys.executable, "-m", "fashion_cnn.localcloud")
DVC = (sys.executable, "-m", "dvc")
# DVC's commands, separated by ";", one after the other in one process; then their statuses are printed.
MAIN = """\
import itertools, sys
from dvc.cli import main
commands = itertools.groupby(sys.argv[1:], ";".__ne__)
print([main(list(command)) for is_one, command in commands if is_one])
"""
# A stage that takes as long as it is let; one after it that says where its cloud is, as `deploy` finds it.
PIPELINE = f"""\
vars:
  - python: '"{sys.executable}"'
stages:
  slow:
    cmd: ${{python}} slow.py > slow
    params: [kernel]
    outs: [slow]
  where:
    cmd: ${{python}} -m fashion_cnn.localcloud up > where; ${{python}} -m fashion_cnn.cloud status >> where; true
    deps: [slow]
    outs: [where]
"""
SLOW = """\
import time
from pathlib import Path
from fashion_cnn.stages.executor import end_with_dvc
end_with_dvc()
Path({begun!r}).touch()
try:
    while not Path({may_end!r}).exists():
        time.sleep(0.1)
except KeyboardInterrupt:
    Path({interrupted!r}).touch()
    raise
"""


def work_off(clone: Clone, jobs: int = 1) -> None:
    """Start the queue's workers, which keep what they inherit open as long as they run."""
    command = [*DVC, "queue", "start", "--jobs", str(jobs)]
    null = subprocess.DEVNULL
    subprocess.run(command, cwd=clone.folder, env=clone.environment, stdout=null, stderr=null, check=True)


def connect(clone: Clone, store: s3.Daemon) -> None:
    clone.run(*LOCALCLOUD, "connect", FASHION_CNN_CLOUD=str(store.folder))


def connect_as(connected: Clone, other: Clone) -> None:
    """Connect another clone to the same store, as `connect` does in a second."""
    for path in (connected.folder / ".dvc/config.local", connected.folder / connection.AWS_CONFIG):
        shutil.copy(path, other.folder / ".dvc")


def digest(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def key(content: bytes) -> str:
    """Where DVC keeps a file in the store."""
    return f"dvc/files/md5/{digest(content)[:2]}/{digest(content)[2:]}"


def add(clone: Clone, name: str = "data.bin", megabytes: float = 0.001) -> bytes:
    """Track a file of random bytes, as `dvc add` does in a second; its content."""
    content = os.urandom(int(megabytes * 1e6))
    cached = clone.folder / ".dvc/cache" / key(content).removeprefix("dvc/")
    cached.parent.mkdir(parents=True)
    for path in (clone.folder / name, cached):
        path.write_bytes(content)
    (clone.folder / f"{name}.dvc").write_text(
        f"outs:\n- md5: {digest(content)}\n  size: {len(content)}\n  hash: md5\n  path: {name}\n", encoding="utf-8"
    )
    with (clone.folder / ".git/info/exclude").open("a", encoding="utf-8") as ignored:
        ignored.write(f"/{name}\n")
    return content


def pull_again(clone: Clone, name: str = "data.bin", **variables: str) -> bytes:
    """What the store gives back when the clone has nothing left of it."""
    shutil.rmtree(clone.folder / ".dvc/cache")
    (clone.folder / name).unlink()
    clone.run(*DVC, "pull", name, **variables)
    return (clone.folder / name).read_bytes()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person's own, whose DVC has a remote of the same name."""
    home = tmp_path_factory.mktemp("home")
    (home / ".config/dvc").mkdir(parents=True)
    (home / ".config/dvc/config").write_text(
        "[core]\nremote = theirs\n['remote \"store\"']\nurl = s3://theirs\nregion = eu-west-3\nsse = aws:kms\n"
        "access_key_id = THEIRS\nsecret_access_key = theirs\nsession_token = theirs\nallow_anonymous_login = true\n",
        encoding="utf-8",
    )
    return home


@pytest.fixture(scope="module")
def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "FASHION_CNN_", "XDG_"))}
    author = {f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return (
        kept
        | author
        | {"HOME": str(home), "PYTHONPATH": str(SOURCE), "GIT_CONFIG_GLOBAL": os.devnull, "DVC_NO_ANALYTICS": "1"}
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3.Daemon]:
    """A store in another place than the user's default, whose name is not ASCII."""
    store = s3.store(tmp_path_factory.mktemp("big disk") / "año")
    s3.settings(store, free_ports())
    yield store
    sagemaker.stop(store)
    s3.stop(store)


def new_clone(folder: Path, environment: dict[str, str]) -> Clone:
    """A repository with the project's DVC configuration and parameters, and a pipeline that takes no time."""
    for name in (".dvc", "reports"):
        (folder / name).mkdir(parents=True)
    for name in (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore", "params.yaml"):
        shutil.copyfile(REPOSITORY / name, folder / name)
    (folder / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
    (folder / "slow.py").write_text(
        SLOW.format(**{name: str(folder / ".git" / name) for name in ("begun", "may_end", "interrupted")}),
        encoding="utf-8",
    )
    (folder / "reports/deployment.json").write_text('{"endpoint_config": "fashion-cnn-0"}', encoding="utf-8")
    clone = Clone(folder, environment)
    clone.run("git", "init", "--quiet", "--initial-branch=main")
    clone.run("git", "add", "--all")
    clone.run("git", "commit", "--quiet", "--message", "new")
    return clone


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str], store: s3.Daemon) -> Clone:
    """Connected, and below a folder whose name DVC can't write."""
    clone = new_clone(tmp_path_factory.mktemp("clones") / "año ñ" / 'it\'s 100% "mine"', environment)
    (clone.folder / ".dvc/config.local").write_text("[core]\n    autostage = true\n", encoding="utf-8")
    connect(clone, store)
    add(clone)
    return clone


@pytest.fixture
def unconnected(tmp_path: Path, environment: dict[str, str]) -> Clone:
    return new_clone(tmp_path / "another clone", environment)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with hostile.recorder() as recorder:
        yield recorder


def keys(store: s3.Daemon) -> dict[str, str]:
    settings = s3.settings(store)
    return {"aws_access_key_id": settings.access_key, "aws_secret_access_key": settings.secret_key}


def access(store: s3.Daemon) -> dict[str, str]:
    return keys(store) | {"region_name": s3.REGION, "endpoint_url": s3.settings(store).endpoint}


def boto3_client(store: s3.Daemon) -> "boto3.client":
    return boto3.client("s3", **access(store))


def put(store: s3.Daemon, content: bytes) -> None:
    """Have the store hold a file as `dvc push` leaves it there."""
    s3.start(store)
    boto3_client(store).put_object(Bucket=s3.BUCKET, Key=key(content), Body=content)


def stored(store: s3.Daemon, content: bytes) -> bytes:
    """What the store holds where DVC keeps that."""
    return boto3_client(store).get_object(Bucket=s3.BUCKET, Key=key(content))["Body"].read()


@pytest.mark.parametrize("kind", ["a person's", "nonsense"])
def test_dvc_reaches_the_store_whatever_the_shell_holds(
    clone: Clone, store: s3.Daemon, recorder: Recorder, tmp_path: Path, kind: str
) -> None:
    # None of the first hides another: each leads elsewhere, or fails, by itself.
    persons = (
        hostile.network(recorder)
        | hostile.aws(recorder, tmp_path)
        | hostile.fsspec(recorder, tmp_path)
        | hostile.home(shutil.copytree(clone.environment["HOME"], tmp_path / "home"))
    )
    content = add(clone)
    s3.start(store)
    clone.run(*DVC, "push", "data.bin", **(hostile.nonsense() if kind == "nonsense" else persons))
    assert stored(store, content) == content
    assert recorder.requests == []


def test_a_store_is_known_in_every_locale(clone: Clone, store: s3.Daemon) -> None:
    s3.start(store)
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert "S3 stopped" in clone.run(*LOCALCLOUD, "down", FASHION_CNN_CLOUD=str(store.folder), **plain)


def test_a_store_that_does_not_run_is_started_from_any_shell(
    clone: Clone, store: s3.Daemon, recorder: Recorder, tmp_path: Path
) -> None:
    s3.stop(store)
    shell = hostile.nonsense() | hostile.aws(recorder, tmp_path) | hostile.network(recorder)
    content = add(clone)
    clone.run(*DVC, "push", "data.bin", **shell)
    assert pull_again(clone, **shell) == content
    program = "import dvc.api; print(dvc.api.read('data.bin', mode='rb', remote='store').hex())"
    shutil.rmtree(clone.folder / ".dvc/cache")
    assert clone.run(sys.executable, "-c", program, **shell).strip() == content.hex()
    assert recorder.requests == []


def test_another_repository_reads_what_the_store_holds(
    clone: Clone, recorder: Recorder, tmp_path: Path, store: s3.Daemon
) -> None:
    content = add(clone)
    put(store, content)
    clone.run("git", "add", "--all")
    clone.run("git", "commit", "--quiet", "--message", "data")
    clone.run("git", "clone", "--quiet", "--bare", ".", str(tmp_path / "server.git"))
    other = Clone(tmp_path, clone.environment | hostile.network(recorder) | hostile.aws(recorder, tmp_path))
    address = f"file://{tmp_path}/server.git"

    settings = [
        f"profile={connection.PROFILE}",
        f"configpath={clone.folder / connection.AWS_CONFIG}",
        f"endpointurl={s3.settings(store).endpoint}",
    ]
    got = other.call(
        *(sys.executable, "-c", MAIN),
        *("get", str(clone.folder), "data.bin", "--out", "by-folder", ";"),
        *("get", address, "data.bin", "--out", "by-address", "--remote-config", *settings, ";"),
        *("get", address, "data.bin", "--out", "unconnected"),
    )
    assert got.stdout.splitlines()[-1] == "[0, 0, 255]", got.stderr
    assert "not connected to its store: run make env" in got.stderr
    # Another environment's DVC is as good where the shell holds nothing for AWS.
    dvc = "import sys; sys.meta_path.pop(0); from dvc.cli import main; sys.exit(main(sys.argv[1:]))"
    plain = Clone(tmp_path, clone.environment | {"HOME": str(tmp_path)})
    get = ("get", address, "data.bin", "--out", "by-another-dvc", "--remote-config", *settings)
    plain.run(sys.executable, "-c", dvc, *get)
    for name in ("by-folder", "by-address", "by-another-dvc"):
        assert (tmp_path / name).read_bytes() == content
    assert recorder.requests == []


@pytest.mark.parametrize("command", ["push", "pull"])
def test_a_clone_that_was_never_connected_says_so_before_any_request(
    unconnected: Clone, recorder: Recorder, command: str
) -> None:
    add(unconnected)
    shell = hostile.network(recorder) | {"AWS_ACCESS_KEY_ID": "THEIRS", "AWS_SECRET_ACCESS_KEY": "theirs"}
    refused = unconnected.call(*DVC, command, **shell)
    assert refused.returncode != 0
    assert "this clone is not connected to its store: run make env" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert recorder.requests == []


def test_a_bucket_of_ones_own_is_reached_by_ones_own_settings(
    clone: Clone, store: s3.Daemon, recorder: Recorder
) -> None:
    with (clone.folder / ".dvc/config.local").open("a", encoding="utf-8") as local:
        local.write(f"['remote \"mine\"']\n    url = s3://{s3.BUCKET}/mine\n")
    variables = {name.upper(): value for name, value in keys(store).items()}
    clone.run(
        *DVC, "push", "data.bin", "--remote", "mine", AWS_ENDPOINT_URL_S3=s3.settings(store).endpoint, **variables
    )
    assert boto3_client(store).list_objects_v2(Bucket=s3.BUCKET, Prefix="mine/")["KeyCount"] == 1
    shell = {"AWS_ACCESS_KEY_ID": "THEIRS", "AWS_SECRET_ACCESS_KEY": "theirs", "http_proxy": recorder.address}
    elsewhere = clone.call(
        *DVC, "push", "data.bin", "--remote", "mine", AWS_ENDPOINT_URL_S3="http://s3.example", **shell
    )
    assert elsewhere.returncode != 0
    assert all("http://s3.example/" in one and "Credential=THEIRS/" in one for one in recorder.requests)
    assert recorder.requests


def test_connecting_keeps_the_persons_own_settings(clone: Clone) -> None:
    local = (clone.folder / ".dvc/config.local").read_text(encoding="utf-8")
    assert "autostage = true" in local
    assert f"configpath = {connection.AWS_CONFIG.name}" in local, "relative: DVC can't write this clone's name"
    assert "autostage" not in clone.run("git", "diff", "HEAD")


@pytest.mark.parametrize("written", ["[cache]\n    dir = /discos/año\n", "[core\nremote = \n"])
def test_settings_that_dvc_cannot_write_back_are_never_lost(unconnected: Clone, store: s3.Daemon, written: str) -> None:
    local = unconnected.folder / ".dvc/config.local"
    local.write_text(written, encoding="utf-8")
    refused = unconnected.call(*LOCALCLOUD, "connect", FASHION_CNN_CLOUD=str(store.folder))
    assert refused.returncode == 1
    assert ".dvc/config.local" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert local.read_text(encoding="utf-8") == written
    assert [path.name for path in local.parent.iterdir() if path.is_dir()] in ([], ["tmp"])


def test_settings_that_can_not_be_written_at_all_are_named(unconnected: Clone, store: s3.Daemon) -> None:
    (unconnected.folder / connection.AWS_CONFIG).mkdir()
    refused = unconnected.call(*LOCALCLOUD, "connect", FASHION_CNN_CLOUD=str(store.folder))
    assert refused.returncode == 1
    assert (
        refused.stderr
        == f"{connection.AWS_CONFIG}: can't be written (Is a directory), so this clone is not connected\n"
    )


def experiments(clone: Clone) -> int:
    """How many experiments have ended well."""
    return sum(path.is_file() for path in (clone.folder / ".git/refs/exps").glob("[0-9a-f]*/*/*"))


def workers(clone: Clone) -> list[psutil.Process]:
    """What `dvc queue status` counts, a second faster."""
    every = psutil.process_iter(["cmdline", "cwd"])
    return [
        one for one in every if "queue-worker" in (one.info["cmdline"] or ()) and one.info["cwd"] == str(clone.folder)
    ]


def cloud_found(clone: Clone) -> str:
    """What the stage `where` wrote, in whichever copy of the clone."""
    written = [path.read_text(encoding="utf-8") for path in (clone.folder / ".dvc/cache/files/md5").glob("*/*")]
    (found,) = filter(None, written)
    return found


def test_experiments_in_copies_of_a_clone_use_the_cloud_that_it_is_connected_to(
    clone: Clone, unconnected: Clone, home: Path, store: s3.Daemon
) -> None:
    connect_as(clone, unconnected)
    (unconnected.folder / ".git/may_end").touch()
    unconnected.run(*DVC, "exp", "run", "--temp", "--set-param", "kernel=1", "where")
    unconnected.run(*DVC, "exp", "run", "--queue", "--set-param", "kernel=2,3", "where")
    work_off(unconnected, jobs=2)
    wait_until(lambda: experiments(unconnected) == 3, 120)
    assert f"S3 answers at {s3.settings(store).endpoint}\n" in cloud_found(unconnected)
    assert "the endpoint fashion-cnn does not exist; `make deploy` deploys the candidate" in cloud_found(unconnected)
    assert daemon.find(sagemaker.server(store)), "started by the first of them"
    assert not (home / ".local").exists(), "the default place"
    assert [one for one in psutil.process_iter(["cmdline"]) if str(home) in str(one.info["cmdline"])] == []


def test_a_killed_queue_leaves_no_stage_at_work_and_goes_on_in_the_same_cloud_when_it_is_started_again(
    clone: Clone, unconnected: Clone, home: Path, store: s3.Daemon
) -> None:
    connect_as(clone, unconnected)
    begun, may_end, interrupted = (unconnected.folder / ".git" / name for name in ("begun", "may_end", "interrupted"))
    unconnected.run(*DVC, "exp", "run", "--queue", "--set-param", "kernel=1,2", "where")
    work_off(unconnected)
    wait_until(begun.exists, 60)
    unconnected.run(*DVC, "queue", "stop", "--kill")
    wait_until(interrupted.exists)
    wait_until(lambda: not workers(unconnected), pause=0.2)
    may_end.touch()
    work_off(unconnected)
    wait_until(lambda: experiments(unconnected) == 1, 120)
    assert f"S3 answers at {s3.settings(store).endpoint}\n" in cloud_found(unconnected)
    assert not (home / ".local").exists(), "the default place"


def test_deploying_elsewhere_than_dvc_pushes_is_refused(
    clone: Clone, store: s3.Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clone.folder)
    monkeypatch.delenv(connection.FOLDER_VARIABLE, raising=False)
    assert connection.shared_folder() == store.folder
    assert connection.remote_url() == f"s3://{s3.BUCKET}/dvc", "from where training jobs take their data"
    monkeypatch.setenv(connection.FOLDER_VARIABLE, str(tmp_path / "other"))
    with pytest.raises(UserError, match=rf"connected to .*{store.folder}, but FASHION_CNN_CLOUD names .*other; unset"):
        connection.shared_folder()
    assert not (tmp_path / "other").exists()


def test_a_store_is_known_after_the_clock_was_set(store: s3.Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.start(store)
    running = daemon.find(store)
    assert running
    # What psutil derives the time of a process's start from, and what moves when the clock is set.
    booted = psutil.boot_time()
    for seconds in (37, -37, 86_400):
        monkeypatch.setattr("psutil._pslinux.boot_time", lambda seconds=seconds: booted + seconds)
        assert daemon.find(store) == running


def test_a_store_that_can_not_write_says_why_and_goes_on_when_it_can(clone: Clone, store: s3.Daemon) -> None:
    s3.start(store)
    process = daemon.find(store)
    assert process
    content = add(clone, "large.bin", megabytes=12)
    limits = process.rlimit(resource.RLIMIT_FSIZE)
    process.rlimit(resource.RLIMIT_FSIZE, (5_000_000, limits[1]))
    try:
        pushed = clone.call(*DVC, "push", "large.bin")
        session = boto3.Session()
        s3.name_full_disks(store, session.events)
        client = session.client("s3", config=ONCE, **access(store))
        with pytest.raises(
            OSError, match="the embedded S3 can't write in .*: file too large, .* MB are free; make room"
        ):
            client.put_object(Bucket=s3.BUCKET, Key="large", Body=content)
    finally:
        process.rlimit(resource.RLIMIT_FSIZE, limits)
    assert pushed.returncode != 0
    cause, _ = pushed.stderr.strip().splitlines()
    assert f"can't write in {store.folder}: file too large" in cause
    clone.run(*DVC, "push", "large.bin")
    assert stored(store, content) == content
    (clone.folder / "large.bin.dvc").unlink()


def test_nobody_removes_the_bucket_with_what_is_in_it(store: s3.Daemon) -> None:
    s3.start(store)
    client = boto3_client(store)
    client.put_object(Bucket=s3.BUCKET, Key="kept", Body=b"kept")
    with pytest.raises(ClientError, match="BucketNotEmpty"):
        client.delete_bucket(Bucket=s3.BUCKET)
    assert client.get_object(Bucket=s3.BUCKET, Key="kept")["Body"].read() == b"kept"


def held(store: s3.Daemon) -> int:
    """How many files DVC keeps in the store."""
    return boto3_client(store).list_objects_v2(Bucket=s3.BUCKET, Prefix="dvc/files/")["KeyCount"]


def test_collecting_garbage_as_the_docs_say_keeps_what_other_clones_use_and_they_can_bring_back_what_is_gone(
    clone: Clone, unconnected: Clone, store: s3.Daemon
) -> None:
    s3.start(store)
    connect_as(clone, unconnected)
    add(unconnected, "committed.bin")
    unconnected.run("git", "checkout", "--quiet", "-b", "another")
    unconnected.run("git", "add", "--all")
    unconnected.run("git", "commit", "--quiet", "--message", "committed")
    add(unconnected, "not committed.bin")
    unconnected.run(*DVC, "push", "committed.bin", "not committed.bin")
    for content in (add(clone), b"nobody's"):
        put(store, content)
    clone.run("git", "fetch", "--quiet", str(unconnected.folder), "another:another")

    everything = held(store)
    options = ("--cloud", "--all-commits", "--all-experiments", "--projects", str(unconnected.folder))
    clone.run(*DVC, "gc", "--force", *options)
    assert everything > held(store) >= 3

    clone.run(*DVC, "gc", "--workspace", "--cloud", "--force")
    assert held(store) == 1, "what the docs warn of"
    unconnected.run(*DVC, "push", "committed.bin", "not committed.bin")
    assert held(store) == 3


def test_a_first_stage_that_fails_gives_its_last_result_back(unconnected: Clone) -> None:
    (unconnected.folder / "dvc.yaml").write_text(
        "stages:\n  first:\n    cmd: test ${kernel} -lt 9 && echo ${kernel} > first\n    outs: [first]\n",
        encoding="utf-8",
    )
    unconnected.run(*DVC, "repro")
    unconnected.run("git", "add", "--all")
    unconnected.run("git", "commit", "--quiet", "--message", "result")
    assert unconnected.call(*DVC, "exp", "run", "--set-param", "kernel=11").returncode != 0
    assert not (unconnected.folder / "first").exists()
    unconnected.run("git", "restore", "params.yaml")
    unconnected.run(*DVC, "checkout")
    assert (unconnected.folder / "first").read_text(encoding="utf-8") == "3\n"


def test_a_clone_without_old_files_is_made_whole(unconnected: Clone, tmp_path: Path) -> None:
    (unconnected.folder / "dvc.yaml").write_text("metrics: [figures.json]\n", encoding="utf-8")
    for number in (1, 2):
        (unconnected.folder / "figures.json").write_text(f'{{"number": {number}}}', encoding="utf-8")
        unconnected.run("git", "add", "--all")
        unconnected.run("git", "commit", "--quiet", "--message", "figures")
    unconnected.run("git", "config", "uploadpack.allowFilter", "true")
    address = f"file://{unconnected.folder}"
    unconnected.run("git", "clone", "--quiet", "--filter=blob:none", address, str(tmp_path / "partial"))
    partial = unconnected._replace(folder=tmp_path / "partial")
    partial.run("git", "config", "--unset", "remote.origin.partialclonefilter")
    partial.run("git", "fetch", "--quiet", "--refetch")
    assert '"diff": 1' in partial.run(*DVC, "metrics", "diff", "--json", "HEAD~1")


def test_a_store_is_moved_with_all_that_it_holds(clone: Clone, store: s3.Daemon, tmp_path: Path) -> None:
    content = add(clone)
    put(store, content)
    clone.run(*LOCALCLOUD, "down")
    moved = s3.store(tmp_path / "larger disk")
    shutil.copytree(store.folder, moved.folder)
    try:
        connect(clone, moved)
        assert pull_again(clone) == content
        assert daemon.find(moved)
        assert not daemon.find(store)
    finally:
        s3.stop(moved)
