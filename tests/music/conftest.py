from hypothesis import settings

# A busy machine is no failure: what must be fast is timed by the tests that say so.
settings.register_profile("triptych", deadline=None)
settings.load_profile("triptych")
