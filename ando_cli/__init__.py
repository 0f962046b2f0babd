"""ando: buy inference from the Ando gateway, paid per use from a Tempo payment channel."""

__version__ = "0.1.0"
