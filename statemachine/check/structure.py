"""Rules on the graph of states alone: what cannot be reached, and what cannot end."""

from __future__ import annotations

import networkx as nx

from statemachine.errors import Finding
from statemachine.machine.definition import Definition
from statemachine.machine.report import Keys


def graph_of(definition: Definition) -> nx.DiGraph[str]:
    """Return the graph of a machine: an edge for each pair of states that a transition, or an exhausted state,
    leads from and to."""
    declared = definition.declaration
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(declared.states)
    for name, state in declared.states.items():
        if state.final is not None:
            continue
        for edges in (*definition.edges[name].values(), *definition.everywhere.values()):
            for edge in edges:
                graph.add_edge(name, edge.target)
        if state.exhausted is not None:
            # Whoever would enter the state once too often arrives there instead.
            graph.add_edge(name, state.exhausted)
    return graph


def check(definition: Definition) -> list[Finding]:
    """Return what is wrong with the graph of a machine, in the order of the file.

    SM201: a state that nothing leads to. SM202: a state from which only limits lead to an end.
    """
    declared = definition.declaration
    graph = graph_of(definition)
    # A limit, or an event that nothing answers, leads to the machine's `otherwise` state from anywhere.
    reachable = nx.descendants(graph, declared.initial) | {declared.initial, declared.otherwise}
    ending = {name for name, state in declared.states.items() if state.final is not None}
    ending |= {name for final in tuple(ending) for name in nx.ancestors(graph, final)}
    findings = []
    for name, state in declared.states.items():
        path: Keys = ("states", name)
        if name not in reachable:
            message = f"no transition leads to `{name}`; lead one there or remove the state"
            findings.append(Finding("SM201", message, definition.locate(path, True, 0), path))
        elif name not in ending and state.final is None:
            message = f"no way leads from `{name}` to a final state; add a transition towards one"
            findings.append(Finding("SM202", message, definition.locate(path, True, 0), path))
    return sorted(findings, key=lambda f: (f.place.line, f.place.column))
