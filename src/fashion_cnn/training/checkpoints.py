"""A fit that goes on where an interrupted one ended, to the same bytes: a file after every epoch."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from fashion_cnn.core.lean_keras import keras


class Checkpoint(keras.callbacks.Callback):
    """Keeps the state of a fit after every epoch, and takes it up again in a fit of the same network and data.

    Epochs that were fitted before are passed over: their batches are drawn and dropped, so that the order of the
    images goes on as if they had been fitted. Weights, the optimizer's state and that of dropout come from the file.

    Attributes:
        epoch: how many epochs had been fitted when this fit began; 0 without a file.
        curves: the learning curves of all epochs so far, by Keras's names.
    """

    def __init__(self, path: Path) -> None:
        """Read the file, where there is one."""
        super().__init__()
        self.path = path
        self.state: list[np.ndarray] = []
        self.curves: dict[str, list[float]] = {}
        if path.exists():
            with np.load(path) as file:
                self.state = [file[f"variable_{number}"] for number in range(len(file.files) - 1)]
                self.curves = json.loads(str(file["curves"]))
        self.epoch = len(self.curves.get("loss", []))
        if self.epoch:
            print(f"{path.name}: going on after epoch {self.epoch}", flush=True)

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Pass over the first epochs; where these are all, over the rest of the first, too."""
        if self.epoch:
            self.fitting, self.model.train_function = self.model.train_function, self._draw
            self.model.evaluate = lambda **_: {}
            self.model.stop_training = self.epoch == self.params["epochs"]

    def _draw(self, batches: Any) -> dict[str, float]:
        if not self.model.optimizer.built:  # it is by its first step, which makes what Keras asks for after an epoch
            return self.fitting(batches)
        for _ in range(self.model.steps_per_execution):
            next(batches, None)
        return {}

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Take the state up at the first epoch that is new."""
        if self.epoch and epoch == self.epoch:
            self._restore()

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        """Take it up where every epoch was fitted before."""
        if self.epoch and self.epoch == self.params["epochs"]:
            self._restore()

    def _restore(self) -> None:
        self.model.train_function = self.fitting
        del self.model.evaluate
        for variable, value in zip(self._variables(), self.state, strict=True):
            variable.assign(value)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write the file, all or nothing."""
        if epoch < self.epoch:
            return
        for name, value in logs.items():
            self.curves.setdefault(name, []).append(float(value))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        with partial.open("wb") as file:
            values = {f"variable_{number}": one.numpy() for number, one in enumerate(self._variables())}
            np.savez(file, curves=json.dumps(self.curves), **values)
        partial.replace(self.path)

    def _variables(self) -> list[Any]:
        """Weights, states of random numbers, and the optimizer's; metrics begin anew with every epoch."""
        measured = {id(variable) for metric in self.model.metrics for variable in metric.variables}
        own = [variable for variable in self.model.variables if id(variable) not in measured]
        return own + list(self.model.optimizer.variables)
