"""The one exception whose message is written for the person at the keyboard."""


class UserError(ValueError):
    """Something the user gave cannot be used; the message says what was given, what is accepted, what to do next.

    Command lines print the message and exit with status 1; the app shows it on the page.
    """


def shown(value: object) -> str:
    """The value as an error message shows it, cut at 40 characters."""
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "…"
