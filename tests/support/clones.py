"""A clone of the repository, in which commands run as a person runs them."""

import subprocess
from pathlib import Path
from typing import NamedTuple


class Clone(NamedTuple):
    """A clone and the environment in which its person works."""

    folder: Path
    environment: dict[str, str]

    def call(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = self.environment | variables
        return subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )

    def run(self, *command: str, **variables: str) -> str:
        done = self.call(*command, **variables)
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def read(self, path: str) -> str:
        return (self.folder / path).read_text(encoding="utf-8")
