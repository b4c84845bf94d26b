"""Settings of the property tests."""

from hypothesis import settings

# No deadline: a busy machine is no failure. No database: a run depends on nothing but the code.
settings.register_profile("gpuscan", deadline=None, database=None, print_blob=True)
settings.load_profile("gpuscan")
