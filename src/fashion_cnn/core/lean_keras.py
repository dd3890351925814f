"""Keras and TensorFlow, imported without what they import merely because it is installed: half the time.

Keras offers wrappers for scikit-learn and takes pandas frames, TensorFlow tests with SciPy and draws with
Matplotlib; nothing here does. A module that is None in `sys.modules` counts as not installed.

Source: docs.python.org/3/reference/import.html, "The module cache".
"""

import os
import sys
from typing import Final

NOT_NEEDED: Final = ("IPython", "matplotlib", "pandas", "scipy", "sklearn")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reports a missing GPU as an error
hidden = [name for name in NOT_NEEDED if name not in sys.modules]
sys.modules.update(dict.fromkeys(hidden))
try:
    import keras
    import tensorflow as tf
finally:
    for name in hidden:
        del sys.modules[name]

__all__ = ["keras", "tf"]
