"""For all tests: what a property costs in time is not what it tests."""

from hypothesis import settings

settings.register_profile("ando", deadline=None)
settings.load_profile("ando")
