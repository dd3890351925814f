"""The model archive, and the model server that serves it, as a real process."""

import gzip
import http.client
import importlib.metadata
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import falcon
import numpy as np
import pytest
from hypothesis import given, settings

from fashion_cnn.core import fashion_mnist
from fashion_cnn.core.errors import UserError
from fashion_cnn.serving import archive, bodies, tensorflow_serving
from fashion_cnn.serving.server import Context, describe, load_handler
from fashion_cnn.serving.tensorflow_serving import Models, Prediction, find_models, load_models
from support import linear_model
from support.bodies import FUZZ, HEIC, IMAGES, as_json, as_npy, as_picture, malformed_requests
from support.cloud import listens, wait_until
from support.repository import SOURCE

FUZZ_HTTP = settings(FUZZ, max_examples=300)


class Reply(NamedTuple):
    status: int
    body: bytes

    @property
    def probabilities(self) -> np.ndarray:
        assert self.status == 200, self.body
        predictions = json.loads(self.body)["predictions"]
        return np.array([list(prediction["probabilities"].values()) for prediction in predictions])


class Server(NamedTuple):
    process: subprocess.Popen
    port: int

    def call(self, method: str, path: str, body: Any = None, content_type: str | None = None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers |= {"Content-Type": content_type} if content_type else {}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        reply = Reply(response.status, response.read())
        connection.close()
        return reply

    def invoke(self, body: Any, content_type: str | None = "application/json", attributes: str = "") -> Reply:
        headers = {"X-Amzn-SageMaker-Custom-Attributes": attributes} if attributes else {}
        return self.call("POST", "/invocations", body, content_type, **headers)


@contextmanager
def start(folder: Path, log: Path, module: str = "fashion_cnn.serving.server") -> Iterator[Server]:
    command = [sys.executable, "-m", module, f"--archive-folder={folder}", "--port=0"]
    path = os.pathsep.join([str(SOURCE), str(Path(__file__).parent)])
    # A person's proxy does not know this machine's loopback.
    environment = {**os.environ, "PYTHONPATH": path, "HTTP_PROXY": "http://127.0.0.1:9", "no_proxy": "internal"}
    with (
        log.open("w", encoding="utf-8") as errors,
        subprocess.Popen(command, stderr=errors, env=environment) as process,
    ):
        try:
            wait_until(lambda: "listening on" in log.read_text(encoding="utf-8") or process.poll() is not None, 120)
            address = re.search(r"listening on http://127\.0\.0\.1:(\d+)", log.read_text(encoding="utf-8"))
            assert address
            yield Server(process, int(address[1]))
        finally:
            process.kill()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import keras

    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.layers.Input((28, 28), dtype="uint8"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Reshape((28, 28, 1)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    path = tmp_path_factory.mktemp("model") / "model.keras"
    network.save(path)
    return path


@pytest.fixture(scope="module")
def expected(model: Path) -> np.ndarray:
    import keras

    return keras.models.load_model(model, compile=False).predict(IMAGES, verbose=0)


@pytest.fixture(scope="module")
def packed(model: Path) -> Path:
    from fashion_cnn.serving import export

    path = model.with_name("model.tar.gz")
    archive.pack(export.saved_model(model), path)
    return path


@pytest.fixture(scope="module")
def folder(packed: Path) -> Path:
    path = packed.with_name("unpacked")
    archive.unpack(packed, path)
    return path


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with start(folder, folder.with_name("server.log")) as running:
        wait_until(lambda: running.call("GET", "/ping").status == 200, 120)
        yield running


# The archive


def test_another_process_packs_the_same_model_into_the_same_bytes(packed: Path, model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.tar.gz"
    code = (
        "import sys; from pathlib import Path; from fashion_cnn.serving import archive, export;"
        "archive.pack(export.saved_model(Path(sys.argv[1])), Path(sys.argv[2]))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", code, model, other], check=True, env=environment)
    assert other.read_bytes() == packed.read_bytes()


def test_the_archive_has_the_shape_the_container_expects(packed: Path) -> None:
    with tarfile.open(packed) as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == [
        "1/saved_model.pb",
        "code/inference.py",
        "code/requirements.txt",
    ]
    assert {(member.mtime, member.uid, member.gid, member.mode) for member in members} == {(0, 0, 0, 0o644)}


def wheel(folder: Path, tags: str, content: str) -> None:
    """What a package index would have of the handler's packages, for one Python and platform."""
    folder.mkdir(exist_ok=True)
    for requirement in archive.REQUIREMENTS.split():
        name, version = requirement.replace("-", "_").split("==")
        information = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(folder / f"{name}-{version}-{tags}.whl", "w") as file:
            file.writestr(f"{name}/__init__.py", content)
            file.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            file.writestr(f"{information}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tags}\n")
            file.writestr(f"{information}/RECORD", "")


def test_the_library_for_the_container_is_the_one_of_its_python_and_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = [f"{name}=={importlib.metadata.version(name)}" for name in ("pillow", "pi-heif")]
    assert archive.REQUIREMENTS.split() == here
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    wheel(tmp_path / "index", "cp311-cp311-manylinux_2_28_x86_64", "another Python's")
    wheel(tmp_path / "index", "cp312-cp312-manylinux_2_28_aarch64", "another processor's")
    with pytest.raises(UserError, match=r"can't be brought: .*; deploy\.aws\.network_isolation") as refused:
        archive.fetch_library(tmp_path / "none")
    assert "\n" not in str(refused.value)
    wheel(tmp_path / "index", "cp312-cp312-manylinux_2_28_x86_64", "the container's")
    archive.fetch_library(tmp_path / "library")
    archive.pack(b"model", tmp_path / "model.tar.gz", tmp_path / "library")
    archive.unpack(tmp_path / "model.tar.gz", tmp_path / "unpacked")
    for name in ("pillow", "pi_heif"):
        brought = tmp_path / "unpacked/code/lib" / name / "__init__.py"
        assert brought.read_text(encoding="utf-8") == "the container's"


def test_the_signature_is_the_one_a_client_of_tensorflow_serving_sees(folder: Path, expected: np.ndarray) -> None:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder / "1"))
    signature = loaded.signatures["serving_default"]
    assert signature.structured_input_signature[1]["images"] == tf.TensorSpec((None, 28, 28), tf.uint8, name="images")
    np.testing.assert_allclose(signature(images=IMAGES)["probabilities"], expected, atol=1e-6)


def test_a_model_that_is_not_there_is_a_mistake_a_person_can_mend(tmp_path: Path) -> None:
    from fashion_cnn.serving import export

    with pytest.raises(UserError, match=r"model\.keras: not found; `dvc repro cnn3` makes it"):
        export.saved_model(tmp_path / "cnn3" / "model.keras")
    damaged = tmp_path / "model.keras"
    damaged.write_bytes(b"no zip file")
    with pytest.raises(UserError, match="not a Keras model"):
        export.saved_model(damaged)


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, target
    return info


def tar_of(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info in [member("1/saved_model.pb", size=10), *members]:
            tar.addfile(info, io.BytesIO(bytes(info.size)))
    return path


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (member("../evil", size=1), "leads outside"),
        (member("1/../../evil", size=1), "leads outside"),
        (member("/tmp/evil", size=1), "leads outside"),  # noqa: S108
        (member("link", tarfile.SYMTYPE, target="/etc/passwd"), "link or a device"),
        (member("link", tarfile.SYMTYPE, target="1/saved_model.pb"), "link or a device"),
        (member("link", tarfile.LNKTYPE, target="1/saved_model.pb"), "link or a device"),
        (member("device", tarfile.CHRTYPE), "link or a device"),
        (member("pipe", tarfile.FIFOTYPE), "link or a device"),
        (member("1/saved_model.pb/below", size=1), ": '1/saved_model.pb' is a file and a folder at once"),
        (member("1/saved_model.pb", tarfile.DIRTYPE), ": '1/saved_model.pb' is a file and a folder at once"),
        (member("1", size=1), ": '1' is a file and a folder at once"),
        (member("n" * 300, size=1), "cannot be unpacked as tar.gz: File name too long$"),
        (member("large", size=2_000_000), "more than 1000000 bytes"),
    ],
)
def test_an_archive_that_could_do_harm_is_refused_and_leaves_nothing(
    tmp_path: Path, bad: tarfile.TarInfo, message: str
) -> None:
    evil = tar_of(tmp_path / "evil.tar.gz", bad)
    with pytest.raises(UserError, match=message):
        archive.unpack(evil, tmp_path / "in" / "model", max_bytes=1_000_000)
    assert list((tmp_path / "in").iterdir()) == []


