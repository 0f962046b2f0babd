"""What the warm paid one-liner is held against: the same libraries, two POSTs over one connection, nothing else.

`python benchmarks/bare.py URL`
"""

import sqlite3  # noqa: F401 - loading it is the point, as for the others
import sys

import coincurve  # noqa: F401
import httpx
import sha3  # noqa: F401
import typer  # noqa: F401

BODY = b'{"messages":[{"role":"user","content":"hi"}],"max_tokens":8}'

with httpx.Client() as client:
    for _ in range(2):
        client.post(sys.argv[1], content=BODY, headers={"Content-Type": "application/json"}).read()
