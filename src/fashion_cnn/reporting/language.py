"""Text and numbers in the report's language: a catalogue each, numbers as Unicode's CLDR has them."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any, Final

from babel import Locale
from babel.numbers import format_decimal, format_percent

CATALOGUES: Final = Path(__file__).parent
MISSING: Final = "–"
# From how many digits on thousands are grouped: three more than CLDR's minimumGroupingDigits, which Babel ignores.
GROUPED_FROM: Final = {"en": 4, "es": 5}


@dataclass(frozen=True)
class Language:
    """One language: its code, its texts by dotted key, and how it writes numbers."""

    code: str
    texts: Mapping[str, str]
    locale: Locale

    @classmethod
    def load(cls, code: str) -> "Language":
        """Read the catalogue of a language, en or es."""
        catalogue = tomllib.loads((CATALOGUES / f"{code}.toml").read_text(encoding="utf-8"))
        return cls(code, flat(catalogue), Locale.parse(code))

    def text(self, key: str, **values: Any) -> str:
        """The text under a dotted key, its {placeholders} filled in.

        Raises:
            KeyError: the catalogue lacks the key, or the text names a value that is not given.
        """
        return self.texts[key].format_map(values)

    def integer(self, value: float) -> str:
        """A whole number with its thousands grouped: 1,000 or 1000, 10,000 or 10.000."""
        return self.decimal(value, 0)

    def decimal(self, value: float, digits: int, *, signed: bool = False) -> str:
        """A number with so many decimal places: 0.9114 or 0,9114; `signed` writes the plus too."""
        if isnan(value):
            return MISSING
        pattern = "#,##0" + (f".{'0' * digits}" if digits else "")
        signed_pattern = f"+{pattern};-{pattern}" if signed else pattern
        grouped = round(abs(value), digits) >= 10 ** (GROUPED_FROM[self.code] - 1)
        return _minus(format_decimal(value, signed_pattern, self.locale, group_separator=grouped))

    def percent(self, share: float, digits: int = 0) -> str:
        """A share as a percentage: 91.14% or 91,14 %."""
        if isnan(share):
            return MISSING
        pattern = self.locale.percent_formats[None].pattern.replace("0", "0." + "0" * digits if digits else "0")
        return _minus(format_percent(share, pattern, self.locale))

    def points(self, share: float, digits: int = 2, *, signed: bool = True) -> str:
        """A difference of two shares in percentage points, without their name: +3.34 or +3,34."""
        return self.decimal(100 * share, digits, signed=signed)


def _minus(number: str) -> str:
    """A minus sign in place of the hyphen; none before a zero."""
    return number.lstrip("-+") if not any(digit in number for digit in "123456789") else number.replace("-", "−")


def flat(sections: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as dotted names, as `dvc exp run -S` takes them."""
    leaves: dict[str, Any] = {}
    for name, value in sections.items():
        leaves |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return leaves