def test_an_archive_of_too_many_members_is_refused(tmp_path: Path) -> None:
    many = tar_of(tmp_path / "many.tar.gz", *(member(f"f{number}") for number in range(10)))
    with pytest.raises(UserError, match="more than 5 members"):
        archive.unpack(many, tmp_path / "model", max_members=5)


def test_a_compressed_header_that_claims_gigabytes_is_refused(tmp_path: Path) -> None:
    header = member("pax", tarfile.XHDTYPE, size=8 * 1024**3).tobuf(tarfile.GNU_FORMAT)
    bomb = tmp_path / "bomb.tar.gz"
    bomb.write_bytes(gzip.compress(header + bytes(1000)))
    with pytest.raises(UserError, match="cannot be unpacked"):
        archive.unpack(bomb, tmp_path / "model")


def test_an_archive_that_decompresses_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.tar.gz"
    bomb.write_bytes(gzip.compress(bytes(2_000_000)))
    with pytest.raises(UserError, match="more than 1000000 bytes decompressed"):
        archive.unpack(bomb, tmp_path / "model", max_bytes=1_000_000)


def test_a_damaged_archive_is_refused(packed: Path, tmp_path: Path) -> None:
    content = packed.read_bytes()
    for name, damaged in {
        "cut": content[:-100],
        "flipped": content[:5000] + b"!" + content[5001:],
        "text": b"x",
    }.items():
        path = tmp_path / f"{name}.tar.gz"
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="cannot be unpacked"):
            archive.unpack(path, tmp_path / "model")
    with pytest.raises(UserError, match="not found"):
        archive.unpack(tmp_path / "missing.tar.gz", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_unpacking_never_mixes_with_what_is_there(packed: Path, folder: Path) -> None:
    with pytest.raises(UserError, match="exists already"):
        archive.unpack(packed, folder)


def test_the_handler_in_the_archive_stands_alone(folder: Path) -> None:
    # A connected environment's Python imports a part of the project as it starts, for DVC.
    code = "import sys; before = set(sys.modules); import inference; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder / "code", check=True, stdout=subprocess.PIPE)
    assert "fashion_cnn" not in done.stdout.decode()


# The server


def fixed(status: int, content: bytes) -> Models:
    """A model that answers the same to everything."""
    return Models("model", {"model": {"1": lambda body: Prediction(status, content)}})  # noqa: ARG005


def with_code(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / "code" / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def _own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.mark.usefixtures("_own_path")
def test_a_bad_answer_of_tensorflow_serving_goes_to_the_client_and_never_to_the_output_handler(tmp_path: Path) -> None:
    code = (
        "def input_handler(data, context):\n    return data.read()\ndef output_handler(response, context):\n    1 / 0\n"
    )
    handler = load_handler(with_code(tmp_path, inference=code), fixed(400, b"no such input"))
    with pytest.raises(falcon.HTTPError) as refused:
        handler(io.BytesIO(b"x"), Context())
    assert (refused.value.status, refused.value.description) == ("400 Bad Request", "no such input")


@pytest.mark.usefixtures("_own_path")
def test_without_a_handler_json_reaches_the_model_as_it_is_and_nothing_else_does(tmp_path: Path) -> None:
    handler = load_handler(tmp_path, fixed(200, b"an answer"))
    assert handler(io.BytesIO(b"x"), Context(accept_header="text/x")) == (b"an answer", "text/x")
    with pytest.raises(falcon.HTTPUnsupportedMediaType, match="415"):
        handler(io.BytesIO(b"x"), Context(request_content_type="text/csv; charset=utf-8"))


@pytest.mark.parametrize(
    ("attributes", "path"),
    [
        ("", "model:predict"),
        ("trace=1,tfs-model-version=7,x", "model/versions/7:predict"),
        ("tfs-model-name=other,tfs-method=classify", "other:classify"),
    ],
)
def test_custom_attributes_say_what_tensorflow_serving_is_asked(attributes: str, path: str) -> None:
    context = describe({"X-Amzn-SageMaker-Custom-Attributes": attributes}, 3, "http://host:8080/x", "model")
    assert context.rest_uri == f"http://host:8080/x/v1/models/{path}"
    assert (context.content_length, context.timeout) == (3, 60)


@pytest.mark.parametrize(
    "bad", ["tfs-model-name=../x", "tfs-model-version=1/../2", "tfs-method=../../x", "tfs-method=status"]
)
def test_custom_attributes_that_lead_astray_are_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=f"invalid {bad.partition('=')[0]}"):
        describe({"X-Amzn-SageMaker-Custom-Attributes": bad}, 0, "", "model")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", as_json(IMAGES)),
        ("application/json", json.dumps({"instances": IMAGES.tolist()}, indent=1).encode()),
        (None, as_json(IMAGES)),
        ("application/x-npy", as_npy(IMAGES)),
    ],
)
def test_the_server_answers_a_hundred_images_as_the_model_does(
    server: Server, expected: np.ndarray, content_type: str | None, body: bytes
) -> None:
    np.testing.assert_allclose(server.invoke(body, content_type).probabilities, expected, atol=1e-5)


