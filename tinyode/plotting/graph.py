"""A function, drawn: what its tape holds, and with ``vjp=True`` what comes back along it."""

import textwrap
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

from ..types import Tree
from .boxes import Box, boxes_of, short
from .figures import COLOURS
from .layout import Arrow, layout

FONT = {"fontsize": 12, "family": "DejaVu Sans Mono"}  # comes with Matplotlib
LINES: dict[str, Any] = {"linewidth": 1.3, "mutation_scale": 11, "shrinkA": 0, "shrinkB": 0}
WIDE, HIGH = 0.602 * 12 / 72, 1.5 * 12 / 72  # a letter and a line of it, in inches
PADDING = 0.12
LINE = 26  # the letters of a formula on one line
COLOUR = COLOURS[4]  # of what comes back
FORWARD, BACK = "→ forward: values", "← back: cotangents"
ASIDE = 0.045  # by which an arrow and the one back are moved from their middle, in inches


def draw(f: Callable, *example: Tree, vjp: bool = False) -> Figure:
    """Draw the graph of what a small function does at the example.

    There is a rounded box for each input, a box for each operation with its formula and its value
    (of an array: the shape and some elements), and an arrow for each use of a value. A thick line
    is around what f returns. Constants stand in the formulas.

    Parameters
    ----------
    f : function
        Up to thirty operations can be drawn.
    *example : arrays, or containers of arrays
        Arguments of f.
    vjp : bool
        With True also the cotangents, from 1 for each element of each output, which come back along
        dashed arrows: Griewank and Walther (2008), section 3.2.

    Returns
    -------
    Figure
        As large as the graph needs; `save` saves it. The texts and arrows have a ``gid``, such as
        ``value v1``, ``cotangent v1``, ``forward a v1`` and ``back v1 a``.

    Raises
    ------
    ValueError
        If f does more than thirty operations.
    TypeError
        If f does what `tinyode.vjp` refuses.
    """
    boxes = boxes_of(f, example, vjp)
    texts = [_lines(box) for box in boxes]
    sizes = [_size(box, lines) for box, lines in zip(boxes, texts)]
    name = max([_width(box.name) for box in boxes]) + 0.1
    where = layout(sizes, [box.parents for box in boxes], name)
    width, height = where.size
    below, least = (2 * HIGH, _width(FORWARD + BACK) + 0.8) if vjp else (0.0, 0.0)
    left = min(0.0, (width - least) / 2)
    figure = plt.figure(figsize=(width - 2 * left, height + below))
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(left, width - left), ylim=(-below, height))
    axes.set_axis_off()
    for box, lines, extent in zip(boxes, texts, where.boxes):
        _draw_box(axes, box, lines, extent)
    for arrow in where.arrows:
        _draw_arrow(axes, arrow, boxes, vjp)
    for i, x, y, edge in where.names:  # beside the arrow, which starts or ends there
        x, side = (x + name - 0.06, "right") if edge == "start" else (x + 0.06, "left")
        _write(axes, x, y, boxes[i].name, ha=side)
    if vjp:  # which arrows are which
        _write(axes, width / 2 - 0.2, -HIGH, FORWARD, ha="right")
        _write(axes, width / 2 + 0.2, -HIGH, BACK, ha="left", color=COLOUR)
    return figure


def _lines(box: Box) -> list[str]:
    """Return what is written in a box."""
    value = f"{np.shape(box.value)} " * (np.ndim(box.value) > 0) + short(box.value)
    head = f"{box.name} = {box.formula}" if box.formula else box.name
    lines = textwrap.wrap(head, LINE, subsequent_indent="  ", max_lines=2, placeholder=" …")
    return [*lines, value] + ([] if box.cotangent is None else [f"← {short(box.cotangent)}"])


def _width(text):
    return len(text) * WIDE


def _size(box: Box, lines: list[str]) -> tuple[float, float]:
    """Return the width and height of a box; what it is of the output stands above it."""
    widest = max([_width(line) for line in lines])
    return max(widest + 2 * PADDING, _width(box.output)), len(lines) * HIGH + 2 * PADDING


def _write(axes, x, y, text, **settings):
    axes.text(x, y, text, **{**FONT, "ha": "center", "va": "center_baseline", **settings})


def _draw_box(axes: Axes, box: Box, lines: list[str], extent: tuple) -> None:
    left, bottom, width, height = extent
    style, fill = "square,pad=0", "white"
    if not box.formula:  # an input
        style, fill = "round,pad=0,rounding_size=0.12", "#eef3f8"
    patch = FancyBboxPatch((left, bottom), width, height, boxstyle=style, fc=fill, ec="black")
    patch.set(linewidth=2.6 if box.output else 1.0, gid=f"box {box.name}")
    axes.add_patch(patch)
    kinds = ["value"] if box.cotangent is None else ["value", "cotangent"]
    roles = ["formula"] * (len(lines) - len(kinds)) + kinds
    for n, (text, role) in enumerate(zip(lines, roles)):
        _write(
            axes,
            left + width / 2,
            bottom + height - PADDING - (n + 0.5) * HIGH,
            text,
            gid=f"{role} {box.name}",
            color=COLOUR if role == "cotangent" else "black",
            fontweight="bold" if role == "formula" else "normal",
        )
    if box.output:
        top = bottom + height
        _write(axes, left, top + 0.04, box.output, ha="left", va="baseline", fontsize=11)


def _draw_arrow(axes: Axes, arrow: Arrow, boxes: list[Box], vjp: bool) -> None:
    """Draw one forward, and with ``vjp`` one back below it; a head is where it meets a box."""
    source = boxes[arrow.source].name
    target = "on" if arrow.target is None else boxes[arrow.target].name
    heads = {True: "-|>", False: "-"}
    there = _path(arrow, ASIDE if vjp else 0.0)
    forward = FancyArrowPatch(path=there, arrowstyle=heads[arrow.target is not None], **LINES)
    forward.set(color="black", gid=f"forward {source} {target}")
    axes.add_patch(forward)
    if vjp:
        again = _path(arrow, -ASIDE)
        again = Path(again.vertices[::-1], again.codes)
        back = FancyArrowPatch(path=again, arrowstyle=heads[arrow.leaves_box], **LINES)
        back.set(color=COLOUR, linestyle=(0, (3, 1.5)), gid=f"back {target} {source}")
        axes.add_patch(back)


def _path(arrow, aside):
    """Return the curve of an arrow, moved up by ``aside``: level at both ends."""
    (x0, y0), (x1, y1) = arrow.start, arrow.end
    x = arrow.straight_until
    middle = (x + x1) / 2
    points = [(x, y0), (middle, y0), (middle, y1), (x1, y1)]
    if x0 < x:
        points = [(x0, y0), (x0, y0), (x, y0), *points]
    return Path(np.add(points, (0, aside)), [Path.MOVETO, *[Path.CURVE4] * (len(points) - 1)])
