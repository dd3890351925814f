"""A private clone, in which DVC works on a commit without touching the user's files, and the objects that DVC holds."""

import configparser
import functools
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from fashion_cnn.experiments.commands import dvc, git

CONFIGURATION: Final = (Path(".dvc/config"), Path(".dvc/config.local"))
# Options of DVC that may be relative to .dvc; Source: `Config._map_dirs` of dvc/config.py.
PATHS: Final = ("url", "configpath", "credentialpath", "keyfile", "cert_path", "key_path")
# botocore tries five times, DVC several calls: a store that is not there would be noticed after minutes.
FEW_ATTEMPTS: Final = {"AWS_MAX_ATTEMPTS": "2"}


class Clone(NamedTuple):
    """A clone of this repository.

    Attributes:
        folder: where it lies.
        caches: where the objects of DVC may be found; the first is the clone's own, into which it fetches.
        environment: of what runs in it.
    """

    folder: Path
    caches: tuple[Path, ...]
    environment: Mapping[str, str]

    def checkout(self, commit: str) -> None:
        """Put the files of a commit into the clone."""
        git("checkout", "--quiet", "--force", "--detach", commit, folder=self.folder)

    def status(self) -> dict[str, list[Any]]:
        """By stage, what `dvc status` finds changed; without data, that inputs and outputs are missing too."""
        return json.loads(self._dvc("status", "--json"))

    def ask_store(self, path: str) -> None:
        """Ask the store for an output.

        Raises:
            UserError: it can't be asked.
        """
        self._dvc("status", "--cloud", "--json", path)

    def not_in_store(self) -> list[str]:
        """The files that the checked-out lock names and the store lacks.

        Raises:
            UserError: the store can't be asked.
        """
        asked = self._dvc("data", "status", "--not-in-remote", "--granular", "--json")
        return sorted(json.loads(asked).get("not_in_remote", []))

    def fetch(self, *what: str) -> None:
        """Bring outputs of the checked-out commit, or files in them, from the store.

        Args:
            what: paths, stages and options, as `dvc fetch` takes them.

        Raises:
            UserError: it lacks some; what it has was brought.
        """
        self._dvc("fetch", "--quiet", *what)

    def _dvc(self, *arguments: str) -> str:
        return dvc(*arguments, folder=self.folder, environment={**FEW_ATTEMPTS, **self.environment})

    def read(self, digest: str) -> bytes | None:
        """The object under a digest, where one of the caches has it."""
        return read(digest, *self.caches)


def read(digest: str, *caches: Path) -> bytes | None:
    """The object under a digest; None where no cache has it."""
    found = next((path for cache in caches if (path := place(digest, cache)).is_file()), None)
    return found.read_bytes() if found else None


def place(digest: str, cache: Path) -> Path:
    """Where a cache keeps the object under a digest.

    Source: dvc.org/doc/user-guide/project-structure/internal-files, "Structure of the cache directory".
    """
    return cache / "files" / "md5" / digest[:2] / digest[2:]


def cache() -> Path:
    """DVC's cache of the repository in the working folder."""
    return _cache_of(Path.cwd())


@functools.cache
def _cache_of(repository: Path) -> Path:
    return repository / dvc("cache", "dir", folder=repository).strip()


@contextmanager
def temporary(commit: str) -> Iterator[Clone]:
    """A clone for a while, whose own cache is empty; the user's is only read.

    What DVC's tools say of the store is only true there: they take for granted that a folder which they once saw in the
    store is still whole.
    """
    with tempfile.TemporaryDirectory(prefix="fashion-cnn-") as scratch:
        made = make(commit, Path(scratch, "clone"), Path(scratch, "cache"), os.environ)
        yield made._replace(caches=(*made.caches, cache()))


def make(commit: str, folder: Path, own_cache: Path, environment: Mapping[str, str]) -> Clone:
    """Clone the repository in the working folder at a commit, with its author and its connection to the store.

    Args:
        commit: that is checked out.
        folder: is made.
        own_cache: of the clone.
        environment: as in `Clone`.
    """
    cloned = Clone(folder, (own_cache,), environment)
    git("clone", "--quiet", "--shared", "--no-checkout", str(Path.cwd()), str(folder))
    for option in ("user.name", "user.email"):
        if value := git("config", "--get", "--default", "", option).strip():
            git("config", option, value, folder=folder)
    cloned.checkout(commit)
    configuration = configparser.RawConfigParser()
    configuration.read(CONFIGURATION, encoding="utf-8")
    for section in configuration.sections():
        for name in PATHS:
            value = configuration.get(section, name, fallback="").strip("\"'")
            if value and "://" not in value and not value.startswith("~"):
                configuration.set(section, name, f'"{Path(".dvc", value).absolute()}"')
    configuration.read_dict(
        {
            "cache": {"dir": f'"{own_cache}"'},
            "core": {"site_cache_dir": f'"{folder}/.dvc/tmp/site"'},
            "exp": {"auto_push": "false"},
        }
    )
    with (folder / ".dvc" / "config.local").open("w", encoding="utf-8") as file:
        configuration.write(file)
    return cloned
