"""Hypothesis as in the other tests."""

from hypothesis import settings

# A busy machine is no failure: the benchmarks time what must be in time.
settings.register_profile("triptych", deadline=None)
settings.load_profile("triptych")
