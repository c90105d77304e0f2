"""The self-test: the suite against servers with planted faults, and against lawful variants."""
