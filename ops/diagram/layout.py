"""Where the nodes of a drawing stand: in columns along the arrows, ordered so that few arrows cross.

The classic four steps (Sugiyama, Tagawa and Toda 1981): arrows that close a circle are turned round for the time being,
each node's column is its longest way from a source, columns are ordered by the mean place of the neighbours, and long
arrows are led through a place of their own in each column that they pass. Pure; lengths in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Arrow = tuple[str, str]
Point = tuple[float, float]

#: Between columns, and between what stands below each other.
COLUMN_GAP, ROW_GAP = 70.0, 16.0
#: Height of the place through which a long arrow is led.
LANE = 8.0
#: Rounds of ordering; the best order seen is kept.
ROUNDS = 24


@dataclass(frozen=True, slots=True)
class Placed:
    """The middle of each node, the points of each arrow from middle to middle, and the whole's size."""

    nodes: Mapping[str, Point]
    arrows: Mapping[Arrow, tuple[Point, ...]]
    width: float
    height: float


def place(sizes: Mapping[str, tuple[float, float]], arrows: Sequence[Arrow]) -> Placed:
    """Place nodes of these widths and heights."""
    plain = [arrow for arrow in dict.fromkeys(arrows) if arrow[0] != arrow[1]]
    back = _circular(sizes, plain)
    forward = [(head, tail) if (tail, head) in back else (tail, head) for tail, head in plain]
    column = _columns(sizes, forward)
    boxes, steps, routes = _with_lanes(sizes, list(dict.fromkeys(forward)), column)
    order = _ordered(column | {name: int(name.split("\0")[1]) for name in boxes if "\0" in name}, steps)
    points, width, height = _points(boxes, order, steps)
    led: dict[Arrow, tuple[Point, ...]] = {}
    for tail, head in plain:
        way = routes[(head, tail) if (tail, head) in back else (tail, head)]
        led[tail, head] = tuple(points[name] for name in (reversed(way) if (tail, head) in back else way))
    return Placed({name: points[name] for name in sizes}, led, width, height)


def _circular(nodes: Mapping[str, object], arrows: Sequence[Arrow]) -> set[Arrow]:
    """Arrows that lead back to where a way along the arrows came from."""
    heads: dict[str, list[str]] = {name: [] for name in nodes}
    entered = {head for _, head in arrows}
    for tail, head in arrows:
        heads[tail].append(head)
    back: set[Arrow] = set()
    done: set[str] = set()
    for start in sorted(nodes, key=lambda name: name in entered):
        way: list[tuple[str, int]] = [(start, 0)] if start not in done else []
        on_way = {start}
        while way:
            name, number = way.pop()
            if number == len(heads[name]):
                on_way.discard(name)
                done.add(name)
                continue
            way.append((name, number + 1))
            head = heads[name][number]
            if head in on_way:
                back.add((name, head))
            elif head not in done:
                on_way.add(head)
                way.append((head, 0))
    return back


def _columns(nodes: Mapping[str, object], arrows: Sequence[Arrow]) -> dict[str, int]:
    column = dict.fromkeys(nodes, 0)
    for _ in nodes:  # the longest way is shorter than there are nodes
        moved = False
        for tail, head in arrows:
            if column[head] <= column[tail]:
                column[head], moved = column[tail] + 1, True
        if not moved:
            break
    for name in nodes:  # a source stands right before what it leads to
        nexts = [column[head] for tail, head in arrows if tail == name]
        if nexts and not any(head == name for _, head in arrows):
            column[name] = min(nexts) - 1
    return column


def _with_lanes(
    sizes: Mapping[str, tuple[float, float]], arrows: Sequence[Arrow], column: Mapping[str, int]
) -> tuple[dict[str, tuple[float, float]], list[Arrow], dict[Arrow, list[str]]]:
    boxes, steps, routes = dict(sizes), [], {}
    for tail, head in arrows:
        lanes = [f"{tail}>{head}\0{number}" for number in range(column[tail] + 1, column[head])]
        boxes |= dict.fromkeys(lanes, (0.0, LANE))
        routes[tail, head] = [tail, *lanes, head]
        steps += list(zip([tail, *lanes], [*lanes, head], strict=True))
    return boxes, steps, routes


