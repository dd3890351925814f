"""Keras and TensorFlow, imported in one way by all that trains, exports or serves a network.

- With oneDNN's kernels. TensorFlow switches them off where the processor lacks AVX512_VNNI, although a training step
  takes half to three quarters of the time with them there, too. A person's own TF_ENABLE_ONEDNN_OPTS wins.
- Without what they import merely because it is installed: half the time. Keras offers wrappers for scikit-learn and
  takes pandas frames, TensorFlow tests with SciPy and draws with Matplotlib; nothing here does. A module that is None
  in `sys.modules` counts as not installed.
- Without the thread that tunes how Keras reads arrays. Whatever ends an iterator waits until that thread wakes, and it
  sleeps ever longer: 8 to 18 seconds at the end of an epoch in which nothing is computed. There is nothing to tune: the
  arrays lie in memory.
- Without the lines that TensorFlow prints before its own log level applies. What is not one of them stays visible.

Source: tensorflow/core/util/port.cc, `IsMklEnabled`; tensorflow/core/data/root_dataset.cc, `model_thread_`;
docs.python.org/3/reference/import.html, "The module cache".
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Final

from fashion_cnn.core import process  # noqa: F401 (Keras and TensorFlow read variables while they are imported)

NOT_NEEDED: Final = ("IPython", "matplotlib", "pandas", "scipy", "sklearn")
# How lines begin that say nothing a person must know: absl's notes, its notice of where it writes them, and a missing
# GPU, which TensorFlow calls an error. The continuation of a note begins with "To enable".
CHATTER: Final = ("I0000 ", "WARNING: All log messages before absl::InitializeLog()", "To enable the following")
NO_GPU: Final = "failed call to cuInit"


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """Hold back what native code writes to standard error in the block, and let through all that is not chatter."""
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)
            held_back.seek(0)
            for line in held_back.read().decode(errors="replace").splitlines(keepends=True):
                if not line.startswith(CHATTER) and NO_GPU not in line:
                    sys.stderr.write(line)


os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reports a missing GPU as an error
hidden = [name for name in NOT_NEEDED if name not in sys.modules]
sys.modules.update(dict.fromkeys(hidden))
try:
    with _without_chatter():
        import keras
        import tensorflow as tf
        from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

        tf.config.list_physical_devices()  # here, so that its lines are held back with the others
finally:
    for name in hidden:
        del sys.modules[name]


def _untuned(
    get_dataset: Callable[[ArrayDataAdapter], tf.data.Dataset],
) -> Callable[[ArrayDataAdapter], tf.data.Dataset]:
    options = tf.data.Options()
    options.autotune.enabled = False
    return lambda adapter: get_dataset(adapter).with_options(options)


ArrayDataAdapter.get_tf_dataset = _untuned(ArrayDataAdapter.get_tf_dataset)

__all__ = ["keras", "tf"]
