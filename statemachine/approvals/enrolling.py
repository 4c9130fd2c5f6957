"""Putting a person into the policy's file, which stays as it is otherwise."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

from statemachine.approvals.policy import read_policy
from statemachine.errors import InvalidKey


def refuse_if_enrolled(policy: Path, name: str) -> None:
    """Raise an error when a person cannot be put into a policy.

    Raises:
        InvalidKey: The policy has somebody of that name.
        InvalidPolicy: It says something that no policy says.
    """
    if name in read_policy(policy).approvers:
        raise InvalidKey(f"{policy} has {name} already; take them out first, or choose another name")


def enrol(policy: Path, name: str, public: str, roles: Sequence[str]) -> None:
    """Add a person to a policy, with comments and order kept; a file that is not there is made.

    Raises:
        InvalidKey: The policy has somebody of that name, or cannot be written.
        InvalidPolicy: It says something that no policy says.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    refuse_if_enrolled(policy, name)
    yaml = YAML()
    yaml.width = 200
    data = (yaml.load(policy.read_text("utf-8")) if policy.exists() else None) or CommentedMap()
    entry = CommentedMap(key=public, roles=CommentedSeq(roles))
    entry.fa.set_flow_style()
    data.setdefault("approvers", CommentedMap())[name] = entry
    text = io.StringIO()
    yaml.dump(data, text)
    part = policy.with_name(f".{policy.name}.{os.getpid()}")
    try:
        policy.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text.getvalue(), "utf-8")
        os.replace(part, policy)
    except OSError as error:
        raise InvalidKey(f"{policy} cannot be written: {error.strerror}") from None
