"""The ways to pay, each an ``httpx.Auth``, and the parts that they are made of."""
