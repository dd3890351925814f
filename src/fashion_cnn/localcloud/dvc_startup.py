"""Runs first in every Python of a connected environment: gives DVC, once it is imported, its S3 file system.

No option of a DVC remote keeps a proxy or an exported variable away from it, so a few lines have to run inside.
"""

from __future__ import annotations  # every Python of the environment would wait for the imports of the types

import sys
from importlib.machinery import PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

# Where DVC looks up the implementation of an address's scheme.
REGISTRY = "dvc_objects.fs"


class _Finder:
    """Waits for the import of DVC's registry, and for nothing else."""

    @classmethod
    def find_spec(cls, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The registry's module, whose entry for S3 is replaced when it has run."""
        if name != REGISTRY:
            return None
        sys.meta_path.remove(cls)
        spec = PathFinder.find_spec(name, path, target)
        if spec and spec.loader:
            run = spec.loader.exec_module

            def run_and_replace(registry: ModuleType) -> None:
                run(registry)
                registry.known_implementations["s3"]["class"] = "fashion_cnn.localcloud.dvc_remote.S3FileSystem"

            spec.loader.exec_module = run_and_replace  # type: ignore[assignment, method-assign]
        return spec


if REGISTRY not in sys.modules:
    sys.meta_path.insert(0, _Finder)
