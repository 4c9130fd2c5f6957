"""What a machine counts of its calls, at the prompt."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from statemachine.errors import InvalidExpression, InvalidInput
from statemachine.repl.completion import candidates
from statemachine.repl.session import Session
from tests.repl.test_debugger import begun
from tests.repl.test_piped import said


async def test_what_the_machine_counts_of_its_calls_is_known(folder: Path, database: Path) -> None:
    """It is printed, completed, told by `why`, and stops a run; nobody sets it, and the rest is not counted."""
    loop = (folder / "loop.yaml").read_text()
    (folder / "loop.yaml").write_text(loop.replace("when: verdict.ok", "when: history.standing.write >= 3"))
    async with await begun(folder, database) as debugger:
        session = Session(debugger)
        assert candidates(session, "print history.") == ["history.standing.write"]
        assert await said(session, "print history.standing.write") == "0"
        with pytest.raises(InvalidInput, match="history"):
            await said(session, "set history.standing.write 1")
        await said(session, "break if history.standing.write == 2", "c")
        assert await said(session, "print history.standing.write") == "2"
        assert (await said(session, "back", "print history.standing.write")).endswith("\n1")
        assert (
            await said(session, "fork --repeat-writes", "delete", "c", "print history.standing.write")
        ).endswith("\n3")
        assert "history.standing.write = 3" in await said(session, "why")
        for text, why in {
            "print history.failed.write": "is not counted: nothing in the machine reads it",
            "print history.standing.writ": "did you mean `history.standing.write`?",
        }.items():
            with pytest.raises(InvalidExpression, match=re.escape(why)):
                await said(session, text)
