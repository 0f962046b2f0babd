"""A local gateway and a local chain, for trying ``ando`` out and for tests: real signatures, real accounting, no money.

The sandbox imports nothing of the client. It is a second, independent implementation of the protocol, so that a
mistake made on one side is seen by the other instead of cancelling out.
"""
