"""results.json and results.md: what was measured, merged with what was measured before on the same machine."""

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent / "results"

Results = dict[str, Any]


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, least and greatest of repeated measurements, and how many there were."""
    rounded = [float(f"{value:.5g}") for value in values]
    return {"median": statistics.median(rounded), "min": min(rounded), "max": max(rounded), "rounds": len(rounded)}


def merge(results: Results, machine: dict[str, Any], part: str, measured: dict[str, Any]) -> Results:
    """Add or replace one part; parts that were measured on another machine, or with other packages, are dropped."""
    kept = results["parts"] if results.get("machine") == machine else {}
    return {"machine": machine, "parts": {**kept, part: measured}}


def load(folder: Path = FOLDER) -> Results:
    """What results.json holds; empty where there is none."""
    path = folder / "results.json"
    return json.loads(path.read_text()) if path.exists() else {}


def save(results: Results, folder: Path = FOLDER) -> None:
    """Write results.json and results.md."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "results.md").write_text(markdown(results), encoding="utf-8")


def markdown(results: Results) -> str:
    """All parts as one page."""
    lines = [
        "# Measured",
        "",
        "Medians, and in brackets the least and the greatest of several rounds, in which the contestants took turns. "
        "`make bench` measures again; `python -m benchmarks PART ...` some of it.",
        "",
        *_machine(results["machine"]),
    ]
    for part, section in SECTIONS.items():
        if part in results["parts"]:
            measured = results["parts"][part]
            trial = "; a trial of tiny sizes, its figures mean nothing" if measured["quick"] else ""
            origin = f"code at {measured['code']}, load of the machine before: {measured['load_before']}{trial}"
            lines += ["", *section(measured), "", f"<sub>{part}: {origin}</sub>"]
    return "\n".join(lines) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table; the first column is text, the others are figures."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def figure(measured: Any, digits: int = 3, unit: str = "") -> str:
    """A number, or a spread as `median (min–max)`; a dash for None."""
    if measured is None:
        return "–"
    if not isinstance(measured, dict):
        return _number(measured, digits) + unit
    text = _number(measured["median"], digits) + unit
    if measured["rounds"] == 1:
        return text
    return f"{text} ({_number(measured['min'], digits)}–{_number(measured['max'], digits)})"


def _number(value: float, digits: int) -> str:
    """So many significant digits, never in scientific notation, whole numbers in full."""
    rounded = float(f"{value:.{digits}g}")
    before = len(str(int(abs(rounded))))
    decimals = max(0, digits - before) if abs(rounded) >= 1 else digits
    return f"{value:,.{decimals}f}" if decimals else f"{value:,.0f}"


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.0f}"


def _machine(machine: dict[str, Any]) -> list[str]:
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    bytecode = "" if machine["compiled_bytecode"] else ", whose packages are not compiled to bytecode: imports are slow"
    return [
        f"- {machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB",
        f"- Instruction sets: {machine['instruction_sets'] or 'not known'}",
        f"- {machine['system']}",
        f"- Python {machine['python']}{bytecode}; {packages}",
    ]


