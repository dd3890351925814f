"""What training jobs on AWS will cost at most, and did cost: hours always, money by the price that a person names."""

from collections.abc import Sequence
from typing import Any, Final

from fashion_cnn.cloud.params import Training

PRICES: Final = "https://aws.amazon.com/sagemaker/ai/pricing/"


def jobs_of(chosen: Training, seeds: int) -> int:
    """How many jobs train an arm: where seeds have a job each, one more joins them."""
    return seeds + 1 if seeds > 1 and chosen.max_jobs > 1 else 1


def at_most(chosen: Training, jobs: int) -> str:
    """What a person agrees to pay for, in one line. The price is theirs: AWS's page has it, this project none."""
    kind = "spot instances " if chosen.spot else ""
    hours = jobs * chosen.tries * chosen.timeout_minutes / 60
    price = chosen.aws.price_per_hour
    paid = f", which is {hours * price:.2f} at your cloud.aws.price_per_hour = {price:g}" if price else ""
    return (
        f"on AWS in {chosen.aws.region}: up to {jobs} training job{'s' if jobs > 1 else ''} on {kind}"
        f"{chosen.instance_type}, at most {min(jobs, chosen.max_jobs)} at a time, each tried up to {chosen.tries} "
        f"times and stopped after {chosen.timeout_minutes:g} minutes; AWS bills the seconds that they run, "
        f"{hours:g} hours at the very most{paid}; prices: {PRICES}"
    )


def cost(job: dict[str, Any], chosen: Training) -> float | None:
    """What a job that ended cost, by the person's price; None where they name none for its instance type.

    Source: API_DescribeTrainingJob, BillableTimeInSeconds times the number of instances; where spot instances save
    something, the billable seconds are fewer.
    """
    resources, price = job["ResourceConfig"], chosen.aws.price_per_hour
    if price is None or resources["InstanceType"] != chosen.instance_type or "BillableTimeInSeconds" not in job:
        return None
    return job["BillableTimeInSeconds"] * resources["InstanceCount"] / 3600 * price


def bill(jobs: Sequence[dict[str, Any]], chosen: Training) -> str:
    """What some jobs cost together, in one line."""
    hours = sum(job.get("BillableTimeInSeconds", 0) * job["ResourceConfig"]["InstanceCount"] for job in jobs) / 3600
    known = [price for price in (cost(job, chosen) for job in jobs) if price is not None]
    price = chosen.aws.price_per_hour
    paid = f"; {len(known)} of them cost {sum(known):.2f} at cloud.aws.price_per_hour = {price:g}" if price else ""
    return f"billed on AWS for these {len(jobs)} jobs: {hours:.2f} hours{paid}; prices: {PRICES}"
