"""Strongly connected components: the loops of a graph, and the order between them.

Own code because importing networkx takes longer than a check of a small machine may.
"""

from __future__ import annotations

from collections.abc import Sequence


def components(successors: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return the strongly connected components of a graph of nodes 0, 1, …, each after all that it leads to.

    R. Tarjan, Depth-first search and linear graph algorithms, 1972; without recursion.
    """
    number, low = [0] * len(successors), [0] * len(successors)
    count, trail, found = 0, [], []
    for root in range(len(successors)):
        if number[root]:
            continue
        work = [(root, 0)]
        while work:
            node, at = work.pop()
            if at == 0:
                count += 1
                number[node] = low[node] = count
                trail.append(node)
            for position in range(at, len(successors[node])):
                following = successors[node][position]
                if not number[following]:
                    work += [(node, position + 1), (following, 0)]
                    break
                if low[following] < low[node]:  # found components lie above every number
                    low[node] = low[following]
            else:
                if low[node] == number[node]:
                    component: list[int] = []
                    while not component or component[-1] != node:
                        component.append(trail.pop())
                    for member in component:
                        low[member] = len(successors) + 1
                    found.append(component)
                if work and low[node] < low[work[-1][0]]:
                    low[work[-1][0]] = low[node]
    return found


def loops(component: list[int], successors: Sequence[Sequence[int]]) -> bool:
    """Return whether a component holds a loop: several nodes, or one that leads to itself."""
    return len(component) > 1 or component[0] in successors[component[0]]
