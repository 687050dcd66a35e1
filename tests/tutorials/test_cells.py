"""A chapter taken apart into cells, and put together again."""

import os
import re
from pathlib import Path

import cells
import pytest

CHAPTERS = list(cells.chapters().values())


def test_every_tag_is_read(small):
    found = cells.read(small)
    tags = [(cell.tag, cell.exercise, cell.level) for cell in found]
    assert tags[:5] == [
        ("markdown", "", 0),
        ("", "", 0),
        ("predict", "", 0),
        ("", "", 0),
        ("markdown", "", 0),
    ]
    of_an_exercise = [("exercise", 0), ("stub", 0), ("solution", 0), ("check", 0)]
    assert [(tag, 0) for tag, exercise, _ in tags if exercise == "1.1"] == of_an_exercise
    assert cells.exercises(found) == {"1.1": 1, "1.2": 2}
    assert found[0].source.startswith("# Small\n\nSome") and found[3].source == "print(6 * 7)"
    lines = small.read_text(encoding="utf-8").splitlines()
    for cell in found:
        if not cell.is_prose:
            assert lines[cell.line - 1] == cell.source.splitlines()[0]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_can_be_put_together_again(path, tmp_path):
    found = cells.read(path)
    copy = tmp_path / path.name
    copy.write_text(cells.script(found), encoding="utf-8")
    again = cells.read(copy)
    assert [cell._replace(line=0) for cell in again] == [cell._replace(line=0) for cell in found]


@pytest.mark.parametrize(
    "tag", ["[markdwon]", "[stub]", "[stub 5]", "[exercise 5.1", "[Check 5.1]"]
)
def test_a_tag_that_is_not_known_is_refused(tmp_path, tag):
    path = tmp_path / "01_wrong.py"
    path.write_text(f"# %% [markdown]\n# # Wrong\n\n# %% {tag}\nx = 1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"line 4: the tag of .* is not known; the tags are"):
        cells.read(path)


def test_what_editors_write_is_read(tmp_path, small):
    """A mark at the beginning, other ends of lines, a header, a title and options of a cell."""
    text = small.read_text(encoding="utf-8")
    for number, changed in enumerate(
        [
            "\ufeff" + text,
            text.replace("\n", "\r\n"),
            "# ---\n# jupyter:\n#   jupytext: {}\n# ---\n\n" + text,
            text.replace("# %%\nimport", '# %% the imports tags=["x"]\nimport'),
        ]
    ):
        path = small.parent / f"0{number + 2}_changed.py"
        path.write_bytes(changed.encode())
        expected = [cell[:4] for cell in cells.read(small)]
        assert [cell[:4] for cell in cells.read(path)] == expected
    path.write_bytes("# %%\nx = 'é'\n".encode("latin-1"))
    with pytest.raises(ValueError, match="is not in UTF-8"):
        cells.read(path)


def test_editions(small):
    blank = cells.edition(small, small.parent, solved=False)
    solved = cells.edition(small, small.parent, solved=True)
    assert not any(cell.tag == "solution" for cell in blank)
    assert not any(cell.tag == "stub" for cell in solved)
    assert len(blank) == len(solved) == len(cells.read(small)) - 2 + 1
    (task,) = [cell for cell in blank if (cell.tag, cell.exercise) == ("exercise", "1.1")]
    assert task.source == "### Exercise 1.1 (level 1)\n\nWrite `triple`."
    (question,) = [cell for cell in blank if cell.tag == "predict"]
    assert question.source == "> **Predict.** What is six times seven?"
    for edition in (blank, solved):
        assert "[01_small.py](01_small.py)" in edition[0].source


def test_links_lead_from_where_an_edition_stands(small):
    folder = cells.HERE / "notebooks" / "solutions"
    text = cells.script(cells.edition(small, folder, solved=True))
    assert "[link](../../SOURCES.md)" in text and "`f(x)[0](y)`" in text
    for path in CHAPTERS:
        for cell in cells.edition(path, folder, solved=True):
            for link in filter(None, cells.LINK.findall(cell.source)) if cell.is_prose else ():
                file, _, anchor = link.partition("#")
                target = Path(os.path.normpath(folder / file))
                assert target.exists(), (path.name, link)
                assert not anchor or anchor in anchors(target), (path.name, link)


def anchors(page):
    """Return what a link can name in a page: its headings, as a code host writes them."""
    headings = re.findall(r"^##+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_an_edition_elsewhere_finds_the_modules_of_the_course(tmp_path):
    path = next(
        path for path in CHAPTERS if "from experiment import" in path.read_text(encoding="utf-8")
    )
    for folder, way in ((tmp_path, cells.HERE.as_posix()), (cells.HERE / "notebooks", "..")):
        text = cells.script(cells.edition(path, folder, solved=False))
        assert text.index(f"sys.path.append({way!r})") < text.index("from experiment import")


def test_an_answer_is_all_between_stub_and_check(small):
    text = small.read_text(encoding="utf-8").replace(
        "# %% [check 1.1]", "# %%\nhelper = 1\n\n# %% [markdown]\n# A note\n\n# %% [check 1.1]"
    )
    small.write_text(text.replace("# %% [check 1.2]", "# %% no check"), encoding="utf-8")
    found = cells.read(small)
    sources = [cell.source for cell in cells.answer(found, "1.1")]
    assert sources[0].startswith("def triple") and sources[-1] == "helper = 1"
    assert cells.answer(found, "1.2")[0].source == "six = ..."
    assert cells.answer(found, "1.3") == []
