"""Patches as data, as working copies, and as a diff."""

from __future__ import annotations

import difflib
import os
import tempfile

from .models import Patch, Proposal, WorkingCopy
from .mutate import Candidate
from .source import Source


def patch_of(candidate: Candidate) -> Patch:
    """A candidate as the journal keeps it."""
    before, after = candidate.before, candidate.after
    if not before.strip() and not after.strip():
        before, after = (f"indented by {len(text)}" for text in (before, after))
    shown = f"{brief(before)} -> {brief(after)}"
    return Patch(
        id=candidate.id,
        operator=candidate.operator,
        line=candidate.line,
        description=f"line {candidate.line}: {shown}",
        start=candidate.start,
        end=candidate.end,
        before=candidate.before,
        after=candidate.after,
        score=candidate.score,
    )


def brief(text: str) -> str:
    """A text on one line, shortened to 40 characters."""
    text = " ".join(text.split()) or "nothing"
    return text if len(text) <= 40 else f"{text[:37]}..."


def write_copies(source: Source, proposal: Proposal, copies: list[WorkingCopy]) -> None:
    """Make the working copies what their patches say; those that are so already stay as they are."""
    patches = {patch.id: patch for patch in proposal.patches}
    for copy in copies:
        patch = patches[copy.patch]
        data = source.patched(patch.start, patch.end, patch.after)
        if not copy.path.exists() or copy.path.read_bytes() != data:
            copy.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=copy.path.parent)
            with open(descriptor, "wb") as file:
                file.write(data)
            os.replace(name, copy.path)


def unified_diff(source: Source, patch: Patch, label: str) -> str:
    """What a patch changes, for ``patch -p0`` or ``git apply -p0`` in the folder that `label` starts from."""
    codec = source.encoding.removesuffix("-sig")
    old, new = (
        [line for line in data.decode(codec).replace("\n", "\n\0").split("\0") if line]
        for data in (source.data, source.patched(patch.start, patch.end, patch.after))
    )
    missing = "\n\\ No newline at end of file\n"
    lines = difflib.unified_diff(old, new, label, label)
    return "".join(line if line.endswith("\n") else line + missing for line in lines)
