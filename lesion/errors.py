"""The one exception whose message is written for the user, and checks of single values."""

import math


class UserError(ValueError):
    """Something the user gave cannot be used; the message says what was given, what is accepted, what to do next.

    Command lines print the message and exit with status 1; the app shows it on the page.
    """


def shown(value: object) -> str:
    """The value as an error message shows it, cut at 40 characters."""
    try:
        text = repr(value)
    except ValueError:  # Python does not convert an integer of thousands of digits
        return "of thousands of digits"
    except RecursionError:
        return "of lists in lists"
    return text if len(text) <= 40 else text[:40] + "…"


def parse_number(name: str, value: object, low: float, high: float, unit: str = "") -> float:
    """A number between two bounds, both accepted, from an API client or a control of the page.

    Args:
        name: of the value, in the message.
        value: a number, or a string of one.
        low, high: bounds.
        unit: named in the message.

    Raises:
        UserError: not a number, or out of range.
    """
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not low <= number <= high:
        accepted = f"a number from {low} to {high} {unit}".rstrip()
        raise UserError(f"{name} {shown(value)} is not accepted; give {accepted}.")
    return number


def parse_whole(name: str, value: object, low: int, high: int) -> int:
    """As `parse_number`, for a whole number; 20.0 is one.

    Raises:
        UserError: not a whole number, or out of range.
    """
    number = parse_number(name, value, low, high)
    if number != int(number):
        raise UserError(f"{name} {shown(value)} is not accepted; give a whole number from {low} to {high}.")
    return int(number)
