"""Hypothesis is deterministic where CI is set, random at a desk; a failing example is printed so that it can be repeated."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile("desk", max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("ci", settings.get_profile("desk"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "desk")
