"""LangGraph with its SqliteSaver; durability as named by the second argument, or its default."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count, pairwise
from pathlib import Path
from typing import Any, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from serve import LAPS, OUTPUT, STATES, STEPS, serve


class State(TypedDict):
    """What the graph keeps."""

    note: str
    laps: int


def node(name: str) -> Callable[[State], dict[str, Any]]:
    """Return a node; the last one of a lap counts it."""
    if name == STATES[-1]:
        return lambda state: {"note": OUTPUT, "laps": state["laps"] + 1}
    return lambda state: {"note": OUTPUT}


connection = sqlite3.connect(Path(sys.argv[1]) / "langgraph.db", check_same_thread=False)
durability = {"durability": sys.argv[2]} if sys.argv[2:] else {}
builder = StateGraph(State)
for name in STATES:
    builder.add_node(name, node(name))
builder.add_edge(START, STATES[0])
for name, after in pairwise(STATES):
    builder.add_edge(name, after)
builder.add_conditional_edges(STATES[-1], lambda state: STATES[0] if state["laps"] < LAPS else END)
graph = builder.compile(checkpointer=SqliteSaver(connection))
numbers = count()


def run() -> None:
    """Run one thread of the graph to its end."""
    config = {"configurable": {"thread_id": str(next(numbers))}, "recursion_limit": STEPS + 10}
    assert graph.invoke({"note": "", "laps": 0}, config, **durability)["laps"] == LAPS


def many(runs: int) -> None:
    """Run many at once, each in a thread of the process, for the saver is not asynchronous."""
    with ThreadPoolExecutor(runs) as pool:
        for done in [pool.submit(run) for _ in range(runs)]:
            done.result()


serve(run, many)
connection.close()
