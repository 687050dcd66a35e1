"""`plotting.layout`: boxes apart, arrows around them, whatever the graph."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("matplotlib")

from tinyode.plotting.layout import MARGIN, WIDEST, _apart, depths_of, layout


@st.composite
def graphs(draw):
    """Draw the parents of up to thirty boxes, and their sizes."""
    n = draw(st.integers(1, 30))
    parents = []
    for i in range(n):
        some = st.lists(st.integers(0, i - 1), max_size=3) if i else st.just([])
        parents.append(tuple(draw(some)))
    sizes = [(draw(st.floats(0.5, 3.0)), draw(st.floats(0.4, 1.2))) for _ in range(n)]
    return sizes, parents


def overlap(a, b):
    return all(a[k] < b[k] + b[k + 2] - 1e-9 and b[k] < a[k] + a[k + 2] - 1e-9 for k in (0, 1))


@given(graphs())
def test_boxes_are_apart_and_in_the_order_of_depth(graph):
    sizes, parents = graph
    found = layout(sizes, parents, 0.5)
    for i, box in enumerate(found.boxes):
        assert box[2] >= sizes[i][0] - 1e-9 and box[3] == pytest.approx(sizes[i][1])
        assert box[0] >= MARGIN - 1e-9 and box[0] + box[2] <= found.size[0] - MARGIN + 1e-9
        assert box[1] >= MARGIN - 1e-9 and box[1] + box[3] <= found.size[1] - MARGIN + 1e-9
        assert not any(overlap(box, other) for other in found.boxes[:i])
    assert found.size[0] <= WIDEST + 2 * MARGIN + 1e-9
    depths = depths_of(parents)
    assert min(depths) == 0 and {*depths} == {*range(max(depths) + 1)}
    assert all(depths[p] < depths[i] for i, of_box in enumerate(parents) for p in of_box)


@given(graphs())
def test_arrows_pass_beside_boxes_and_lead_where_they_should(graph):
    sizes, parents = graph
    found = layout(sizes, parents, 0.5)
    leading = sorted((a.source, a.target) for a in found.arrows if a.target is not None)
    assert leading == sorted((p, i) for i, of_box in enumerate(parents) for p in of_box)
    for arrow in found.arrows:
        (x0, y0), (x1, y1) = arrow.start, arrow.end
        assert x0 <= arrow.straight_until < x1
        if arrow.target is not None:
            left, bottom, _, height = found.boxes[arrow.target]
            assert x1 == left and bottom < y1 < bottom + height
        for i, box in enumerate(found.boxes):
            level = (x0, y0 - 0.05, arrow.straight_until - x0, 0.1)  # with the one back
            assert not overlap(level, box) or i == arrow.source


@given(
    st.lists(
        st.tuples(st.floats(-9, 9), st.floats(0.1, 2), st.floats(0.1, 5)), min_size=1, max_size=8
    )
)
def test_levels_are_the_nearest_with_room(column):
    """No other levels with this room are nearer, in the sense of least squares."""
    wanted, heights, weights = map(np.array, zip(*column))
    found = _apart(wanted, heights, weights)
    room = (heights[1:] + heights[:-1]) / 2
    assert np.all(-np.diff(found) >= room - 1e-9)
    rng = np.random.default_rng(0)
    for _ in range(20):
        other = np.sort(rng.normal(size=len(wanted)))[::-1] * 9
        other = other - np.concatenate([[0], np.cumsum(room)])
        for mixed in (other, 0.9 * found + 0.1 * other):
            far, further = [np.sum(weights * (y - wanted) ** 2) for y in (found, mixed)]
            assert far <= further + 1e-9
