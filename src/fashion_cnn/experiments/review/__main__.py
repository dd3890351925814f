"""The review of a change as files: `python -m fashion_cnn.experiments.review origin/main` writes review/."""

from fashion_cnn.core import process  # first: it makes the process ready for what is imported next

# isort: split
import argparse
import json
from pathlib import Path
from typing import Any, Final

from fashion_cnn.core.outputs import output_folder
from fashion_cnn.experiments.review import evidence, figures, page
from fashion_cnn.experiments.review.evidence import Review
from fashion_cnn.reporting import style

OUTPUT: Final = Path("review")


def write(base: str, folder: Path = OUTPUT) -> Review:
    """Write review.md, review.json and the figures that there is anything to show in.

    Args:
        base: any name of a commit; what is compared with is the last commit that this branch shares with it.
        folder: is replaced as a whole.

    Raises:
        UserError: there is nothing to compare, or git or DVC failed.
    """
    review, before, after, images = evidence.gather(*evidence.commits(base))
    drawn = figures.draw(review, before.arms, after.arms, images)
    with output_folder(folder) as partial:
        (partial / "review.md").write_text(page.markdown(review, list(drawn)), encoding="utf-8")
        (partial / "review.json").write_text(json.dumps(plain(review), indent=2) + "\n", encoding="utf-8")
        for name, figure in drawn.items():
            style.save(figure, partial / f"{name}.svg")
    return review


def plain(value: Any) -> Any:
    """Named tuples as mappings, for JSON."""
    if hasattr(value, "_asdict"):
        return {name: plain(inner) for name, inner in value._asdict().items()}
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def main(arguments: list[str] | None = None) -> int:
    """Exit status 1 for a stale lock, files that the store lacks, or other test images; never for a lower accuracy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", help="what the branch is to be merged into, such as origin/main")
    review = write(parser.parse_args(arguments).base)
    print(f"{page.sentence(review)}\n{OUTPUT}/review.md says more")
    return 0 if review.passed else 1


if __name__ == "__main__":
    process.run(main)
