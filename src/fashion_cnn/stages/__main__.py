"""Runs a stage: python -m fashion_cnn.stages NAME [ARGUMENTS].

No stage depends on this file in dvc.yaml, because it decides no output: it refuses a mistake anywhere in params.yaml
before the stage works, turns what a person can mend into one line, and trains where `cloud.train` says.
"""

from fashion_cnn.core import process  # first: it makes the process ready for what is imported next

# isort: split
import importlib
import sys

from fashion_cnn.core import params
from fashion_cnn.stages.executor import end_with_dvc
from fashion_cnn.stages.parameters import Parameters


def main() -> None:
    """Run a stage as a program: a person's mistake or a full disk is one line on stderr and exit status 1."""
    del sys.argv[0]  # a stage's own arguments follow its name
    try:
        end_with_dvc()
        elsewhere = params.load(Parameters).cloud.trains_elsewhere and sys.argv[0] == "train"
        importlib.import_module(f"fashion_cnn.stages.{'remote' if elsewhere else sys.argv[0]}").main()
    except OSError as error:
        sys.exit(f"error: {error}; nothing half-written is left, run it again once that is mended")
    except KeyboardInterrupt:
        sys.exit("interrupted; nothing half-written is left")


if __name__ == "__main__":
    process.run(main)
