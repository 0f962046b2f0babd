"""Make the gateway misbehave on purpose."""

from ando_cli.sandbox.faults.fault import Fault, Faults

__all__ = ["Fault", "Faults"]
