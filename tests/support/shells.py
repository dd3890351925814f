"""Shells and home folders of other people's projects: nothing in them decides a result or breaks a stage."""

import json
import os
from pathlib import Path

from fashion_cnn.training import processor


def other_kernels() -> dict[str, str]:
    """This shell, but for the kernels: an ordinary processor's, or, where the tests are limited to them, the best."""
    inherited = {name: value for name, value in os.environ.items() if name not in processor.PORTABLE}
    limited = os.environ.get(processor.ISA_LIMIT) == "AVX2"
    return inherited if limited else inherited | {processor.ISA_LIMIT: "AVX2"}


def jupyter(home: Path) -> dict[str, str]:
    """A notebook on a Spanish terminal."""
    return _furnished(home) | {
        "LC_ALL": "es_ES.ISO-8859-1",  # it may not be installed; the next line says the same for the output
        "PYTHONIOENCODING": "latin-1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "MPLCONFIGDIR": str(home / "matplotlib"),
        "PYTHONHASHSEED": "123",
        "TZ": "Pacific/Apia",
    }


def service(home: Path) -> dict[str, str]:
    """A service, with another project's settings."""
    return _furnished(home) | {
        "LC_ALL": "POSIX",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONUTF8": "0",
        "PYTHONIOENCODING": "ascii",
        "DNNL_MAX_CPU_ISA": "AVX2",
        "KERAS_BACKEND": "torch",
        "KERAS_MAX_STEPS_PER_EPOCH": "1",
        "MATPLOTLIBRC": str(home / "matplotlib"),
        "MPLBACKEND": "nonsense",
        "PYTHONPATH": str(home / "foreign"),
        "PYTHONWARNINGS": "error",
        "TF_USE_LEGACY_KERAS": "1",
        "TF_XLA_FLAGS": "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit",
    }


def _furnished(home: Path) -> dict[str, str]:
    """A home folder full of settings that libraries read."""
    for folder in (".keras", "matplotlib", "foreign"):
        (home / folder).mkdir(parents=True)
    keras = {"backend": "torch", "floatx": "float64", "image_data_format": "channels_first", "epsilon": 0.1}
    (home / ".keras" / "keras.json").write_text(json.dumps(keras), encoding="utf-8")
    settings = ["text.usetex: True", "font.size: 20", "font.family: serif", "axes.grid: True", "lines.linewidth: 9"]
    (home / "matplotlib" / "matplotlibrc").write_text("\n".join(settings), encoding="utf-8")
    (home / "foreign" / "numpy.py").write_text("raise ImportError('of another environment')", encoding="utf-8")
    return {"HOME": str(home)}
