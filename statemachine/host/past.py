"""What a run has done so far, as its tools may see it: the last of its calls, from the end of its journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from statemachine.journal import decode
from statemachine.machine.call import Past
from statemachine.machine.contract import Tool
from statemachine.store import Store

MOST = 20
"""Calls that are told of."""

_RECORDS = 20 * MOST
"""Records that are looked through for them, so that what it costs does not grow with the run."""


def past_calls(store: Store, tools: Mapping[str, Tool], run: str, before: int) -> tuple[Past, ...]:
    """Return the last calls of a run that were intended before a record, the oldest first.

    Args:
        store: Where the run lies.
        tools: The tools of its machine; of one that it no longer has no effect is known.
        run: Its id.
        before: Sequence number of the record.
    """
    found: dict[str, Past] = {}
    state = ""
    for record in store.records(run, max(0, before - 1 - _RECORDS), before - 1):
        body: Any = decode(record.body, store.blob)
        if record.kind == "transition":
            state = body["to"]
        elif record.kind == "call_intended":
            tool, known = tools.get(body["tool"]), found.get(body["key"])
            effect = tool.effect if tool is not None else ""
            undoes = body.get("undoes", "")
            made = Past(body["tool"], state, effect, record.at, body["attempt"], undoes=undoes)
            found[body["key"]] = made if known is None else replace(known, attempts=body["attempt"], ended="")
        elif record.kind == "call_finished" and body["key"] in found:
            ended, message = body.get("class", body["kind"]), body.get("message", "")
            past = found[body["key"]] = replace(found[body["key"]], ended=ended, message=message)
            if past.undoes in found and ended == "success":
                found[past.undoes] = replace(found[past.undoes], undone=True)
        elif record.kind == "call_in_doubt" and body["key"] in found:
            found[body["key"]] = replace(found[body["key"]], ended="in_doubt")
    return tuple(found.values())[-MOST:]
