"""The nodes and tags of a line. Functions name and group lines by them. Pure."""

from collections.abc import Sequence

from central.graphite.lines import Line
from central.graphite.targets import first_path


def path_of(line: Line) -> str:
    """The path in a line's name, without tags: the first one within its functions."""
    name = first_path(line.name) if line.name.endswith(")") else line.name
    return name.split(";")[0]


def key_of(line: Line, nodes: Sequence[int | str]) -> str:
    """The nodes of the path by number, and the values of tags by name, with dots between. An unknown one is empty."""
    parts = path_of(line).split(".")
    found = []
    for node in nodes:
        if isinstance(node, int) and -len(parts) <= node < len(parts):
            found.append(parts[node])
        else:
            found.append(line.tags.get(str(node), ""))
    return ".".join(found)


def without_nodes(line: Line, nodes: Sequence[int]) -> str:
    """The path without the nodes of these numbers."""
    parts = path_of(line).split(".")
    away = {node % len(parts) if -len(parts) <= node < 0 else node for node in nodes}
    return ".".join(part for place, part in enumerate(parts) if place not in away)


def tag_key(line: Line, tags: Sequence[str], name: str) -> str:
    """The name of a line's group, such as ``cpu;dc=a``: ``name``, then the values of the tags.

    If "name" is one of the tags, the group begins with the line's own name.
    """
    if "name" in tags:
        name = line.tags.get("name", "")
    return ";".join((name, *(f"{tag}={line.tags.get(tag, '')}" for tag in sorted(tags) if tag != "name")))


def tags_of_key(key: str) -> dict[str, str]:
    """The tags in a name that ``tag_key`` made."""
    name, *others = key.split(";")
    return {"name": name} | dict(pair.partition("=")[::2] for pair in others)
