"""Train two seeds of the small baseline in portable mode, one after the other and side by side; print each's digest."""

import hashlib
from functools import partial

from fashion_cnn.core.dataset import SPLITS
from fashion_cnn.core.params import Params
from fashion_cnn.experiments import verification
from fashion_cnn.training import processor


def main() -> None:
    train = verification.EXPERIMENT["train"] | {"seeds": 2, "epochs": 1}
    settings = Params.model_validate(verification.EXPERIMENT | {"train": train})
    processor.prepare(settings.train)
    from fashion_cnn.training import architectures, fitting

    fitting.configure(settings.train)
    splits = {name: verification.images(200, seed) for seed, name in enumerate(SPLITS)}
    for cores in (1, 2):
        processor.cores = partial(int, cores)
        result = fitting.train(partial(architectures.build, "baseline", settings), splits, settings.train, {}).result
        print(cores, hashlib.sha256(result.probabilities.tobytes()).hexdigest(), result.metrics["train_loss"])


if __name__ == "__main__":
    main()
