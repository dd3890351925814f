"""GitHub's workflows: what runs a pull request's code can't write, and what runs is pinned and short."""

import re
from typing import Any

import yaml

from support.repository import REPOSITORY

TEXT = (REPOSITORY / ".github/workflows/review.yml").read_text(encoding="utf-8")
REVIEW: dict[Any, Any] = yaml.safe_load(TEXT)


def test_the_review_runs_with_no_more_rights_than_it_needs() -> None:
    assert REVIEW[True] == "pull_request", "pull_request_target would give a fork's code the repository's rights"
    assert REVIEW["permissions"] == {}
    assert {name: job["permissions"] for name, job in REVIEW["jobs"].items()} == {
        "review": {"contents": "read"},
        "comment": {"pull-requests": "write"},
    }
    comment = REVIEW["jobs"]["comment"]["steps"]
    assert not any("checkout" in step.get("uses", "") or "make" in step.get("run", "") for step in comment)


def test_actions_are_pinned_to_a_commit_whose_version_stands_beside_it() -> None:
    used = re.findall(r"uses: (.*)", TEXT)
    assert used
    for action in used:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)


def test_the_review_sees_the_branch_with_its_history() -> None:
    (checkout,) = [step["with"] for step in REVIEW["jobs"]["review"]["steps"] if "checkout" in step.get("uses", "")]
    assert checkout["fetch-depth"] == 0
    assert checkout["ref"] == "${{ github.event.pull_request.head.sha }}"


def test_no_name_of_a_branch_becomes_part_of_a_command() -> None:
    commands = [step["run"] for job in REVIEW["jobs"].values() for step in job["steps"] if "run" in step]
    assert [command for command in commands if "${{" in command] == []
