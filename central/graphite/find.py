"""The answers of /metrics/find in Graphite's formats. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from central.graphite.paths import Node


def completed(query: str) -> str:
    """The pattern that completes a text which somebody is typing."""
    return query if query.endswith("*") else f"{query}*"


def _tree(nodes: Sequence[Node]) -> list[dict[str, Any]]:
    """The format that Grafana reads."""
    return [
        {
            "text": node.text,
            "id": node.path,
            "leaf": int(node.is_leaf),
            "expandable": int(not node.is_leaf),
            "allowChildren": int(not node.is_leaf),
            "context": {},
        }
        for node in nodes
    ]


def _completer(nodes: Sequence[Node]) -> dict[str, Any]:
    """The format for an input field. The path of a node that can be opened ends with a dot."""
    metrics = [
        {"path": node.path + "." * (not node.is_leaf), "name": node.text, "is_leaf": str(int(node.is_leaf))}
        for node in nodes
    ]
    return {"metrics": metrics}


def _node_list(nodes: Sequence[Node]) -> dict[str, Any]:
    """The last part of each path, without repetitions."""
    return {"nodes": sorted({node.text for node in nodes})}


FORMATS: Final[Mapping[str, Callable[[Sequence[Node]], Any]]] = {
    "treejson": _tree,
    "completer": _completer,
    "nodelist": _node_list,
}
"""The formats, the default one first."""
