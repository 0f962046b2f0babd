"""The one error of this package."""

from __future__ import annotations


class MalformedError(ValueError):
    """Something a server sent does not have the form that the specification gives it.

    The message says what is wrong in our own words and never quotes the input: it may be logged.
    """
