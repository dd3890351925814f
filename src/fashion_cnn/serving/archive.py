"""The model archive, model.tar.gz, as AWS's TensorFlow Serving container expects it: packing and unpacking.

Source: github.com/aws/sagemaker-tensorflow-serving-container, README.md, "Pre/Post-Processing"; github.com/aws/
deep-learning-containers, scripts/docker/tensorflow/inference/sagemaker/serve.py.
"""

import gzip
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Final

from fashion_cnn.core.errors import UserError

HANDLER: Final = "code/inference.py"
# The container installs this list with pip when it starts, unless the archive brings code/lib. NumPy and Falcon, which
# the handler imports too, are in the image, and nothing here replaces them. pi-heif reads HEIC, which telephones save;
# it is pillow-heif by the same authors, 4 MB instead of 27 for want of an encoder.
# Source: github.com/aws/deep-learning-containers, docker/tensorflow/inference/2.20/cpu/pyproject.toml.
REQUIREMENTS: Final = "pillow==13.0.0\npi-heif==1.4.0\n"
# Wheels for the container: Python 3.12 on Amazon Linux 2023, on x86-64, where alone AWS has an image of it.
WHEELS: Final = ("--python-version=3.12", "--platform=manylinux_2_28_x86_64", "--only-binary=:all:", "--no-deps")
LIBRARY: Final = "code/lib"

MAX_MEMBERS: Final = 1000
MAX_BYTES: Final = 1024**3


def fetch_library(folder: Path) -> None:
    """Bring what the handler needs in the container and the image lacks, as files for the archive's code/lib.

    Args:
        folder: where to; new or empty.

    Raises:
        UserError: pip can't bring it.
    """
    options = ["--quiet", "--disable-pip-version-check", "--no-compile", f"--target={folder}", *WHEELS]
    command = [sys.executable, "-m", "pip", "install", *options, *REQUIREMENTS.split()]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode:
        said = (done.stderr.strip() or "pip failed").splitlines()[-1]
        raise UserError(
            f"the handler's packages for the container can't be brought: {said}; deploy.aws.network_isolation and "
            "deploy.aws.serverless need them in the archive"
        )


def pack(saved_model: bytes, archive: Path, library: Path | None = None) -> None:
    """Write a model archive: model version 1 and the request handler; the same bytes for the same model.

    Args:
        saved_model: the content of `saved_model.pb`, as `export.saved_model` returns it.
        archive: the file to write; it appears under its name only when it is complete.
        library: a folder that becomes code/lib, so that the container installs nothing when it starts.
    """
    files = {
        "1/saved_model.pb": saved_model,
        HANDLER: Path(__file__).with_name("inference.py").read_bytes(),
        "code/requirements.txt": REQUIREMENTS.encode(),
    }
    if library:
        brought = [path for path in sorted(library.rglob("*")) if path.is_file()]
        files |= {f"{LIBRARY}/{path.relative_to(library).as_posix()}": path.read_bytes() for path in brought}
    partial = archive.with_name(f"{archive.name}.partial")
    # No file name and no time in the gzip header; a fresh TarInfo has owner 0, time 0 and mode 0644.
    with (
        partial.open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    partial.replace(archive)


def unpack(archive: Path, folder: Path, max_bytes: int = MAX_BYTES, max_members: int = MAX_MEMBERS) -> None:
    """Unpack a model archive that may come from anyone; all of it or nothing.

    Args:
        archive: a tar file compressed with gzip.
        folder: where to; it must not exist, or be empty.
        max_bytes: of the decompressed tar file, and of all files together.
        max_members: files and folders in the archive.

    Raises:
        UserError: the archive is missing, damaged or too large, a member is neither a file nor a folder or
            would land outside, or `folder` holds something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: exists already; unpack into a new or an empty folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
        unpacked = Path(beside, "unpacked")
        unpacked.mkdir()
        try:
            with tempfile.TemporaryFile(dir=beside) as plain:
                _decompress(archive, plain, max_bytes)
                with tarfile.open(fileobj=plain, mode="r:") as tar:
                    _check(tar, archive, max_bytes, max_members)
                    _write(tar, unpacked)
            unpacked.replace(folder)
        except FileNotFoundError:
            raise UserError(f"{archive}: not found") from None
        except (OSError, EOFError, zlib.error, tarfile.TarError, ValueError) as error:
            raise UserError(f"{archive}: cannot be unpacked as tar.gz: {without_path(error)}") from error


def without_path(error: BaseException) -> str:
    """What an error says, but for the path on this machine that the system's errors end with."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _decompress(archive: Path, plain: IO[bytes], max_bytes: int) -> None:
    """Decompress first, and count: it bounds what tarfile may read into memory."""
    with gzip.open(archive) as stream:
        while chunk := stream.read(1024**2):
            if plain.tell() + len(chunk) > max_bytes:
                raise UserError(f"{archive}: more than {max_bytes} bytes decompressed; allowed: up to that")
            plain.write(chunk)
    plain.seek(0)


def _write(tar: tarfile.TarFile, folder: Path) -> None:
    """Write files and folders, and of each nothing but its content: `extractall` has filters since Python 3.11.4."""
    for member in tar:
        path = folder / member.name
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            content = tar.extractfile(member)
            assert content  # noqa: S101 (what is no folder is a file: _check)
            with path.open("wb") as file:
                shutil.copyfileobj(content, file)


def _check(tar: tarfile.TarFile, archive: Path, max_bytes: int, max_members: int) -> None:
    """Refuse an archive before anything of it is written."""
    total, files, folders = 0, set[PurePosixPath](), set[PurePosixPath]()
    for count, member in enumerate(tar, start=1):
        path = PurePosixPath(member.name)
        total += member.size
        if not (member.isreg() or member.isdir()):
            raise UserError(f"{archive}: {member.name!r} is a link or a device; allowed: files and folders")
        if path.is_absolute() or ".." in path.parts:
            raise UserError(f"{archive}: {member.name!r} leads outside; allowed: relative paths without '..'")
        if count > max_members:
            raise UserError(f"{archive}: more than {max_members} members; allowed: up to that")
        if total > max_bytes:
            raise UserError(f"{archive}: files of more than {max_bytes} bytes together; allowed: up to that")
        (folders if member.isdir() else files).add(path)
        folders.update(path.parents)
    if both := files & folders:
        raise UserError(f"{archive}: {str(min(both))!r} is a file and a folder at once; allowed: one of them")
