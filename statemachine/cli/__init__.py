"""The command line. Each command imports its room when it runs, so that help and small commands are quick."""

from statemachine.cli.app import main

__all__ = ["main"]
