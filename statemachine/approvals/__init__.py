"""Who may say yes: the policy, the keys, and decisions that are signatures."""

from statemachine.approvals.decision import Decision, Request, signed, why_void
from statemachine.approvals.policy import Approver, Policy, Window, read_policy

__all__ = ["Approver", "Decision", "Policy", "Request", "Window", "read_policy", "signed", "why_void"]
