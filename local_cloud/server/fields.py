"""Partial responses: the `fields` parameter, such as `services/name,nextPageToken` or `items(id,tags/key)`.

Source: https://cloud.google.com/apis/docs/system-parameters and the partial response syntax of Google's APIs.
"""

from typing import Any

from local_cloud.errors import ApiError

Tree = dict[str, "Tree"]


def select(value: Any, wanted: str) -> Any:
    """What the expression selects of a JSON value; an empty subtree means everything below."""
    return _pick(value, parse(wanted))


def parse(wanted: str) -> Tree:
    """The expression as a tree; INVALID_ARGUMENT where it is none."""
    tree, end = _parse(wanted, 0)
    if end != len(wanted):
        raise ApiError("INVALID_ARGUMENT", f"Invalid field selection {wanted}")
    return tree


def _pick(value: Any, tree: Tree) -> Any:
    if not tree:
        return value
    if isinstance(value, list):
        return [_pick(item, tree) for item in value]
    if not isinstance(value, dict):
        return value
    if "*" in tree:
        return {key: _pick(item, tree["*"]) for key, item in value.items()}
    return {key: _pick(item, tree[key]) for key, item in value.items() if key in tree}


def _parse(text: str, at: int) -> tuple[Tree, int]:
    tree: Tree = {}
    while at < len(text):
        branch = tree
        while True:
            start = at
            while at < len(text) and text[at] not in "/.,()":
                at += 1
            name = text[start:at].strip()
            if not name:
                raise ApiError("INVALID_ARGUMENT", f"Invalid field selection {text}")
            branch = branch.setdefault(name, {})
            if at < len(text) and text[at] in "/.":
                at += 1
                continue
            break
        if at < len(text) and text[at] == "(":
            inner, at = _parse(text, at + 1)
            if at >= len(text) or text[at] != ")":
                raise ApiError("INVALID_ARGUMENT", f"Invalid field selection {text}")
            branch.update(inner)
            at += 1
        if at < len(text) and text[at] == ",":
            at += 1
            continue
        break
    return tree, at
