"""The embedded S3, started for real. Requests are signed by botocore, pushes and pulls are DVC's own."""

import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import botocore.session
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from benchmarks.workspace import free_ports
from fashion_cnn.localcloud import __main__ as localcloud
from fashion_cnn.localcloud import connection, daemon, s3
from support.repository import REPOSITORY, SOURCE

SESSION = botocore.session.Session()


class Cloud:
    """An embedded cloud of this test's own, driven by its commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_ports()
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.environment |= {"FASHION_CNN_CLOUD": str(folder), "PYTHONPATH": str(SOURCE)}

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "fashion_cnn.localcloud", *arguments]
        return subprocess.run(
            command,
            env=self.environment,
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            encoding="utf-8",
        )

    def up(self) -> None:
        store = s3.store(self.folder)
        s3.settings(store, self.port)
        s3.start(store)

    def kill(self) -> None:
        """End the store at once, where one runs."""
        process = daemon.find(s3.store(self.folder))
        if process:
            process.kill()
            psutil.wait_procs([process], timeout=10)

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(json.loads((self.folder / "s3.pid").read_text(encoding="utf-8"))["pid"])

    def client(self, **replaced: str) -> Any:
        keys = json.loads((self.folder / "s3.json").read_text(encoding="utf-8"))
        return SESSION.create_client(
            "s3",
            region_name=s3.REGION,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id=replaced.get("access_key", keys["access_key"]),
            aws_secret_access_key=replaced.get("secret_key", keys["secret_key"]),
            config=Config(retries={"total_max_attempts": 2}, s3={"addressing_style": "path"}),
        )


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A running store that the tests leave running."""
    cloud = Cloud(tmp_path_factory.mktemp("shared") / "cloud")
    cloud.up()
    yield cloud
    cloud.kill()


@pytest.fixture(scope="module")
def other_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A store that the tests may stop, and start where they need it; its folder has a space in its name."""
    cloud = Cloud(tmp_path_factory.mktemp("other") / "the cloud")
    yield cloud
    cloud.kill()


@pytest.fixture
def stopped_cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A store of the test's own, not yet made, in a folder with a space in its name."""
    cloud = Cloud(tmp_path / "the cloud")
    yield cloud
    cloud.kill()


def test_a_signed_request_reads_back_what_it_wrote(cloud: Cloud) -> None:
    cloud.client().put_object(Bucket=s3.BUCKET, Key="a/b", Body=b"content")
    assert cloud.client().get_object(Bucket=s3.BUCKET, Key="a/b")["Body"].read() == b"content"


@pytest.mark.parametrize("replaced", [{"secret_key": "guessed"}, {"access_key": "GUESSED"}])
def test_a_wrongly_signed_request_is_refused(cloud: Cloud, replaced: dict[str, str]) -> None:
    with pytest.raises(ClientError) as refusal:
        cloud.client(**replaced).list_objects_v2(Bucket=s3.BUCKET)
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_an_unsigned_request_is_refused(cloud: Cloud) -> None:
    cloud.client().put_object(Bucket=s3.BUCKET, Key="secret", Body=b"content")
    connection = http.client.HTTPConnection("127.0.0.1", cloud.port)
    for method, path in [("GET", ""), ("GET", "/secret"), ("PUT", "/new"), ("DELETE", "/secret")]:
        connection.request(method, f"/{s3.BUCKET}{path}")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 403
    connection.close()


def test_nothing_listens_beyond_loopback_and_the_stores_own_ports(cloud: Cloud) -> None:
    listening = [c.laddr for c in cloud.process.net_connections() if c.status == psutil.CONN_LISTEN]
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert {address.port for address in listening} <= set(range(cloud.port, cloud.port + len(s3.PORT_FLAGS)))


