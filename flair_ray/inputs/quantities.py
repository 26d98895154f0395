"""Counts and durations as people, platforms and spreadsheets write them.

What is not clearly a number is None, never a guess and never zero: "N/A", "", NaN, a negative count, a
boolean. A duration of zero is None too, because that is how collectors say "unknown".
"""

from __future__ import annotations

import math
import re
from datetime import timedelta
from decimal import Decimal

_SCALE = {"": 1, "k": 10**3, "thousand": 10**3, "m": 10**6, "mn": 10**6, "mio": 10**6, "million": 10**6}
_SCALE |= {"b": 10**9, "bn": 10**9, "billion": 10**9}
_COUNT = re.compile(rf"([0-9][0-9.,e+' \u00a0\u202f\u2019]*?)\s*({'|'.join(filter(None, _SCALE))})?\+?", re.IGNORECASE)
_GAP = re.compile(r"(?<=[0-9])[' \u00a0\u202f\u2019](?=[0-9]{3}(?![0-9]))")
_COMMAS = re.compile(r"[1-9][0-9]{0,2}(,[0-9]{2,3})*,[0-9]{3}(\.[0-9]+)?")
_DOTS = re.compile(r"[1-9][0-9]{0,2}(\.[0-9]{3})+(,[0-9]+)?")
_PARTS = re.compile(
    r"p?(?:([0-9]+)d)?t?(?:([0-9]+)h)?(?:([0-9]+)m(?:in)?)?(?:([0-9]+(?:[.,][0-9]+)?)(?:s|secs?|seconds?)?)?"
)
_LONGEST = 40
_MOST = 10**15
"""No platform counts further; a larger number is damage."""
_MOST_SECONDS = 10**7


def parse_count(value: object) -> int | None:
    """A whole number ≥ 0 from 1200, 1200.0, "1,200", "1 200", "1.2K" or "1,2 Mio"; else None."""
    number = _written(value.strip()) if isinstance(value, str) else _number(value)
    return round(number) if number is not None and 0 <= number <= _MOST else None


def parse_seconds(value: object) -> float | None:
    """Seconds > 0 from 42, "42.5", "42s", "0:42", "1:02:03", "1m 42s" or "PT1M42S"; else None."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    number = _clock(value.strip().lower()) if isinstance(value, str) else _number(value)
    if number is None or not 0 < number <= _MOST_SECONDS:
        return None
    return round(float(number), 3) or None


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    if isinstance(value, int):
        return Decimal(value) if abs(value) <= _MOST else None
    return Decimal(value) if math.isfinite(value) else None


def _written(text: str) -> Decimal | None:
    match = _COUNT.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        return None
    digits, scale = _GAP.sub("", match[1]), (match[2] or "").lower()
    if _COMMAS.fullmatch(digits):
        digits = digits.replace(",", "")
    elif not scale and _DOTS.fullmatch(digits):  # 12.345 counts twelve thousand, 12.345K does not
        digits = digits.replace(".", "").replace(",", ".")
    try:
        return Decimal(digits.replace(",", ".")) * _SCALE[scale]
    except ArithmeticError:
        return None


def _clock(text: str) -> Decimal | None:
    if len(text) > _LONGEST:
        return None
    if re.fullmatch(r"[0-9]+(:[0-9]{1,2}){1,2}([.,][0-9]+)?", text):
        total = Decimal(0)
        for part in text.replace(",", ".").split(":"):
            total = total * 60 + Decimal(part)
        return total
    match = _PARTS.fullmatch(text.replace(" ", ""))
    if match is None or not any(match.groups()):
        return None
    days, hours, minutes, seconds = (Decimal((part or "0").replace(",", ".")) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
