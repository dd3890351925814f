"""What of the machine decides the trained bytes: chosen before TensorFlow is imported, recorded with the result."""

import os
import platform
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

from fashion_cnn.core.errors import UserError
from fashion_cnn.core.params import Train

ISA_LIMIT: Final = "ONEDNN_MAX_CPU_ISA"  # a person's own limit of oneDNN's instruction sets, or that of `portable`
# What decides which kernels oneDNN takes. In which precision they compute no shell decides: see core/process.py.
# Source: oneDNN's documentation, "CPU dispatcher control"; tensorflow/core/util/port.cc.
PORTABLE: Final = {"TF_ENABLE_ONEDNN_OPTS": "1", ISA_LIMIT: "AVX2"}
# What Linux calls the instructions, and the names of the limits of oneDNN that leave them out.
AVX512: Final = {"avx512bw"}
BELOW_AVX512: Final = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2")
BELOW_VNNI: Final = (*BELOW_AVX512, "AVX512_CORE")
BFLOAT16: Final = {"amx_bf16", "avx512_bf16"}
BELOW_BFLOAT16: Final = (*BELOW_VNNI, "AVX512_CORE_VNNI")


def prepare(settings: Train) -> None:
    """Make TensorFlow take the kernels that the parameters ask for. Call before it is imported.

    oneDNN has no convolutions in bfloat16 for processors without AVX-512; TensorFlow's own kernels emulate it.

    Raises:
        UserError: `train.portable` can't be kept on this machine.
    """
    if settings.precision == "mixed_bfloat16" and not _may_use(AVX512, BELOW_AVX512):
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    if not settings.portable:
        return
    system = (platform.system(), platform.machine())
    if system != ("Linux", "x86_64") or "X86_V3" not in instruction_sets():
        raise UserError(
            f"train.portable = true promises the same bytes on Linux on x86-64 processors with AVX2 alone, and this is "
            f"{' on '.join(system)}{'' if system[1] != 'x86_64' else ' without AVX2'}; set train.portable to false"
        )
    if "tensorflow" in sys.modules:
        raise RuntimeError("TensorFlow was imported before its kernels were chosen")
    os.environ |= PORTABLE


def cores() -> int:
    """How many the process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def environment(settings: Train) -> dict[str, Any]:
    """What of the machine decides the bytes, but for the versions; in portable mode the same on all.

    One thread there: how a matrix product is cut into parts that are summed depends on the number of threads.
    """
    if settings.portable:
        return {"threads": 1, "instruction_set": PORTABLE[ISA_LIMIT], "kernels": "oneDNN"}
    limited = os.environ.get(ISA_LIMIT)
    return {
        "threads": settings.threads or cores(),
        "instruction_set": " ".join(instruction_sets()) + (f", oneDNN limited to {limited}" if limited else ""),
        "kernels": "oneDNN" if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "1" else "Eigen",
    }


def instruction_sets() -> list[str]:
    """What the processor can compute with, beyond what every one of its kind can, as NumPy names it."""
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    return list(simd["found"] or simd["baseline"])


def computes_bfloat16() -> bool:
    """Whether the processor has instructions for bfloat16 and oneDNN may use them; elsewhere than Linux it is unknown.

    Elsewhere bfloat16 is emulated, and slower than float32.
    """
    return _may_use(BFLOAT16, BELOW_BFLOAT16)


def _may_use(instructions: set[str], lower_limits: tuple[str, ...]) -> bool:
    """Whether the processor has one of these instructions and oneDNN is not limited to less."""
    return bool(instructions & set(_described("flags").split())) and os.environ.get(ISA_LIMIT) not in lower_limits


def name() -> str:
    """The processor's name for people."""
    return _described("model name") or platform.processor() or platform.machine()


def _described(name: str) -> str:
    """What Linux says of the first core under a name; nothing elsewhere."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
