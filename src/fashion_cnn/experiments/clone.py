"""A private clone, in which DVC works on a commit without touching the user's files, and what the store gives it.

What DVC's own tools say of the store is only true there: it takes for granted that a folder which it once saw in the
store is still whole, and notes that in a folder of the machine (`core.site_cache_dir`).
"""

import configparser
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from fashion_cnn.core.errors import UserError
from fashion_cnn.experiments.commands import dvc, git

CONFIGURATION: Final = (Path(".dvc/config"), Path(".dvc/config.local"))
# Options of DVC that may be relative to .dvc; Source: `Config._map_dirs` of dvc/config.py.
PATHS: Final = ("url", "dir", "configpath", "credentialpath", "keyfile", "cert_path", "key_path")
QUOTES: Final = "\"'"
# botocore tries five times, DVC several calls: a store that is not there would be noticed after minutes.
FEW_ATTEMPTS: Final = {"AWS_MAX_ATTEMPTS": "2"}


class Clone(NamedTuple):
    """A clone of this repository.

    Attributes:
        folder: where it lies; its cache holds only what was fetched into it.
        caches: where the objects of DVC may be found: its own cache, then the user's, which is only read.
    """

    folder: Path
    caches: tuple[Path, ...]

    def checkout(self, commit: str) -> None:
        """Put the files of a commit into the clone."""
        git("checkout", "--quiet", "--force", "--detach", commit, folder=self.folder)

    def status(self) -> dict[str, list[Any]]:
        """By stage, what `dvc status` finds changed; without data, that inputs and outputs are missing too."""
        return json.loads(dvc("status", "--json", folder=self.folder))

    def not_in_store(self) -> list[str]:
        """The files that the checked-out lock names and the store lacks.

        Raises:
            UserError: the store can't be asked.
        """
        asked = self._dvc("data", "status", "--not-in-remote", "--granular", "--json")
        return sorted(json.loads(asked).get("not_in_remote", []))

    def fetch(self, paths: Sequence[str]) -> None:
        """Bring single files of the checked-out commit from the store, as far as it has them."""
        try:
            self._dvc("fetch", *paths)
        except UserError:
            return  # DVC fetched the others

    def _dvc(self, *arguments: str) -> str:
        return dvc(*arguments, folder=self.folder, environment=FEW_ATTEMPTS | os.environ)

    def read(self, digest: str) -> bytes | None:
        """The object under a digest, of what was fetched or lies in the user's cache."""
        places = (cache / "files" / "md5" / digest[:2] / digest[2:] for cache in self.caches)
        found = next((place for place in places if place.is_file()), None)
        return found.read_bytes() if found else None


@contextmanager
def clone(commit: str) -> Iterator[Clone]:
    """A clone of the repository in the working folder at a commit, with its connection to the store, for a while."""
    with tempfile.TemporaryDirectory(prefix="fashion-cnn-") as temporary:
        folder = Path(temporary, "clone")
        git("clone", "--quiet", "--shared", "--no-checkout", str(Path.cwd()), str(folder))
        configuration = _configuration()
        users_cache = Path(configuration.get("cache", "dir", fallback=".dvc/cache").strip(QUOTES)).absolute()
        own_cache = Path(temporary, "cache")
        configuration.read_dict({"cache": {"dir": f'"{own_cache}"'}, "core": {"site_cache_dir": f'"{temporary}/site"'}})
        cloned = Clone(folder, (own_cache, users_cache))
        cloned.checkout(commit)
        with (folder / ".dvc" / "config.local").open("w", encoding="utf-8") as file:
            configuration.write(file)
        yield cloned


def _configuration() -> configparser.RawConfigParser:
    """DVC's configuration of this repository, its relative paths made absolute."""
    configuration = configparser.RawConfigParser()
    configuration.read(CONFIGURATION, encoding="utf-8")
    for section in configuration.sections():
        for name in PATHS:
            value = configuration.get(section, name, fallback="").strip(QUOTES)
            if value and "://" not in value and not value.startswith("~"):
                configuration.set(section, name, f'"{Path(".dvc", value).absolute()}"')
    return configuration