def test_the_inner_ports_delete_nothing_for_a_caller_without_keys(cloud: Cloud) -> None:
    cloud.client().put_object(Bucket=s3.BUCKET, Key="kept", Body=b"kept")
    port = dict(zip(s3.PORT_FLAGS, range(cloud.port, cloud.port + 10), strict=True))
    shell = [str(Path(sys.executable).with_name("weed")), "shell"]
    shell += [f"-master=127.0.0.1:{port['master.port']}.{port['master.port.grpc']}"]
    commands = f"fs.rm -r /buckets/{s3.BUCKET}/kept\n"
    with subprocess.Popen(
        shell, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    ) as intruder:
        assert intruder.stdin
        intruder.stdin.write(commands.encode())
        intruder.stdin.close()
        try:
            intruder.wait(3)
        except subprocess.TimeoutExpired:
            intruder.kill()
    for server in ("master.port", "filer.port"):
        connection = http.client.HTTPConnection("127.0.0.1", port[server])
        connection.request("GET", f"/col/delete?collection={s3.BUCKET}")
        assert connection.getresponse().status == http.client.NOT_FOUND
        connection.close()
    assert cloud.client().get_object(Bucket=s3.BUCKET, Key="kept")["Body"].read() == b"kept"


def test_a_bucket_that_is_not_there_is_not_made_by_a_write_to_it(cloud: Cloud) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        cloud.client().put_object(Bucket="fashion-cmn", Key="key", Body=b"content")
    assert [bucket["Name"] for bucket in cloud.client().list_buckets()["Buckets"]] == [s3.BUCKET]


def test_the_store_logs_in_its_own_folder_what_it_repeats_into_files_that_are_rotated(cloud: Cloud) -> None:
    repeated = cloud.folder / "s3-logs" / "weed.WARNING"
    assert "connection refused" not in (cloud.folder / "s3.log").read_text(encoding="utf-8")
    assert repeated.exists()
    assert not list(Path(tempfile.gettempdir()).glob(f"weed.*.{cloud.process.pid}"))
    assert "-log_max_size_mb=1" in cloud.process.cmdline()


def test_a_log_is_emptied_where_it_grows_too_long_and_its_end_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "s3.log"
    with log.open("ab") as writer:
        writer.write(b"early" + bytes(daemon.MAX_LOG_BYTES) + b"late")
        writer.flush()
        daemon.bound_log(log)
        writer.write(b"after")
    assert log.read_bytes() == b"after"
    kept = log.with_name("s3.log.1").read_bytes()
    assert len(kept) == daemon.MAX_LOG_BYTES
    assert kept.endswith(b"late")


def test_keys_are_readable_by_their_owner_alone(cloud: Cloud) -> None:
    assert cloud.folder.stat().st_mode & 0o777 == 0o700
    for name in ("s3.json", "s3.key"):
        assert (cloud.folder / name).stat().st_mode & 0o777 == 0o600


def test_two_stores_have_different_keys(cloud: Cloud, tmp_path: Path) -> None:
    other = s3.settings(s3.store(tmp_path / "other"))
    mine = s3.settings(s3.store(cloud.folder))
    assert {other.access_key, other.secret_key, other.internal_key}.isdisjoint(mine)


def test_up_keeps_a_running_store(cloud: Cloud) -> None:
    before = cloud.process
    assert cloud.run("up", "--port", str(cloud.port)).stdout == f"S3 answers at http://127.0.0.1:{cloud.port}\n"
    assert cloud.process == before


def test_status_says_where_the_store_is_and_that_it_runs(cloud: Cloud) -> None:
    result = cloud.run("status")
    assert result.returncode == 0
    for fact in (f"pid {cloud.process.pid}", f"http://127.0.0.1:{cloud.port}", str(cloud.folder), "MB"):
        assert fact in result.stdout


def test_status_of_a_store_that_was_never_made_makes_none(stopped_cloud: Cloud) -> None:
    assert stopped_cloud.run("status").returncode == 3
    assert not stopped_cloud.folder.exists()


def test_a_stopped_store_is_no_failure_of_make(stopped_cloud: Cloud) -> None:
    command = ["make", "--no-print-directory", "--old-file=env", f"VENV={sys.prefix}", "cloud-status"]
    done = subprocess.run(command, cwd=REPOSITORY, env=stopped_cloud.environment, capture_output=True, check=True)
    assert done.stdout.startswith(b"S3       stopped; it starts by itself when needed\n")
    assert done.stderr == b""


