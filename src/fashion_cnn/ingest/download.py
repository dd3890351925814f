"""Bringing Fashion-MNIST's four files from the first source that has them, and verifying their content."""

import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pooch
import requests
import urllib3

from fashion_cnn.core.errors import UserError
from fashion_cnn.core.fashion_mnist import SHA256

FOLDER_VARIABLE: Final = "FASHION_MNIST_DIR"
WEB_SOURCES: Final = (
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",  # what keras.datasets uses
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",  # the authors' own
)
DEBIAN_PACKAGE: Final = "dataset-fashion-mnist"
DEBIAN_FOLDER: Final = Path("/usr/share/datasets/fashion-mnist")  # where the package puts the files
TIMEOUT: Final = 5  # seconds to connect, and between two pieces of an answer
RETRIES: Final = 2


class SourceError(Exception):
    """One source could not deliver; the next one is tried."""


def fetch(folder: Path) -> str:
    """Write the four decompressed IDX files to `folder` and say which source they came from.

    The folder named by the environment variable FASHION_MNIST_DIR comes first, then the web, then Debian's package.

    Raises:
        UserError: no source had all four files with the right content; says what each answered.
    """
    sources: list[tuple[str, Callable[[Path], Path]]] = []
    if named := os.environ.get(FOLDER_VARIABLE):
        sources.append((f"{FOLDER_VARIABLE}={named}", lambda _: Path(named)))
    sources += [(url, lambda scratch, url=url: _from_web(url, scratch)) for url in WEB_SOURCES]  # type: ignore[misc]
    sources.append((f"Debian package {DEBIAN_PACKAGE}", _from_debian))

    answers = []
    for name, fetch_from in sources:
        with tempfile.TemporaryDirectory() as scratch:
            try:
                _unpack_and_verify(fetch_from(Path(scratch)), folder)
            except SourceError as error:
                answers.append(f"{name}: {error}")
                print(f"fetch: {answers[-1]}", flush=True)
            else:
                return name
    raise UserError(
        f"Fashion-MNIST: no source has it. {'; '.join(answers)}. "
        f"Set {FOLDER_VARIABLE} to a folder with {', '.join(SHA256)} (plain or .gz)"
    )


def _unpack_and_verify(source: Path, folder: Path) -> None:
    for name, expected in SHA256.items():
        plain, packed, target = source / name, source / f"{name}.gz", folder / name
        if plain.is_file():
            shutil.copyfile(plain, target)
        elif packed.is_file():
            try:
                with gzip.open(packed) as content, target.open("wb") as file:
                    shutil.copyfileobj(content, file)
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                raise SourceError(f"{packed.name} is not a whole gzip file ({error})") from error
        else:
            raise SourceError(f"neither {name} nor {name}.gz is there")
        found = pooch.file_hash(str(target), alg="sha256")
        if found != expected:
            raise SourceError(f"{name} fails its digest: SHA-256 {found}, expected {expected}")


def _from_web(url: str, scratch: Path) -> Path:
    downloads = pooch.create(
        path=scratch,
        base_url=url,
        registry={f"{name}.gz": None for name in SHA256},  # None: archives differ, their content is verified
        retry_if_failed=RETRIES,
    )
    pooch.get_logger().setLevel("WARNING")  # the progress bar says enough
    try:
        for name in downloads.registry:
            downloads.fetch(name, downloader=_download)
    except requests.RequestException as error:
        raise SourceError(_reason(error)) from error
    return scratch


def _download(url: str, file: Any, downloads: pooch.Pooch) -> None:
    """Pooch tries again what broke off; what can't even be connected to is left at once for the next source."""
    try:
        pooch.HTTPDownloader(timeout=TIMEOUT, progressbar=sys.stderr.isatty())(url, file, downloads)
    except requests.ConnectionError as error:
        if isinstance(error.args[0], urllib3.exceptions.MaxRetryError):
            raise SourceError(f"out of reach ({_reason(error)})") from error
        raise


def _reason(error: BaseException) -> str:
    """The innermost cause: requests wraps what happened in the names of its own layers."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return " ".join(str(error).split())


def _from_debian(scratch: Path) -> Path:
    """Download and unpack Debian's package, without root and without touching the system's own package lists."""
    if DEBIAN_FOLDER.is_dir():
        return DEBIAN_FOLDER
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise SourceError("apt-get and dpkg-deb are not on this machine")
    state, cache = scratch / "state", scratch / "cache"
    for needed in (state / "lists" / "partial", cache / "archives" / "partial"):
        needed.mkdir(parents=True)
    apt = [
        "apt-get", "--quiet", f"-oDir::State={state}", f"-oDir::State::lists={state / 'lists'}",
        f"-oDir::Cache={cache}", f"-oAcquire::http::Timeout={TIMEOUT}", f"-oAcquire::https::Timeout={TIMEOUT}",
        f"-oAcquire::Retries={RETRIES}", "-oAPT::Sandbox::User=",
    ]  # fmt: skip
    _call([*apt, "update"], scratch)
    _call([*apt, "download", DEBIAN_PACKAGE], scratch)
    package = next(scratch.glob(f"{DEBIAN_PACKAGE}_*.deb"), None)
    if package is None:
        raise SourceError("apt-get downloaded no package")
    _call(["dpkg-deb", "-x", str(package), str(scratch / "unpacked")], scratch)
    return scratch / "unpacked" / DEBIAN_FOLDER.relative_to("/")


def _call(command: list[str], folder: Path) -> None:
    words = [word for word in command if not word.startswith(("-", "/"))]
    print(f"fetch: {' '.join(words)}", flush=True)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, encoding="utf-8")
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise SourceError(f"{command[0]} failed with exit status {done.returncode}: {lines[-1]}")
