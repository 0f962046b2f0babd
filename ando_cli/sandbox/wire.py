"""Reading JSON from strangers."""

from __future__ import annotations

import json
import re
from typing import Any

MAX_DEPTH = 100

# Possessive, and content with a string that never ends: linear in the input, whatever it is.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")


def loads(data: bytes) -> Any:
    """The JSON value in ``data``.

    The parser descends once for every bracket, and what stops it is the interpreter's recursion limit, which packages
    raise at will: then a body of opening brackets ends the process. So the depth is measured first.

    Raises:
        ValueError: it is not JSON, or nests deeper than a hundred levels.
    """
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return json.loads(data)
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", data)):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise ValueError("the value nests too deep")
    return json.loads(data)
