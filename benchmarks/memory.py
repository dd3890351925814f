"""The most memory that a process had; standard library alone, so that the measured process can ask for itself."""

import re
import resource
import sys
from pathlib import Path


def peak(pid: int | None = None) -> int:
    """Bytes of the most physical memory that a process had, by default this one.

    On Linux `getrusage` would not do: a new process starts with its parent's peak. Elsewhere there is nothing better,
    and only for this process.
    """
    status = Path(f"/proc/{pid or 'self'}/status")
    if status.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8"))
        return int(found[1]) * 1024 if found else 0
    if pid is not None:
        raise SystemExit("error: another process's peak memory can only be read on Linux")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