def test_a_second_store_runs_beside_the_first(cloud: Cloud, other_cloud: Cloud) -> None:
    assert other_cloud.port != cloud.port
    other_cloud.up()
    assert cloud.client().list_buckets()["Buckets"]
    assert other_cloud.client().list_buckets()["Buckets"]


def test_data_written_before_a_kill_is_there_after_the_next_start(other_cloud: Cloud) -> None:
    other_cloud.up()
    other_cloud.client().put_object(Bucket=s3.BUCKET, Key="key", Body=b"kept" * 100_000)
    other_cloud.kill()
    assert other_cloud.run("status").returncode == 3
    assert other_cloud.run("up").returncode == 0
    assert other_cloud.client().get_object(Bucket=s3.BUCKET, Key="key")["Body"].read() == b"kept" * 100_000


def test_a_bucket_that_somebody_emptied_and_removed_is_made_again(other_cloud: Cloud) -> None:
    other_cloud.up()
    client = other_cloud.client()
    client.put_object(Bucket=s3.BUCKET, Key="key", Body=b"gone")
    for found in client.list_objects_v2(Bucket=s3.BUCKET)["Contents"]:
        client.delete_object(Bucket=s3.BUCKET, Key=found["Key"])
    client.delete_bucket(Bucket=s3.BUCKET)
    assert other_cloud.run("credentials").returncode == 0
    client.put_object(Bucket=s3.BUCKET, Key="key", Body=b"kept")


def test_data_stays_when_the_store_moves_to_another_port(other_cloud: Cloud) -> None:
    other_cloud.up()
    other_cloud.client().put_object(Bucket=s3.BUCKET, Key="key", Body=b"kept")
    refused = other_cloud.run("up", "--port", str(other_cloud.port + 10))
    assert refused.returncode == 1
    assert "down" in refused.stderr
    elsewhere = free_ports()
    assert "stopped" in other_cloud.run("down").stdout
    other_cloud.port = elsewhere
    other_cloud.up()
    assert other_cloud.client().get_object(Bucket=s3.BUCKET, Key="key")["Body"].read() == b"kept"


def test_down_never_ends_a_process_that_the_store_did_not_start(stopped_cloud: Cloud) -> None:
    s3.settings(s3.store(stopped_cloud.folder), stopped_cloud.port)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        stale = {"pid": bystander.pid, "command": ["weed", "mini"]}
        (stopped_cloud.folder / "s3.pid").write_text(json.dumps(stale), encoding="utf-8")
        assert "was not running" in stopped_cloud.run("down").stdout
        assert bystander.poll() is None
        bystander.kill()


def test_concurrent_callers_start_one_store_and_get_the_same_keys(stopped_cloud: Cloud) -> None:
    s3.settings(s3.store(stopped_cloud.folder), stopped_cloud.port)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(stopped_cloud.run, ["credentials"] * 4))
    assert [result.stderr for result in results] == [""] * 4
    assert len({result.stdout for result in results}) == 1
    weeds = [p for p in psutil.process_iter(["cmdline"]) if str(stopped_cloud.folder) in str(p.info["cmdline"])]
    assert len(weeds) == 1


def test_a_taken_port_is_named_with_its_holder_and_the_way_out(stopped_cloud: Cloud) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", stopped_cloud.port + 3))
        holder.listen()
        result = stopped_cloud.run("up", "--port", str(stopped_cloud.port))
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    for fact in (f"port {stopped_cloud.port + 3} is taken", f"pid {os.getpid()}", "--port NUMBER"):
        assert fact in result.stderr


@pytest.mark.parametrize("port", ["80", "65530"])
def test_a_port_that_leaves_no_room_is_refused(stopped_cloud: Cloud, port: str) -> None:
    result = stopped_cloud.run("up", "--port", port)
    assert result.returncode == 1
    assert "allowed: a whole number from 1024 to 65525" in result.stderr
    assert not stopped_cloud.folder.exists()


