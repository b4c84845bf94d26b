"""Variables, the nodes that compute them, closed graphs, and walking, printing and checking them."""

from gpuscan.graph.graph import Graph
from gpuscan.graph.location import Location, made_at
from gpuscan.graph.nested import Nested, holds_graphs
from gpuscan.graph.printing import debugprint
from gpuscan.graph.replace import clone_replace, vectorize_graph
from gpuscan.graph.rule_table import RuleTable
from gpuscan.graph.scope import nodes_made
from gpuscan.graph.traversal import dependents, free_values, leaves, sorted_nodes, substitute
from gpuscan.graph.types import DTYPES, Shape, TensorType, broadcast_shapes, merge_shapes, name_of, type_of
from gpuscan.graph.variable import Apply, Constant, Op, SharedVariable, Variable
from gpuscan.graph.verify import verify

__all__ = [
    "DTYPES",
    "Apply",
    "Constant",
    "Graph",
    "Location",
    "Nested",
    "Op",
    "RuleTable",
    "Shape",
    "SharedVariable",
    "TensorType",
    "Variable",
    "broadcast_shapes",
    "clone_replace",
    "debugprint",
    "dependents",
    "free_values",
    "holds_graphs",
    "leaves",
    "made_at",
    "merge_shapes",
    "name_of",
    "nodes_made",
    "sorted_nodes",
    "substitute",
    "type_of",
    "vectorize_graph",
    "verify",
]