def _training(measured: dict[str, Any]) -> list[str]:
    products, limit = measured["matrix_product_gflops"], measured["limited_to"]
    lines = [
        "## Training: milliseconds a step of 128 images" + (f", oneDNN limited to {limit}" if limit else ""),
        "",
        f"A whole epoch of {measured['steps_an_epoch']} steps, its validation included, divided by its steps. The "
        "first epoch stands apart: it traces. *Of the notebook's* is the ratio of epochs of one round. Processor time "
        "is that of all threads together. The limit is the step's arithmetic at this machine's own matrix-product "
        f"rate, measured meanwhile: {figure(products['float32'])} GFLOP/s in float32, "
        f"{figure(products['bfloat16'])} in bfloat16 "
        "(the best of all rounds counts). Its share is of the training alone, without validation."
        + (" The notebook does without oneDNN, as on a processor without AVX512_VNNI." if limit else "")
        + ("" if measured["pytorch"] else " PyTorch is not installed where this ran, so it is missing."),
        "",
    ]
    header = [
        "",
        "ms a step",
        "of the notebook's",
        "processor, ms",
        "of the notebook's",
        "training alone, ms",
        "limit, ms",
        "share of limit",
        "first epoch, s",
    ]
    for arm, of_arm in measured["arms"].items():
        rows = [
            [
                name.replace("PyTorch", f"PyTorch {measured['pytorch']}"),
                figure(one["step_ms"]),
                figure(one["of_the_notebook_s"], 2),
                figure(one.get("processor_ms")),
                figure(one.get("of_the_notebook_processor"), 2),
                figure(one["training_alone_ms"]),
                figure(one["limit_ms"]),
                f"{one['share_of_limit']:.0%}",
                figure(one["first_epoch_seconds"], 2),
            ]
            for name, one in named(of_arm["contestants"]).items()
        ]
        lines += [f"**{arm}**, {of_arm['gflop_a_step']:.3g} GFLOP a step", "", *table(header, rows), ""]
    return lines[:-1]


def named(contestants: dict[str, Any]) -> dict[str, Any]:
    """The pipeline with its precision, which may depend on the machine."""
    return {f"pipeline, {one['precision']}" if name == "pipeline" else name: one for name, one in contestants.items()}


def _variants(measured: dict[str, Any]) -> list[str]:
    lines = [
        "## Variants of the training step",
        "",
        f"One thing changed at a time; milliseconds a step, an epoch of {measured['steps_an_epoch']} steps with its "
        "validation divided by its steps.",
        "",
    ]
    for arm, variants in measured["arms"].items():
        rows = [[name, figure(one["step_ms"]), figure(one["of_the_pipeline_s"], 2)] for name, one in variants.items()]
        lines += [f"**{arm}**", "", *table(["", "ms a step", "of the pipeline's"], rows), ""]
    return lines[:-1]


def _stages(measured: dict[str, Any]) -> list[str]:
    parts = ("start", "import", "reading", "work", "writing", "end")
    rows = [
        [
            stage,
            figure(one["total_seconds"]),
            figure(one["outside_seconds"]),
            *(figure(one[f"{part}_seconds"]["median"]) for part in parts),
            _megabytes(one["peak_bytes"]),
        ]
        for stage, one in measured["stages"].items()
    ]
    return [
        "## Stages: seconds of each process",
        "",
        f"With `train.epochs={measured['epochs']}`, all else as in `params.yaml`. *Outside* its work are the "
        "interpreter's start, imports and the process's end. `fetch` finds the files in a folder; `deploy` begins "
        "with no endpoint.",
        "",
        *table(["stage", "total", "outside", *parts, "peak MB"], rows),
    ]


def _repro(measured: dict[str, Any]) -> list[str]:
    rows = [[name, figure(seconds)] for name, seconds in measured["seconds"].items()]
    return ["## Nothing to do", "", *table(["command", "seconds"], rows)]


def _store(measured: dict[str, Any]) -> list[str]:
    rows = [
        [name, figure(measured["megabytes_a_second"].get(name)), figure(seconds)]
        for name, seconds in measured["seconds"].items()
    ]
    return [
        "## The embedded store",
        "",
        f"{measured['megabytes']} MB of random data in {measured['files']} files; client and store share the cores.",
        "",
        *table(["", "MB/s", "seconds"], rows),
    ]


