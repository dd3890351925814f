"""Time a training step: the notebook's way, the pipeline's, PyTorch's, and the share of what the arithmetic takes.

With ONEDNN_MAX_CPU_ISA=AVX2 in the environment it imitates an ordinary processor: oneDNN keeps to AVX2, the pipeline to
float32, and the notebook does without oneDNN, which TensorFlow leaves off where the processor lacks AVX512_VNNI.
"""

import argparse
import os
import statistics
from contextlib import ExitStack
from typing import Any, Final

from benchmarks import worker
from benchmarks.report import spread
from benchmarks.worker import Worker, ask
from fashion_cnn.core.params import FIXED_ARMS
from fashion_cnn.training import processor

BATCH: Final = 128  # of the notebook, and of params.yaml
ARMS: Final = ("baseline", *FIXED_ARMS)
MATRIX_SIZES: Final = (2048, 4096)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Let all contestants train an epoch each, in turn, round after round, arm after arm."""
    steps, rounds = (3, 2) if options.quick else (options.steps, options.rounds)
    sizes = [256] if options.quick else MATRIX_SIZES
    with ExitStack() as stack:
        ordinary = os.environ.get(processor.ISA_LIMIT) in processor.BELOW_VNNI
        contestants = {
            "notebook": stack.enter_context(
                worker.start("keras_worker", "notebook", **({"TF_ENABLE_ONEDNN_OPTS": "0"} if ordinary else {}))
            ),
            "pipeline": stack.enter_context(worker.start("keras_worker", "pipeline")),
        }
        limit = stack.enter_context(worker.start("keras_worker", "matrix_products"))
        version = None
        for precision in ("float32", "bfloat16"):
            peer = stack.enter_context(worker.start("peers", precision, python=options.torch_python))
            version = ask(peer)["version"]
            if version:
                contestants[f"PyTorch, {precision}"] = peer
        rates: list[dict[str, float]] = []
        arms = {}
        for arm in ARMS:
            print(f"training: {arm}", flush=True)
            arms[arm] = race(contestants, {"arm": arm, "images": steps * BATCH, "epochs": rounds + 1}, rounds)
            rates.append(ask(limit, sizes=sizes, repetitions=3))
    gflops = {precision: spread([rate[precision] / 1e9 for rate in rates]) for precision in rates[0]}
    best = {precision: of_runs["max"] * 1e9 for precision, of_runs in gflops.items()}
    return {
        "steps_an_epoch": steps,
        "pytorch": version,
        "limited_to": os.environ.get(processor.ISA_LIMIT),
        "matrix_product_gflops": gflops,
        "arms": {arm: summary(answers, steps, best) for arm, answers in arms.items()},
    }


def race(contestants: dict[str, Worker], request: dict[str, Any], rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Every contestant's answers: the first epoch's, then one a round; who begins a round changes with it."""
    answers = {name: [ask(process, **request)] for name, process in contestants.items()}
    names = list(contestants)
    for number in range(rounds):
        begins = number % len(names)
        for name in names[begins:] + names[:begins]:
            answers[name].append(ask(contestants[name]))
    return answers


def summary(answers: dict[str, list[dict[str, Any]]], steps: int, best: dict[str, float]) -> dict[str, Any]:
    """One arm: milliseconds a step, ratios to the notebook's of the same round, shares of the limit."""
    counted = answers["notebook"][0]
    operations = step_operations(counted["multiply_adds"], counted["first_multiply_adds"])
    epochs, processor_seconds = (
        {name: [answer[measured] for answer in rows[1:]] for name, rows in answers.items()}
        for measured in ("epoch", "processor")
    )

    def of_the_notebook(seconds: dict[str, list[float]], name: str) -> dict[str, Any]:
        return spread([own / other for own, other in zip(seconds[name], seconds["notebook"], strict=True)])

    found = {}
    for name, rows in answers.items():
        training = [(answer["epoch"] - answer["validation"]) / steps for answer in rows[1:]]
        precision = rows[0]["precision"]
        limit = operations / best["bfloat16" if "bfloat16" in precision else "float32"]
        found[name] = {
            "precision": precision,
            "parameters": rows[0]["parameters"],
            "first_epoch_seconds": rows[0]["first"],
            "step_ms": spread([1000 * seconds / steps for seconds in epochs[name]]),
            "training_alone_ms": spread([1000 * seconds for seconds in training]),
            "of_the_notebook_s": of_the_notebook(epochs, name),
            "processor_ms": spread([1000 * seconds / steps for seconds in processor_seconds[name]]),
            "of_the_notebook_processor": of_the_notebook(processor_seconds, name),
            "limit_ms": 1000 * limit,
            "share_of_limit": limit / statistics.median(training),
        }
    return {"gflop_a_step": operations / 1e9, "contestants": found}


def step_operations(multiply_adds: int, first_multiply_adds: int) -> int:
    """Floating-point operations of one training step.

    Forwards, and backwards once for the weights and once for the layer's input, which the first layer does not need.
    """
    return 2 * BATCH * (3 * multiply_adds - first_multiply_adds)
