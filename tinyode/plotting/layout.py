"""Where the boxes of a graph stand, and how its arrows run between them.

A box stands in the column of its depth: one further right than the last of its operands. (One that
has no operands, or one only, stands just before the first box that uses it.) An arrow from column 1
to column 4 passes a free place in columns 2 and 3, its *points* there, so that it crosses no box.
Within a column, each box and each point wants to be as high as the mean of its neighbours; this is
done column by column, to and fro (after Sugiyama, Tagawa and Toda, 1981). A graph that is wider
than the page goes on below, as a text does: a value that is needed there leaves at the right of the
one band, with its name, and enters at the left of the next.

All lengths are in inches, heights are counted upwards.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

WIDEST = 12.0  # of a band
BETWEEN_COLUMNS, BETWEEN_BOXES, BETWEEN_POINTS, BETWEEN_BANDS = 0.55, 0.34, 0.2, 0.25
BETWEEN_ENDS = 0.24  # of the arrows that enter one box
MARGIN = 0.15  # around all
# To and fro, with the order free at first. In the drawings of the tests nothing moves by more than
# 0.004 after that.
ORDERING, SWEEPS = 20, 60
FREE = 1e-3  # the weight of a box without arrows, which wants to be in the middle of its column

Key = tuple[int, int]  # (box, column): the box itself in its own column, else a point of its arrows


class Arrow(NamedTuple):
    """From a box or a point to one in the next column."""

    source: int  # the box whose value it carries
    target: int | None  # the box that it leads to; None for a point
    start: tuple[float, float]
    end: tuple[float, float]
    straight_until: float  # a point is as wide as its column: so far it runs on the level
    leaves_box: bool


class Layout(NamedTuple):
    """Where everything stands.

    Attributes
    ----------
    size : (width, height)
    boxes : list of (left, bottom, width, height), one for each box
    arrows : list of Arrow
    names : list of (box, left, height, "start" or "end" of a band), where the name of a box stands
    """

    size: tuple[float, float]
    boxes: list[tuple[float, float, float, float]]
    arrows: list[Arrow]
    names: list[tuple[int, float, float, str]]


def layout(
    sizes: Sequence[tuple[float, float]], parents: Sequence[tuple[int, ...]], name: float
) -> Layout:
    """Place boxes of these sizes, each of which comes after its parents; names are so wide."""
    depths = depths_of(parents)
    widths = [
        max([w for (w, _), d in zip(sizes, depths) if d == depth])
        for depth in range(max(depths) + 1)
    ]
    bands = _bands(widths, name)
    column_of, columns = _columns(bands, widths, name)
    own = [column_of[depth] for depth in depths]
    links = _links(own, parents)
    keys = sorted({key for link in links for key in link} | {*enumerate(own)})
    heights = {
        (i, c): sizes[i][1] + BETWEEN_BOXES if own[i] == c else BETWEEN_POINTS for i, c in keys
    }
    levels = _levels(columns, keys, links, heights)
    bottoms, total = _bottoms(columns, levels, heights)
    y = {key: levels[key] - bottoms[columns[key[1]].band] for key in keys}
    size = max([column.left + column.width for column in columns]) + MARGIN, total
    boxes = [
        (columns[c].left, y[i, c] - sizes[i][1] / 2, columns[c].width, sizes[i][1])
        for i, c in enumerate(own)
    ]
    names = [(i, columns[c].left, y[i, c], columns[c].edge) for i, c in keys if columns[c].edge]
    return Layout(size, boxes, _arrows(links, own, columns, y, sizes), names)


def depths_of(parents: Sequence[tuple[int, ...]]) -> list[int]:
    """Return the column of each box, counted from the left."""
    depths: list[int] = []
    for of_box in parents:
        depths.append(1 + max([depths[i] for i in of_box]) if of_box else 0)
    for i in reversed(range(len(parents))):
        users = [depths[k] for k, others in enumerate(parents) if i in others]
        if users and len({*parents[i]}) <= 1:  # then no arrows become longer by it
            depths[i] = min(users) - 1
    return [depth - min(depths) for depth in depths]


class _Column(NamedTuple):
    left: float
    width: float
    band: int
    edge: str  # "start" or "end" of a band, where names stand; else empty


def _bands(widths, name):
    """Return the band of each depth: as few bands as the page allows, and these narrow."""
    if sum(widths) + BETWEEN_COLUMNS * (len(widths) - 1) <= WIDEST:
        return [0] * len(widths)
    limit = WIDEST - 2 * (name + BETWEEN_COLUMNS)
    narrower = bands = _filled(widths, limit)
    while narrower[-1] == bands[-1]:
        bands, limit = narrower, limit - 0.1
        narrower = _filled(widths, limit)
    return bands


def _filled(widths, limit):
    """Return the band of each depth, where a band is filled up to the limit."""
    bands, used = [0], widths[0]
    for width in widths[1:]:
        used += BETWEEN_COLUMNS + width
        is_full = used > limit
        bands.append(bands[-1] + is_full)
        used = width if is_full else used
    return bands


def _columns(bands, widths, name):
    """Return the column of each depth, and all columns: two more where a band ends."""
    column_of, columns, left = [], [], MARGIN
    for depth, (band, width) in enumerate(zip(bands, widths)):
        if depth and band != bands[depth - 1]:
            columns.append(_Column(left, name, band - 1, "end"))
            columns.append(_Column(MARGIN, name, band, "start"))
            left = MARGIN + name + BETWEEN_COLUMNS
        column_of.append(len(columns))
        columns.append(_Column(left, width, band, ""))
        left += width + BETWEEN_COLUMNS
    return column_of, columns


def _links(own, parents):
    """Return the pairs of neighbours that arrows connect; an arrow that branches is there once."""
    links = []
    for i, start in enumerate(own):
        users = [k for k, of_box in enumerate(parents) for parent in of_box if parent == i]
        last = max([own[k] for k in users], default=start)
        links += [((i, c), (i, c + 1)) for c in range(start, last - 1)]
        links += [((i, own[k] - 1), (k, own[k])) for k in users]
    return links


def _levels(columns, keys, links, heights):
    """Return the height of each box and point, as near to its neighbours as their room allows."""
    inside = [[key for key in keys if key[1] == c] for c in range(len(columns))]
    left: dict[Key, list[Key]] = {key: [] for key in keys}
    right: dict[Key, list[Key]] = {key: [] for key in keys}
    both: dict[Key, list[Key]] = {key: [] for key in keys}  # in the same band
    for a, b in links:
        right[a].append(b)
        left[b].append(a)
        if columns[a[1]].band == columns[b[1]].band:
            both[a].append(b)
            both[b].append(a)
    level: dict[Key, float] = dict.fromkeys(keys, 0.0)
    for k in range(SWEEPS):
        forward, ordering = k % 2 == 0, k < ORDERING
        for column in inside if forward else inside[::-1]:
            # at first by the neighbours on one side only, and the order may change
            one_side = (left if forward else right) if ordering else {}
            wanted, weights = {}, {}
            for a in column:
                near = one_side.get(a) or both[a] or column
                wanted[a], weights[a] = np.mean([level[b] for b in near]), len(both[a]) or FREE
            if ordering:
                column.sort(key=wanted.__getitem__, reverse=True)
            found = _apart(*[[of[a] for a in column] for of in (wanted, heights, weights)])
            level.update(zip(column, found))
    return level


def _apart(wanted, heights, weights):
    """Return the levels nearest to those that are wanted, from the top, with room for each.

    In the sense of weighted least squares: levels plus their room above must fall from one to the
    next, so neighbours that want it otherwise take their mean (Ayer and others, 1955). With the
    numbers of arrows for weights, no sweep makes the sum of (difference of levels)^2 over all
    arrows larger.
    """
    above = np.concatenate([[0.0], np.cumsum([(a + b) / 2 for a, b in pairwise(heights)])])
    groups: list[tuple] = []  # of those with one level: the level, their weight and their number
    for level, weight in zip(np.add(wanted, above), weights):
        number = 1
        while groups and groups[-1][0] < level:
            other, more, others = groups.pop()
            level = (weight * level + more * other) / (weight + more)
            weight, number = weight + more, number + others
        groups.append((level, weight, number))
    return np.repeat([g[0] for g in groups], [g[2] for g in groups]) - above


def _bottoms(columns, levels, heights):
    """Return what is to be taken off the levels of each band, and the height of all bands."""
    bottoms, bottom = {}, MARGIN
    for band in reversed(range(columns[-1].band + 1)):
        inside = [key for key in levels if columns[key[1]].band == band]
        low = min([levels[key] - heights[key] / 2 for key in inside])
        high = max([levels[key] + heights[key] / 2 for key in inside])
        bottoms[band] = low - bottom
        bottom += high - low + BETWEEN_BANDS
    return bottoms, bottom - BETWEEN_BANDS + MARGIN


def _arrows(links, own, columns, y, sizes):
    """Return the arrows; those that enter one box are spread over its left side."""
    places: dict[int, list[int]] = {}  # of the arrows that enter a box
    for n, (_, (i, d)) in enumerate(links):
        places.setdefault(i, [])
        if own[i] == d:
            places[i].append(n)
    for entering in places.values():
        entering.sort(key=lambda n: -y[links[n][0]])
    arrows = []
    for n, ((source, c), (i, d)) in enumerate(links):
        column = columns[c]
        if column.edge and columns[d].edge:  # from one band to the next
            continue
        level, target = y[i, d], None
        if own[i] == d:
            target, of_box = i, places[i]
            apart = min(BETWEEN_ENDS, sizes[i][1] / len(of_box))
            level += apart * ((len(of_box) - 1) / 2 - of_box.index(n))
        right, leaves_box = column.left + column.width, own[source] == c
        start = right if leaves_box or column.edge else column.left
        ends = (start, y[source, c]), (columns[d].left, level)
        arrows.append(Arrow(source, target, *ends, right, leaves_box))
    return arrows
