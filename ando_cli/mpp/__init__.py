"""The "Payment" HTTP authentication scheme as data. No I/O."""
