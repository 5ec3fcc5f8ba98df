"""The one exception whose message is written for the person at the keyboard."""


class UserError(ValueError):
    """Something the user gave cannot be used; the message says what was given, what is accepted, what to do next.

    Command lines print the message and exit with status 1; the app shows it on the page.
    """
