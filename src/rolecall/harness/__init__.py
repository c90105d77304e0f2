"""What runs the conformance tests: the pytest plugin, the scheduler, a run and its results."""
