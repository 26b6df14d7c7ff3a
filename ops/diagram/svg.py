"""The drawing as SVG: one file that needs nothing else, light and dark, with what a pointer on a thing tells."""

from __future__ import annotations

from html import escape
from itertools import pairwise

from ops.diagram.drawing import Arrow, Drawing, Node
from ops.diagram.layout import Placed, Point, place

#: Width of a letter, height of a line, and what stands around the drawing, in pixels.
LETTER, LINE, MARGIN = 7.2, 17.0, 20.0
STYLE = """
svg { color-scheme: light dark; background: Canvas; font: 12px ui-monospace, Menlo, Consolas, monospace }
text { fill: CanvasText; text-anchor: middle }
.below, .role { font-size: 10px; fill: GrayText }
rect { fill: Canvas; stroke: CanvasText; stroke-width: 1.2 }
.service rect { fill: #4f7cff22; stroke: #4f7cff; stroke-width: 1.6 }
.queue rect { fill: #2aa37022; stroke: #2aa370 }
.topic rect { fill: #b8860b22; stroke: #b8860b }
.outside rect, .caller rect { stroke-dasharray: 4 3 }
.secret rect { fill: #a0522d18; stroke: #a0522d }
path { fill: none; stroke: GrayText; stroke-width: 1.2; marker-end: url(#tip) }
marker path { fill: GrayText; stroke: none; marker-end: none }
"""
#: An arrow's colour by its role.
ROLES = {
    "run.invoker": "#4f7cff",
    "sluiceTaskCreator": "#2aa370",
    "pubsub.publisher": "#b8860b",
    "secretmanager.secretAccessor": "#a0522d",
}


def render(drawing: Drawing) -> str:
    """The SVG document."""
    sizes = {node.name: _size(node) for node in drawing.nodes.values()}
    placed = place(sizes, [(arrow.tail, arrow.head) for arrow in drawing.arrows])
    roles = [role for role in ROLES if any(arrow.role == role for arrow in drawing.arrows)]
    width, height = placed.width + 2 * MARGIN, placed.height + 2 * MARGIN + LINE * len(roles)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img">',
        "<title>Services, queues, topics, and who may reach what</title>",
        f"<style>{STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z"/></marker></defs>',
        f'<g transform="translate({MARGIN:.0f} {MARGIN:.0f})">',
        *(_arrow(arrow, placed, sizes) for arrow in drawing.arrows if arrow.tail != arrow.head),
        *(_node(node, placed.nodes[node.name], sizes[node.name]) for node in drawing.nodes.values()),
        *(_legend(role, placed.height + LINE * (number + 1)) for number, role in enumerate(roles)),
        "</g></svg>",
    ]
    return "\n".join(parts) + "\n"


def _size(node: Node) -> tuple[float, float]:
    letters = max(len(node.name), len(node.below) * 10 / 12)
    return letters * LETTER + 18, LINE * (2 if node.below else 1) + 10


def _node(node: Node, at: Point, size: tuple[float, float]) -> str:
    (x, y), (width, height) = at, size
    round_ = height / 2 if node.kind in ("queue", "topic") else 5
    title = f"<title>{escape(node.title)}</title>" if node.title else ""
    name_y = y + 4 - (LINE / 2 if node.below else 0)
    below = f'<text class="below" x="{x:.1f}" y="{name_y + LINE:.1f}">{escape(node.below)}</text>' if node.below else ""
    return (
        f'<g class="{node.kind}">{title}<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}" rx="{round_:.1f}"/>'
        f'<text x="{x:.1f}" y="{name_y:.1f}">{escape(node.name)}</text>{below}</g>'
    )


def _arrow(arrow: Arrow, placed: Placed, sizes: dict[str, tuple[float, float]]) -> str:
    points = list(placed.arrows[arrow.tail, arrow.head])
    side = 1 if points[-1][0] >= points[0][0] else -1
    points[0] = (points[0][0] + side * sizes[arrow.tail][0] / 2, points[0][1])
    points[-1] = (points[-1][0] - side * sizes[arrow.head][0] / 2, points[-1][1])
    if side < 0:  # back: it leaves and arrives at the near sides, a little below the way there
        points = [(x, y + 6) for x, y in points]
    curve = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in pairwise(points):
        bend = (x1 - x0) / 2
        curve += f"C{x0 + bend:.1f} {y0:.1f} {x1 - bend:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
    said = f"{arrow.tail} to {arrow.head}" + (f": {arrow.role}" if arrow.role else "")
    colour = f' style="stroke: {ROLES[arrow.role]}"' if arrow.role in ROLES else ""
    return f'<g><title>{escape(said)}</title><path d="{curve}"{colour}/></g>'


def _legend(role: str, y: float) -> str:
    line = f'<path d="M0 {y - 4:.1f}H40" style="stroke: {ROLES[role]}"/>'
    return f'{line}<text class="role" x="48" y="{y:.1f}" style="text-anchor: start">{escape(role)}</text>'
