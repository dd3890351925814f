"""The section `report` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field

from fashion_cnn.core.params import Part, Section


class Report(Section):
    """How the report speaks."""

    language: Annotated[Literal["en", "es"], Field(description="en or es")]


class Reporting(Part):
    """What the stages read that write for people."""

    report: Report