def test_the_server_answers_a_picture_as_the_model_does(server: Server, expected: np.ndarray) -> None:
    picture = as_picture(IMAGES[3], "PNG")
    plain = server.invoke(picture, "image/png", "fashion-cnn-picture=as-is")
    told = server.invoke(
        picture, "image/webp", "fashion-cnn-picture=as-is,fashion-cnn-mirror=yes,fashion-cnn-pixels=yes"
    )
    for reply in (plain, told):
        np.testing.assert_allclose(reply.probabilities, expected[3:4], atol=1e-5)
        (prediction,) = json.loads(reply.body)["predictions"]
        assert prediction["label"] == expected[3].argmax()
        assert prediction["class"] == fashion_mnist.CLASS_NAMES[prediction["label"]]
    np.testing.assert_array_equal(prediction["picture"]["pixels"], IMAGES[3])
    assert prediction["mirror"]["probabilities"] != prediction["probabilities"]
    assert server.invoke(HEIC.read_bytes(), "application/x-image").status == 200


def test_many_clients_at_once_each_get_their_own_answer(server: Server, expected: np.ndarray) -> None:
    with ThreadPoolExecutor(16) as clients:
        replies = clients.map(lambda n: server.invoke(as_json(IMAGES[n : n + 1])).probabilities, range(100))
        np.testing.assert_allclose(np.concatenate(list(replies)), expected, atol=1e-5)


