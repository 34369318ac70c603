"""The import graph of a package: cycles, levels, and imports against their order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from benchmarks.layout.source import Module

Graph = Mapping[str, Iterable[str]]


def reachable(graph: Graph) -> dict[str, set[str]]:
    """What each node reaches by one edge or more."""
    found: dict[str, set[str]] = {}
    for node in graph:
        open_, seen = list(graph[node]), set()
        while open_:
            current = open_.pop()
            if current not in seen:
                seen.add(current)
                open_ += graph[current]
        found[node] = seen
    return found


def cycles(graph: Graph) -> list[list[str]]:
    """Strongly connected components of more than one node."""
    below = reachable(graph)
    found = {
        tuple(sorted({node} | {other for other in below[node] if node in below[other]}))
        for node in graph
    }
    return sorted(list(component) for component in found if len(component) > 1)


def levels(graph: Graph) -> dict[str, int]:
    """The level of each node, from 1: one above the highest that it reaches outside a cycle."""
    below = reachable(graph)
    found: dict[str, int] = {}
    # whatever is below a node, with itself, reaches fewer nodes, or is in a cycle with it
    for node in sorted(graph, key=lambda node: len(below[node] | {node})):
        under = (found[other] for other in below[node] if node not in below[other])
        found[node] = 1 + max(under, default=0)
    return found


def imports(modules: list[Module]) -> dict[str, set[str]]:
    """The import graph as written."""
    return {module.name: set(module.inside) - {module.name} for module in modules}


def imports_without_faces(modules: list[Module]) -> dict[str, set[str]]:
    """The import graph of the modules that are not faces, seen through the faces."""
    named = {module.name: module for module in modules}

    def behind(target: tuple[str, str], seen: frozenset[tuple[str, str]]) -> set[str]:
        module, name = named[target[0]], target[1]
        if not module.is_face:
            return {module.name}
        if target in seen:
            return set()
        ways = [module.handed_on[name]] if name in module.handed_on else module.taken
        return set().union(*(behind(way, seen | {target}) for way in ways))

    return {
        module.name: set().union(*(behind(target, frozenset()) for target in module.taken))
        - {module.name}
        for module in modules
        if not module.is_face
    }


def wing_graph(modules: list[Module]) -> dict[str, set[str]]:
    """Wings, and the other wings that each imports."""
    graph: dict[str, set[str]] = {module.wing: set() for module in modules}
    for module in modules:
        graph[module.wing] |= {name.partition(".")[0] for name in module.inside} - {module.wing}
    return graph


def upward_imports(modules: list[Module]) -> list[tuple[str, str]]:
    """Imports between wings that reach each other: module, imported module."""
    below = reachable(wing_graph(modules))
    wings = {module.name: module.wing for module in modules}
    return [
        (module.name, name)
        for module in modules
        for name in sorted(module.inside)
        if wings[name] != module.wing and module.wing in below[wings[name]]
    ]