def _endpoint(measured: dict[str, Any]) -> list[str]:
    lines = [
        "## The endpoint",
        "",
        "Clients, which ask anew as soon as they are answered, share the cores with the servers; *generator* is what "
        "they use of them. Latencies in milliseconds.",
        "",
    ]
    header = ["", "clients", "p50", "p90", "p99", "requests/s", "images/s", "generator, cores"]
    columns = ("p50_ms", "p90_ms", "p99_ms", "requests_a_second", "images_a_second")
    for body in dict.fromkeys(row["body"] for row in measured["rows"]):
        of_body = sorted((row for row in measured["rows"] if row["body"] == body), key=lambda row: row["clients"])
        rows = [
            [
                row["server"],
                str(row["clients"]),
                *(figure(row[name]) for name in columns),
                figure(row["generator_cores"]["median"], 2),
            ]
            for row in of_body
        ]
        lines += [f"**{body}**", "", *table(header, rows), ""]
    peaks = "; ".join(f"{name} {_megabytes(size)} MB" for name, size in measured["peak_bytes"].items())
    return [*lines, f"Peak memory: {peaks}."]


def _scaling(measured: dict[str, Any]) -> list[str]:
    larger = measured["larger"]
    rows = [
        [
            axis,
            ", ".join(f"{size}: {figure(seconds['median'])}" for size, seconds in one["seconds"].items()),
            *(_exponent(one[name]) for name in ("exponent", "exponent_without_start_up")),
        ]
        for axis, one in measured["axes"].items()
    ]
    return [
        "## Growth",
        "",
        "Seconds of the 3×3's training (of a CNN's, for the kernel) at growing sizes, and the exponent b of "
        "time = a·sizeᵇ with its standard error: of the whole time, and of the time without the fixed start-up of "
        f"{figure(measured['start_up_seconds'])} s.",
        "",
        *table(["", "size: seconds", "exponent", "without start-up"], rows),
        "",
        f"A data set {larger['times']} times larger, {larger['training_images']:,} training images, for "
        f"{larger['epochs']} epochs at this rate: {figure(larger['hours_cnn3'])} hours for the 3×3 on this machine. "
        f"Its images take {figure(larger['gigabytes_uint8'])} GB of memory in uint8, as the pipeline holds them, and "
        f"{figure(larger['gigabytes_float32'])} GB in float32, as the notebook does.",
    ]


def _exponent(one: dict[str, float] | None) -> str:
    return "–" if one is None else f"{one['value']:.2f} ± {one['standard_error']:.2f}"


def _accuracy(measured: dict[str, Any]) -> list[str]:
    recipe = " ".join(f"{name}={value}" for name, value in measured["recipe"].items())
    rows = [
        [
            f"{arm}, {way}",
            f"{one['mean']:.4f}",
            figure(one["standard_deviation"], 4),
            f"{100 * one['minus_notebook']['mean']:+.2f} ± {100 * one['minus_notebook']['standard_error']:.2f}",
            figure(one["seconds_a_seed"]),
            figure(one["of_the_notebook_s_time"], 2),
        ]
        for arm, ways in measured["arms"].items()
        for way, one in ways.items()
    ]
    header = [
        "",
        "mean test accuracy",
        "standard deviation",
        "minus the notebook's, points",
        "seconds a seed",
        "of its time",
    ]
    return [
        "## Accuracy",
        "",
        f"{measured['seeds']} seeds; differences in percentage points, with their standard error between seeds."
        + (f" The recipe: `{recipe}`." if recipe else ""),
        "",
        *table(header, rows),
    ]


def _total(measured: dict[str, Any]) -> list[str]:
    rows = [[name, figure(seconds)] for name, seconds in measured["seconds"].items()]
    return [
        "## The whole",
        "",
        f"`make repro` in a fresh clone takes {figure(measured['ratio'], 2)} of the notebook's time; deployment "
        "and push are in it.",
        "",
        *table(["", "seconds"], rows),
    ]


SECTIONS: Final[dict[str, Callable[[dict[str, Any]], list[str]]]] = {
    "total": _total,
    "training": _training,
    "training_limited": _training,
    "variants": _variants,
    "accuracy": _accuracy,
    "stages": _stages,
    "repro": _repro,
    "store": _store,
    "endpoint": _endpoint,
    "scaling": _scaling,
}
