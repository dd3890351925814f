"""The same networks in PyTorch, as its users would train them; asked through `worker`, as the Keras ones are.

python -m benchmarks.peers float32|bfloat16 needs PyTorch and NumPy, in whichever environment has them.
"""

import os
import sys
import time
from typing import Any

from benchmarks import data, worker

BATCH_SIZE = 128
VALIDATION_BATCH = 1000
KERNELS = {"baseline": None, "cnn3": 3, "cnn5": 5}


def network(arm: str) -> Any:
    """The arm's network; it answers logits, as PyTorch's cross-entropy wants them."""
    from torch import nn  # noqa: PLC0415 (it may be missing, which `main` says)

    kernel = KERNELS[arm]
    if kernel is None:
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10))
    layers = [
        nn.Conv2d(1, 32, kernel, padding="same"),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, kernel, padding="same"),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(3136, 64),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(64, 10),
    ]
    return nn.Sequential(*layers)


def turns(precision: str, arm: str, images: int, epochs: int) -> None:
    """Fit one arm, an epoch a request; answers as `keras_worker.Turns` does."""
    import torch  # noqa: PLC0415
    from torch import nn  # noqa: PLC0415

    called = time.perf_counter()
    (pixels, classes), _ = data.load()
    count = round(images / 0.8)
    scaled = torch.from_numpy(pixels[:count].copy()).unsqueeze(1).float().div_(255)
    labels = torch.from_numpy(classes[:count].astype("int64"))
    # NHWC is what oneDNN's convolutions are quickest with, in both precisions.
    model = network(arm).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    cross_entropy = nn.CrossEntropyLoss()
    mixed = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")

    def train() -> tuple[float, float]:
        model.train()
        loss_sum, correct = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for batch in torch.randperm(images).split(BATCH_SIZE):
            inputs, truth = scaled[batch], labels[batch]
            optimizer.zero_grad(set_to_none=True)
            with mixed:
                logits = model(inputs)
            loss = cross_entropy(logits.float(), truth)
            loss.backward()
            optimizer.step()
            loss_sum += loss.detach() * len(batch)
            correct += (logits.argmax(1) == truth).sum()
        return float(loss_sum) / images, float(correct) / images

    def validate() -> float:
        model.eval()
        with torch.inference_mode(), mixed:
            batches = zip(scaled[images:].split(VALIDATION_BATCH), labels[images:].split(VALIDATION_BATCH), strict=True)
            return sum(float((model(inputs).argmax(1) == truth).sum()) for inputs, truth in batches)

    for epoch in range(epochs):
        if epoch:
            worker.receive()
        began, used = time.perf_counter(), time.process_time()
        train()
        trained = time.perf_counter()
        validate()
        now, used = time.perf_counter(), time.process_time() - used
        if epoch:
            worker.send(epoch=now - began, validation=now - trained, processor=used)
        else:
            parameters = sum(one.numel() for one in model.parameters())
            worker.send(first=now - called, parameters=parameters, precision=precision)


def main() -> None:
    """Answer requests until there are none; the first asks for the version, which is null where PyTorch is missing."""
    worker.open_answers()
    worker.receive()
    try:
        import torch  # noqa: PLC0415
    except ImportError:
        worker.send(version=None)
        return
    torch.set_num_threads(len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1)
    worker.send(version=torch.__version__.partition("+")[0])
    while (request := worker.receive()) is not None:
        turns(sys.argv[1], **request)


if __name__ == "__main__":
    main()
