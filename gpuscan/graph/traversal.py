"""Walking and rebuilding graphs. Every walk keeps its own stack: graphs get longer than Python's."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from gpuscan.graph.variable import Apply, Constant, Variable


def sorted_nodes(outputs: Iterable[Variable], stop_at: Collection[Variable] = ()) -> list[Apply]:
    """Return the nodes that compute `outputs`, each after those it depends on.

    Parameters
    ----------
    outputs : iterable of Variable
        What is to be computed.
    stop_at : collection of Variable
        Values taken as given: the nodes that compute them are left out.
    """
    order: list[Apply] = []
    done: set[Apply] = set()
    given = set(stop_at)
    stack = [v.owner for v in reversed(list(outputs)) if v.owner is not None and v not in given]
    while stack:
        node = stack[-1]
        if node in done:
            stack.pop()
            continue
        # A list, not a set: the order must be the same in every run, as generated text is cached by its hash.
        waiting = [
            v.owner for v in reversed(node.inputs) if v.owner is not None and v not in given and v.owner not in done
        ]
        if waiting:
            stack.extend(waiting)
        else:
            stack.pop()
            done.add(node)
            order.append(node)
    return order


def leaves(
    outputs: Iterable[Variable], stop_at: Collection[Variable] = (), nodes: Iterable[Apply] | None = None
) -> list[Variable]:
    """Return the variables without a node (and those of `stop_at`) that `outputs` depend on, constants too.

    `nodes` are those between, for callers that have them.
    """
    given = set(stop_at)
    outputs = list(outputs)
    found: dict[Variable, None] = {}
    for variable in _values(outputs, sorted_nodes(outputs, given) if nodes is None else nodes):
        if variable.owner is None or variable in given:
            found[variable] = None
    return list(found)


def free_values(
    outputs: Iterable[Variable], given: Collection[Variable], nodes: Iterable[Apply] | None = None
) -> list[Variable]:
    """Return what `outputs` read besides `given` and constants; `nodes` are those between, where they are at hand."""
    known = set(given)
    return [v for v in leaves(outputs, known, nodes) if v not in known and not isinstance(v, Constant)]


def dependents(outputs: Iterable[Variable], sources: Collection[Variable]) -> set[Variable]:
    """Return `sources` and all that `outputs` are computed through which depends on one of them."""
    found = set(sources)
    for node in sorted_nodes(outputs):
        if any(v in found for v in node.inputs):
            found.update(node.outputs)
    return found


def substitute(outputs: Iterable[Variable], replacements: Mapping[Variable, Variable]) -> list[Variable]:
    """Return `outputs` rebuilt with each key of `replacements` replaced by its value.

    Nodes that depend on none of the keys are kept as they are; the others are made again, types inferred anew. The
    replacements themselves are not looked into.
    """
    outputs = list(outputs)
    new: dict[Variable, Variable] = dict(replacements)
    for node in sorted_nodes(outputs, replacements.keys()):
        inputs = [new.get(v, v) for v in node.inputs]
        if any(a is not b for a, b in zip(inputs, node.inputs, strict=True)):
            rebuilt = node.with_inputs(inputs)
            for old, fresh in zip(node.outputs, rebuilt.outputs, strict=True):
                fresh.name = old.name
                new.setdefault(old, fresh)  # another output of the node may be among the keys
    return [new.get(v, v) for v in outputs]


def _values(outputs: Iterable[Variable], nodes: Iterable[Apply]) -> Iterator[Variable]:
    for node in nodes:
        yield from node.inputs
    yield from outputs