def _ordered(column: Mapping[str, int], steps: Sequence[Arrow]) -> list[list[str]]:
    order: list[list[str]] = [[] for _ in range(max(column.values(), default=-1) + 1)]
    for name in column:
        order[column[name]].append(name)
    best, fewest = [list(names) for names in order], _crossings(order, steps)
    before, after = _neighbours(steps)
    for turn in range(ROUNDS):
        near = before if turn % 2 == 0 else after
        for names in order if turn % 2 == 0 else reversed(order):
            place = {name: number for row in order for number, name in enumerate(row)}
            mean = {
                name: sum(place[other] for other in near[name]) / len(near[name]) if near.get(name) else place[name]
                for name in names
            }
            names.sort(key=mean.__getitem__)
        crossings = _crossings(order, steps)
        if crossings < fewest:
            best, fewest = [list(names) for names in order], crossings
    return best


def _neighbours(steps: Sequence[Arrow]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for tail, head in steps:
        before.setdefault(head, []).append(tail)
        after.setdefault(tail, []).append(head)
    return before, after


def _crossings(order: Sequence[Sequence[str]], steps: Sequence[Arrow]) -> int:
    place = {name: (number, row) for number, names in enumerate(order) for row, name in enumerate(names)}
    gaps: dict[int, list[tuple[int, int]]] = {}
    for tail, head in steps:
        gaps.setdefault(place[tail][0], []).append((place[tail][1], place[head][1]))
    return sum(
        (one[0] - other[0]) * (one[1] - other[1]) < 0
        for pairs in gaps.values()
        for number, one in enumerate(pairs)
        for other in pairs[:number]
    )


def _points(
    boxes: Mapping[str, tuple[float, float]], order: Sequence[Sequence[str]], steps: Sequence[Arrow]
) -> tuple[dict[str, Point], float, float]:
    y = {}
    for names in order:
        at = 0.0
        for name in names:
            y[name] = at + boxes[name][1] / 2
            at += boxes[name][1] + ROW_GAP
    before, after = _neighbours(steps)
    for turn in range(ROUNDS):  # towards the neighbours, never over one another
        for names in order if turn % 2 == 0 else reversed(order):
            wish = {
                name: sum(y[other] for other in near) / len(near)
                for name in names
                if (near := before.get(name, []) + after.get(name, []))
            }
            _settle(names, wish, y, boxes)
    top = min(y[name] - boxes[name][1] / 2 for name in y)
    points: dict[str, Point] = {}
    x = 0.0
    for names in order:
        wide = max((boxes[name][0] for name in names), default=0.0)
        points |= {name: (x + wide / 2, y[name] - top) for name in names}
        x += wide + COLUMN_GAP
    height = max(points[name][1] + boxes[name][1] / 2 for name in points)
    return points, x - COLUMN_GAP, height


def _settle(
    names: Sequence[str], wish: Mapping[str, float], y: dict[str, float], boxes: Mapping[str, tuple[float, float]]
) -> None:
    """Move a column's nodes to where they would like to be, as far as their order and the gaps allow."""

    def apart(one: str, other: str) -> float:
        return (boxes[one][1] + boxes[other][1]) / 2 + ROW_GAP

    down, up = dict(y), dict(y)
    for number, name in enumerate(names):
        lowest = down[names[number - 1]] + apart(names[number - 1], name) if number else float("-inf")
        down[name] = max(wish.get(name, y[name]), lowest)
    for number in range(len(names) - 1, -1, -1):
        name = names[number]
        highest = up[names[number + 1]] - apart(name, names[number + 1]) if number + 1 < len(names) else float("inf")
        up[name] = min(wish.get(name, y[name]), highest)
    for name in names:
        y[name] = (down[name] + up[name]) / 2