def test_a_folder_that_cannot_be_made_is_named(stopped_cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = stopped_cloud.run("up", "--folder", str(tmp_path / "file" / "cloud"))
    assert result.returncode == 1
    assert "FASHION_CNN_CLOUD" in result.stderr
    assert result.stderr.count("\n") == 1


def new_clone(cloud: Cloud, clone: Path) -> Path:
    """A connected DVC repository with one tracked file; nothing of the embedded cloud is exported in its shell."""
    (clone / ".dvc").mkdir(parents=True)
    for name in ("config", ".gitignore"):
        shutil.copy(REPOSITORY / ".dvc" / name, clone / ".dvc")
    subprocess.run(["git", "init", "--quiet"], cwd=clone, check=True)
    connected = cloud.run("connect", "--port", str(cloud.port), cwd=clone)
    assert connected.returncode == 0, connected.stderr
    track(clone, "data.bin", os.urandom(100_000))
    return clone


def track(clone: Path, name: str, content: bytes) -> None:
    """What `dvc add` does in a second."""
    digest = md5(content)
    cached = clone / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    cached.parent.mkdir(parents=True, exist_ok=True)
    for path in (clone / name, cached):
        path.write_bytes(content)
    outs = [{"md5": digest, "size": len(content), "hash": "md5", "path": name}]
    (clone / f"{name}.dvc").write_text(json.dumps({"outs": outs}), encoding="utf-8")  # which is YAML, too
    with (clone / ".gitignore").open("a", encoding="utf-8") as ignored:
        ignored.write(f"/{name}\n")


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def clone(stopped_cloud: Cloud, tmp_path: Path) -> Path:
    """Connected to a store of the test's own, which was never started."""
    return new_clone(stopped_cloud, tmp_path / "a clone")


def dvc(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "FASHION_CNN_"))}
    environment |= {"PYTHONPATH": str(SOURCE), "DVC_NO_ANALYTICS": "1", "AWS_MAX_ATTEMPTS": "1"}
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(
        command, env=environment, cwd=clone, capture_output=True, text=True, check=False, encoding="utf-8"
    )


def test_dvc_starts_the_store_by_itself_pulls_what_it_pushed_and_writes_no_key_into_the_clone(
    stopped_cloud: Cloud, clone: Path
) -> None:
    content = (clone / "data.bin").read_bytes()
    pushed = dvc(clone, "push")
    assert pushed.returncode == 0, pushed.stderr
    assert s3.stop(s3.store(stopped_cloud.folder))
    (clone / "data.bin").unlink()
    shutil.rmtree(clone / ".dvc" / "cache")
    pulled = dvc(clone, "pull")
    assert pulled.returncode == 0, pulled.stderr
    assert (clone / "data.bin").read_bytes() == content
    keys = s3.settings(s3.store(stopped_cloud.folder))
    written = b"".join(path.read_bytes() for path in clone.rglob("*") if path.is_file())
    assert b"credential_process" in written
    for key in (keys.access_key, keys.secret_key, keys.internal_key):
        assert key.encode() not in written


def test_commands_in_a_clone_mean_the_cloud_that_it_is_connected_to(
    stopped_cloud: Cloud, clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FASHION_CNN_CLOUD", raising=False)
    monkeypatch.chdir(clone)
    assert s3.store().folder == stopped_cloud.folder
    monkeypatch.chdir(tmp_path)
    assert s3.store().folder != stopped_cloud.folder


def test_dvc_says_in_one_line_that_a_port_is_taken(stopped_cloud: Cloud, clone: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", stopped_cloud.port))
        holder.listen()
        pushed = dvc(clone, "push")
    assert pushed.returncode != 0
    assert "Traceback" not in pushed.stderr
    assert any(f"port {stopped_cloud.port} is taken" in line for line in pushed.stderr.splitlines())


def git(clone: Path, *arguments: str) -> None:
    author = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *author, *arguments], cwd=clone, check=True)


