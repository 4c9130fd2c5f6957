"""What is proved of a declaration before it runs."""

from statemachine.check.structure import check

__all__ = ["check"]
