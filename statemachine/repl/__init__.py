"""Step a run: a debugger over the host and kernel that drive it, and the prompt that talks to it."""