def test_a_slow_client_blocks_nobody_and_is_answered_in_the_end(server: Server, expected: np.ndarray) -> None:
    body = as_json(IMAGES[:1])
    slow = [begin(server.port, body) for _ in range(20)]
    np.testing.assert_allclose(server.invoke(body).probabilities, expected[:1], atol=1e-5)
    for connection in slow:
        assert finish(connection, body).status == 200


def begin(port: int, body: bytes) -> socket.socket:
    """Send a request but for the last ten bytes of its body."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body))
    connection.sendall(body[:-10])
    return connection


def finish(connection: socket.socket, body: bytes) -> Reply:
    connection.sendall(body[-10:])
    response = http.client.HTTPResponse(connection)
    response.begin()
    reply = Reply(response.status, response.read())
    connection.close()
    return reply


def test_a_client_that_leaves_in_the_middle_does_no_harm(server: Server, folder: Path) -> None:
    for _ in range(5):
        begin(server.port, as_json(IMAGES)).close()
    assert server.invoke(as_json(IMAGES)).status == 200
    assert "Traceback" not in folder.with_name("server.log").read_text(encoding="utf-8")


def test_a_body_that_is_too_large_is_refused_and_one_that_just_fits_is_read(server: Server) -> None:
    body = as_json(IMAGES[:1])
    assert server.invoke(body.ljust(bodies.MAX_BYTES)).status == 200
    reply = server.invoke(body.ljust(bodies.MAX_BYTES + 1))
    assert (reply.status, "too large" in reply.body.decode()) == (413, True)
    chunked = server.invoke(bytes(100_000) for _ in range(100))
    assert chunked.status == 413


def test_what_is_wrong_is_said_with_the_fitting_status(server: Server) -> None:
    assert server.call("GET", "/invocations").status == 405
    assert server.call("GET", "/").status == 404
    assert server.invoke(b"1,2", "text/csv").status == 415
    reply = server.invoke(b"[" * 10_000)
    refused = {"title": "400 Bad Request", "description": "the JSON is nested too deeply"}  # Falcon's form of it
    assert (reply.status, json.loads(reply.body)) == (400, refused)


def test_a_version_or_a_model_that_is_not_there_is_not_found_and_a_forbidden_call_is_refused(server: Server) -> None:
    body = as_json(IMAGES[:1])
    assert server.invoke(body, attributes="tfs-model-version=1,tfs-method=predict").status == 200
    for absent, asked in {
        "tfs-model-version=7": "Specific(model, 7)",
        f"tfs-model-version={'9' * 5000}": f"Specific(model, {'9' * 5000})",
        "tfs-model-name=other": "Latest(other)",
    }.items():
        reply = server.invoke(body, attributes=absent)
        assert reply.status == 404
        assert f"Servable not found for request: {asked}" in json.loads(reply.body)["description"]
    reply = server.invoke(body, attributes="tfs-method=../../x")
    assert (reply.status, json.loads(reply.body)) == (
        400,
        {"error": "invalid tfs-method: must be one of predict|classify|regress"},
    )
    assert server.invoke(body, attributes="tfs-method=classify").status == 400


def test_an_archive_of_another_layout_with_one_handler_and_its_own_modules_is_served(tmp_path: Path) -> None:
    (tmp_path / "export" / "clothes" / "3").mkdir(parents=True)
    linear_model.pack(tmp_path / "packed.tar.gz", 0)
    archive.unpack(tmp_path / "packed.tar.gz", tmp_path / "packed")
    (tmp_path / "packed/1/saved_model.pb").rename(tmp_path / "export/clothes/3/saved_model.pb")
    with_code(
        tmp_path / "export",
        inference=Path(__file__).with_name("support").joinpath("handlers", "single.py").read_text(encoding="utf-8"),
        beside="NAME = 'code'",
        lib__only_in_lib="NAME = 'code/lib'",
    )
    with start(tmp_path / "export", tmp_path / "log", "support.model_servers.linear") as running:
        wait_until(lambda: running.call("GET", "/ping").status == 200)
        predictions = json.loads(running.invoke(as_json(IMAGES[:2])).body)["predictions"]
        np.testing.assert_allclose(predictions, linear_model.probabilities(IMAGES[:2], linear_model.weights(0)))
        reply = running.invoke(b"tea")
        assert (reply.status, json.loads(reply.body)["description"]) == (418, "code and code/lib")
        reply = running.invoke(b"half a character")
        assert (reply.status, json.loads(reply.body)) == (500, {"error": "\\ud800"})


@FUZZ_HTTP
@given(malformed_requests)
def fuzz_over_http(server: Server, request_: tuple[bytes, str]) -> None:
    reply = server.invoke(*request_)
    assert reply.status in (200, 400)
    assert json.loads(reply.body).keys() <= {"predictions", "title", "description"}


def test_no_malformed_request_brings_the_server_down_or_fills_its_log(server: Server, folder: Path) -> None:
    fuzz_over_http(server)
    assert server.call("GET", "/ping").status == 200
    assert "Traceback" not in folder.with_name("server.log").read_text(encoding="utf-8")


def test_the_server_is_healthy_only_when_it_is_loaded_and_ends_only_when_all_is_answered(
    folder: Path, tmp_path: Path
) -> None:
    body = as_json(IMAGES[:1])
    with start(folder, tmp_path / "log") as running:
        assert running.call("GET", "/ping").status == 503
        assert running.invoke(body).status == 503
        wait_until(lambda: running.call("GET", "/ping").status == 200, 120)
        connection = begin(running.port, body)
        assert running.call("GET", "/ping").status == 200  # so the server has seen the request before it
        running.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not listens(running.port))
        assert finish(connection, body).status == 200
        assert running.process.wait(30) == -signal.SIGTERM


def fails(*arguments: str) -> str:
    command = [sys.executable, "-m", "fashion_cnn.serving.server", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, encoding="utf-8")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_the_server_says_in_one_line_why_it_cannot_start(server: Server, tmp_path: Path) -> None:
    folder = f"--archive-folder={tmp_path}"
    assert "holds no model" in fails(folder, "--port=0")
    assert "not a loopback address" in fails(folder, "--host=0.0.0.0")
    assert "choose another port" in fails(folder, f"--port={server.port}")


@pytest.mark.usefixtures("_own_path")
def test_an_archive_without_a_model_or_a_whole_handler_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="holds no model"):
        load_models(tmp_path)
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "saved_model.pb").write_bytes(b"damaged")
    with pytest.raises(UserError, match="2: cannot be loaded"):
        load_models(tmp_path)
    monkeypatch.setenv("SAGEMAKER_TFS_DEFAULT_MODEL_NAME", "other")
    with pytest.raises(UserError, match="SAGEMAKER_TFS_DEFAULT_MODEL_NAME = other: the archive holds model"):
        load_models(tmp_path)
    half = with_code(tmp_path, inference="def input_handler(data, context): ...\n")
    with pytest.raises(UserError, match="neither handler nor both input_handler and output_handler"):
        load_handler(half, fixed(200, b""))


def test_models_are_found_where_the_container_looks_and_the_highest_version_answers(tmp_path: Path) -> None:
    for name in ("9", "10", "007", "clothes/3", "export/Servo/1", "clothes/notes", "code/5/deeper"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "saved_model.pb").touch()
    (tmp_path / "saved_model.pb").touch()
    found = find_models(tmp_path)
    assert {name: set(versions) for name, versions in found.items()} == {
        "model": {"9", "10", "7"},
        "clothes": {"3"},
        "Servo": {"1"},
    }

    def answering(text: str) -> tensorflow_serving.Predict:
        return lambda body: Prediction(200, text.encode())  # noqa: ARG005

    models = Models("model", {name: {number: answering(number) for number in found[name]} for name in found})
    assert models.call("model", None, "predict", b"").text == "10"
    assert models.call("model", "007", "predict", b"").text == "7"
    assert models.call("model", "8", "predict", b"").status_code == 404


def test_a_model_of_any_inputs_and_outputs_answers_rows_and_columns_as_tensorflow_serving_does(tmp_path: Path) -> None:
    import tensorflow as tf

    class Sums(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec((None, 2), tf.float32, name="a"),
                tf.TensorSpec((None,), tf.float32, name="b"),
            ]
        )
        def __call__(self, a: Any, b: Any) -> dict[str, Any]:
            total = tf.reduce_sum(a, axis=1) + b
            return {"sum": total, "twice": 2 * total}

    sums = Sums()
    tf.saved_model.save(sums, str(tmp_path / "sums" / "1"), signatures={"serving_default": sums.__call__})
    models = load_models(tmp_path)
    assert models.default == "sums"

    def call(request: Any) -> Prediction:
        return models.call("sums", None, "predict", json.dumps(request))

    rows = call({"instances": [{"a": [1, 2], "b": 0.5}, {"a": [0, 0], "b": 1}]})
    assert rows.json() == {"predictions": [{"sum": 3.5, "twice": 7.0}, {"sum": 1.0, "twice": 2.0}]}
    columns = call({"inputs": {"a": [[1, 2]], "b": [0.5]}, "signature_name": "serving_default"})
    assert columns.json() == {"outputs": {"sum": [3.5], "twice": [7.0]}}
    malformed: list[Any] = [
        [],
        {},
        {"instances": [[1, 2]]},
        {"instances": [{"a": [1]}]},
        {"inputs": 1, "signature_name": "x"},
    ]
    for bad in malformed:
        assert call(bad).status_code == 400
        assert call(bad).json()["error"]
