"""The one error of this package."""

from __future__ import annotations


class MalformedError(ValueError):
    """A server's data does not have the form that the specification requires.

    The message says what is wrong in our own words and never quotes the input: it may be logged.
    """