def commit(clone: Path) -> None:
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message", "results")


def test_a_store_that_dies_during_a_push_fails_it_in_one_line_and_the_next_push_completes_for_a_second_clone(
    stopped_cloud: Cloud, clone: Path, tmp_path: Path
) -> None:
    stopped_cloud.up()
    names = [f"large-{number}.bin" for number in range(3)]
    for name in names:
        track(clone, name, os.urandom(20_000_000))
    commit(clone)

    before = s3.bytes_on_disk(s3.store(stopped_cloud.folder))
    with ThreadPoolExecutor() as pool:
        push = pool.submit(dvc, clone, "push", "--jobs", "1")
        while s3.bytes_on_disk(s3.store(stopped_cloud.folder)) < before + 1_000_000:
            assert not push.done()
            time.sleep(0.01)
        stopped_cloud.process.kill()
        interrupted = push.result()
    assert interrupted.returncode != 0
    assert "Traceback" not in interrupted.stderr
    assert "ERROR: " in interrupted.stderr.strip().splitlines()[-1]

    again = dvc(clone, "push")
    assert again.returncode == 0, again.stderr
    second = tmp_path / "second"
    git(tmp_path, "clone", "--quiet", str(clone), str(second))
    for name in ("config.local", connection.AWS_CONFIG.name):
        shutil.copy(clone / ".dvc" / name, second / ".dvc")
    pulled = dvc(second, "pull")
    assert pulled.returncode == 0, pulled.stderr
    for name in names:
        assert (second / name).read_bytes() == (clone / name).read_bytes()


def test_status_names_the_outputs_of_the_committed_lock_that_the_store_lacks(
    other_cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other_cloud.up()
    clone = new_clone(other_cloud, tmp_path / "a clone")
    command = "mkdir folder && echo 1 > folder/a && echo 2 > folder/b && echo 3 > file && echo 4 > local"
    (clone / "dvc.yaml").write_text(
        f"stages:\n  one:\n    cmd: {command}\n    outs: [folder, file, local: {{cache: false}}]\n", encoding="utf-8"
    )
    assert dvc(clone, "repro", "--quiet").returncode == 0
    commit(clone)
    (clone / "dvc.lock").unlink()  # what is not committed does not count
    monkeypatch.chdir(clone)

    def results() -> str:
        capsys.readouterr()
        assert localcloud.main(["status", "--folder", str(other_cloud.folder)]) == 0
        (line,) = [line for line in capsys.readouterr().out.splitlines() if "results" in line]
        return line

    def key(digest: str) -> str:
        return f"dvc/files/md5/{digest[:2]}/{digest[2:]}"

    assert results() == "results  MISSING 2 of 2 outputs of the committed dvc.lock: file, folder"
    git(clone, "restore", "dvc.lock")
    bucket, cache = other_cloud.client(), clone / ".dvc/cache/files/md5"
    for path in cache.glob("*/*"):
        bucket.put_object(Bucket=s3.BUCKET, Key=f"dvc/files/md5/{path.relative_to(cache)}", Body=path.read_bytes())
    assert results() == "results  all 2 outputs of the committed dvc.lock are in the store"

    bucket.delete_object(Bucket=s3.BUCKET, Key=key(md5(b"2\n")))
    assert results() == "results  MISSING 1 of 2 outputs of the committed dvc.lock: folder"
    # DVC looks for a folder's list of files alone, so that has to go, too.
    (folder,) = re.findall(r"[0-9a-f]{32}\.dir", (clone / "dvc.lock").read_text(encoding="utf-8"))
    bucket.delete_object(Bucket=s3.BUCKET, Key=key(folder))
    assert dvc(clone, "push").returncode == 0
    assert results() == "results  all 2 outputs of the committed dvc.lock are in the store"


def test_connect_outside_a_clone_says_where_to_run_it(stopped_cloud: Cloud, tmp_path: Path) -> None:
    result = stopped_cloud.run("connect", cwd=tmp_path)
    assert result.returncode == 1
    assert "root of the clone" in result.stderr
