"""The page of questions: each has an answer, and each link leads to a heading that is there."""

import re
from pathlib import Path

import cells
import pytest
from test_cells import anchors

PAGE = (Path(cells.HERE) / "QUESTIONS.md").read_text(encoding="utf-8")
QUESTIONS = re.findall(r"^\*\*(.+?)\*\* (.+)\n→ (.+)$", PAGE, re.M)


@pytest.mark.parametrize("question, answer, links", QUESTIONS, ids=[q[0] for q in QUESTIONS])
def test_a_question(question, answer, links):
    """It has three sentences for an answer, and places where the chapter has the heading."""
    sentences = re.sub(r"`[^`]*`", "code", answer)
    assert question[-1] in "?." and len(re.findall(r"[.!?](?:\s|$)", sentences)) == 3
    places = re.findall(r'\[chapter (\d+)\]\(notebooks/(\w+)\.ipynb\), "([^"]+)"', links)
    assert places
    for number, name, heading in places:
        path = cells.chapters()[int(number)]
        assert path.stem == name
        headings = re.findall(r"^# ##+ (.*)$", path.read_text(encoding="utf-8"), re.M)
        assert heading in headings, (name, heading)


def test_all_of_the_page_is_read():
    assert len(QUESTIONS) == PAGE.count("\n**") >= 20
    beyond = re.findall(r"\(BEYOND\.md#([\w-]+)\)", PAGE)
    assert beyond and set(beyond) <= anchors(cells.HERE / "BEYOND.md")
    assert len(QUESTIONS) == len({question for question, _, _ in QUESTIONS})
    assert not re.search(r"\$[^$]*\\[,;!{}|][^$]*\$", PAGE)  # an escape in Markdown
