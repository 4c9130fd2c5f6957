"""A finite-state-machine runtime for agents."""
