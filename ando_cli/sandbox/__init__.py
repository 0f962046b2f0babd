"""Provide a local gateway and chain, to try ``ando`` out and to test it: real signatures, real accounting, no money.

The sandbox imports nothing of the client. It is a second, independent implementation of the protocol, so that the
other side notices a mistake instead of repeating it.

Its parts import downwards only, in this order:

- ``server`` puts the parts together, starts and stops them; ``faucet`` gives out play money before that.
- ``gateway`` is the paid route: challenges, credentials, the accounts of the sessions, the HTTP routes, the controls.
- ``faults`` makes the gateway, and the node of its chain, misbehave on purpose.
- ``openai`` is the account-owned routes, which a Virtual Key pays for.
- ``config`` is what a sandbox is started with, ``settings`` how its gateway behaves.
- ``chain`` runs transactions, tokens and escrows, and answers JSON-RPC.
- ``primitives``, ``database``, ``wire`` and ``problems`` import nothing of the rest of the sandbox, nor of each other.
"""
