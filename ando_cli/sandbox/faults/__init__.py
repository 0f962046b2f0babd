"""Make the gateway, and the node of its chain, misbehave on purpose."""

from ando_cli.sandbox.faults.fault import Fault, Faults

__all__ = ["Fault", "Faults"]
