"""Train two seeds of the small baseline in portable mode on so many cores, and print a digest of the result."""

import hashlib
import sys
from functools import partial

from fashion_cnn.core.dataset import SPLITS
from fashion_cnn.core.params import Params
from fashion_cnn.experiments import verification
from fashion_cnn.training import processor


def main(cores: int) -> None:
    train = verification.EXPERIMENT["train"] | {"seeds": 2, "epochs": 1}
    settings = Params.model_validate(verification.EXPERIMENT | {"train": train})
    processor.cores = lambda: cores
    processor.prepare(settings.train)
    from fashion_cnn.training import architectures, fitting

    fitting.configure(settings.train)
    splits = {name: verification.images(200, seed) for seed, name in enumerate(SPLITS)}
    result = fitting.train(partial(architectures.build, "baseline", settings), splits, settings.train, {}).result
    print(hashlib.sha256(result.probabilities.tobytes()).hexdigest(), result.metrics["train_loss"])


if __name__ == "__main__":
    main(int(sys.argv[1]))
