"""The names of the extensions that requests and responses carry between the client, the rails and the transport.

An extension is how httpx hands a value beside a message: it never reaches the wire. Everything here is a key of
``httpx.Request.extensions`` or ``httpx.Response.extensions``.
"""

from __future__ import annotations

DRY_RUN = "ando.dry_run"
"""Request extension: stop before anything is signed, with ``Quoted``."""

CREDENTIAL = "ando.credential"
"""Request extension: the request carries a credential, so no answer to it may be lost."""

UNSENT = "ando.unsent"
"""Request extension: there was no connection to send it over."""

KEYED = "ando.keyed"
"""Request extension: the request carries the Virtual Key."""

STREAMED = "ando.streamed"
"""Request extension: the answer is read piece by piece, and completed with ``Booking.finish`` when it has ended."""

MODEL = "ando.model"
"""Request extension: the model that the request names, for the ledger; left out where it names none."""

PLAN = "ando.plan"
"""Request extension: the plan that the request names, as ``MODEL``."""

CUT = "ando.cut"
"""Response extension: only a part of the answer's body is there, and no more of it can be had."""

RESENT = "ando.resent"
"""Request and response extension: no answer came at first, and the same request was sent once more."""

PACE = "ando.pace"
"""Response extension: the ``Pace`` at which the answer is read."""

FAILURE = "ando.failure"
"""Response extension: the ``AndoError`` that an answer which is not a success comes to, where a rail knows better."""

KEY_ROUTE = "ando.key_route"
"""Request extension: it goes to a route of the gateway that takes a Virtual Key, whoever added that."""

PAID = "ando.paid"
"""Response extension: the ``Paid`` of a request that was paid."""

BOOKING = "ando.booking"
"""Response extension: the ``Booking`` of a request that is in the ledger."""

DEPOSITED = "ando.deposited"
"""Response extension: what the request sent as a deposit before it failed, in base units."""
