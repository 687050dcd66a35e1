"""Figures: words, sizes, and what a notebook shows."""

import ast
import base64
import importlib.util
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")

from PIL import Image  # noqa: E402

from tinyode import plotting  # noqa: E402

ROOT = Path(__file__).parent.parent
WORDS = "A line that rises to the right."


def drawn(line=(1, 2, 3)):
    figure, axes = plotting.panels(width=3, height=2)
    axes.plot(line)
    return figure


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "figures").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "figures"


@pytest.mark.parametrize("words", [{}, {"alt": ""}, {"alt": " "}, {"alt": None}])
def test_a_figure_without_words_is_refused(folder, words):
    with pytest.raises(TypeError, match="write alt=, one or two sentences that say what"):
        plotting.save(drawn(), "a", **words)
    assert not list(folder.iterdir())


def test_a_figure_is_kept_in_256_colours_and_closed(folder):
    """Colours are close to what was drawn, white is white, and the file is a third as large."""
    figure, axes = plotting.panels(width=5, height=4)
    x, y = np.mgrid[-1:1:200j, -1:1:200j]
    axes.imshow(np.exp(-3 * (x * x + y * y)) * (1 + 0.1 * np.sin(20 * x)), cmap="viridis")
    axes.plot(np.linspace(0, 199, 20), 100 + 50 * np.sin(np.arange(20)), "o-", color="red")
    figure.savefig("as_drawn.png")
    path = plotting.save(figure, "a", alt=WORDS)
    assert not matplotlib.pyplot.fignum_exists(figure.number)
    before = np.asarray(Image.open("as_drawn.png").convert("RGB")).astype(int)
    kept = Image.open(path)
    after = np.asarray(kept.convert("RGB")).astype(int)
    assert len(kept.getcolors()) <= 256 and kept.info["Software"].startswith("Matplotlib version")
    assert np.abs(after - before).max() <= 20
    assert np.all(after[np.all(before == 255, axis=-1)] == 255)
    assert path.stat().st_size < 0.5 * (folder.parent / "as_drawn.png").stat().st_size


def in_a_notebook(monkeypatch, kernel):
    """Stand in for IPython; return what is shown."""
    shown = []
    display = lambda data, metadata=None, raw=False: shown.append((data, metadata, raw))
    shell = SimpleNamespace(kernel=kernel) if kernel is not None else None
    ipython = SimpleNamespace(
        get_ipython=lambda: shell, display=SimpleNamespace(display=display), __name__="IPython"
    )
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    return shown


def test_a_notebook_shows_what_is_drawn_and_the_words(folder, monkeypatch):
    """Not the file that another Matplotlib has drawn: whoever changes a figure sees the change."""
    shown = in_a_notebook(monkeypatch, kernel="a kernel")
    other = drawn((3, 1, 2))
    other.savefig(folder / "a.png", metadata={"Software": "Matplotlib version0.1, "})
    kept = (folder / "a.png").read_bytes()
    path = plotting.save(drawn(), "a", alt=WORDS)
    assert path == folder / "a.png" and path.read_bytes() == kept
    (data, metadata, raw), (words, _, words_raw) = shown
    plotting.save(drawn(), "b", alt=WORDS)
    assert base64.b64decode(data["image/png"]) == (folder / "b.png").read_bytes() and raw
    assert data["text/plain"] == WORDS and metadata == {"image/png": {"alt": WORDS}}
    assert words == {"text/markdown": f"*{WORDS}*", "text/plain": WORDS} and words_raw


@pytest.mark.parametrize("kernel", [None, False])
def test_outside_a_notebook_nothing_is_shown(folder, monkeypatch, kernel, capfd):
    shown = in_a_notebook(monkeypatch, kernel)
    plotting.save(drawn(), "a", alt=WORDS)
    assert not shown and capfd.readouterr() == ("", "")


@pytest.mark.filterwarnings("ignore")
def test_a_real_notebook_has_the_picture_with_its_words_and_no_path(folder, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for the kernel, which is another process
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    code = f"""
from tinyode import plotting
figure, axes = plotting.panels(width=3, height=2)
axes.plot([1, 2, 3])
plotting.save(figure, "a", alt={WORDS!r})
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(notebook, kernel_name="python3").execute()
    output, words = notebook.cells[0].outputs
    assert words.data["text/markdown"] == f"*{WORDS}*"
    assert base64.b64decode(output.data["image/png"]) == (folder / "a.png").read_bytes()
    assert output.data["text/plain"] == WORDS and output.metadata["image/png"]["alt"] == WORDS


def moved(name="a", tops=(1.0, 2.0, 2.0, 3.0), **settings):
    figure, axes = plotting.panels(width=5, height=3)
    (line,) = axes.plot([0, 1], [0, 1])
    axes.set_ylim(0, 4)
    update = lambda top: line.set_ydata([0, top])
    return plotting.save_animation(figure, update, tops, name, alt=WORDS, **settings)


def test_a_picture_that_moves(folder):
    """It runs for ever, pauses at the end, and two equal frames are one that is shown longer."""
    path = moved(seconds=0.2, pause=1.5)
    with Image.open(path) as picture:
        assert picture.format == "GIF" and picture.width == 700 and picture.info["loop"] == 0
        assert picture.info["comment"].startswith(b"Matplotlib version")
        shown = []
        for frame in range(picture.n_frames):
            picture.seek(frame)
            shown.append(picture.info["duration"])
    assert shown == [200, 400, 1500]
    with pytest.raises(TypeError, match="save_animation: write alt="):
        plotting.save_animation(drawn(), print, [1], "b")


def test_a_picture_that_moves_is_left_alone_if_it_shows_the_same(folder):
    expected = moved().read_bytes()
    there = folder / "a.gif"
    other = expected.replace(matplotlib.__version__.encode(), b"0" * len(matplotlib.__version__))
    for kept in (expected + b";", other + b";"):  # what follows the end is not looked at
        there.write_bytes(kept)
        assert moved().read_bytes() == kept
    there.write_bytes(other)
    assert moved(tops=(3.0, 1.0, 1.0, 2.0)).read_bytes() == other
    for damaged in (expected[:-1], expected[: len(expected) // 2], b"GIF89a;", b""):
        there.write_bytes(damaged)
        assert moved().read_bytes() == expected
    for tops in ((1.0, 2.0, 2.0, 2.5), (1.0, 2.0, 3.0, 2.0), (1.0, 2.0)):
        moved(tops=tops)
        assert there.read_bytes() != expected
        assert moved().read_bytes() == expected


def animations():
    spec = importlib.util.spec_from_file_location("animations", ROOT / "tutorials/animations.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pictures_that_move_are_small_and_have_words():
    """All that are kept are made by the script, and a chapter that shows one has its words."""
    module = animations()
    kept = {path.stem: path for path in (ROOT / "figures").glob("*.gif")}
    assert kept.keys() == module.ANIMATIONS.keys() == module.WORDS.keys()
    for path in kept.values():
        with Image.open(path) as picture:
            assert path.stat().st_size < 1e6 and picture.n_frames <= 60
            assert picture.width == 700 and picture.info["loop"] == 0
    for chapter in (ROOT / "tutorials").glob("[0-9]*.py"):
        prose = re.sub(r"\n# ?", " ", chapter.read_text(encoding="utf-8"))
        for words, name in re.findall(r"!\[([^]]*)\]\(\S*figures/(\w+)\.gif\)", prose):
            assert words == module.WORDS[name], (chapter.name, name)


@pytest.mark.parametrize("name", animations().ANIMATIONS)
def test_what_moves_can_be_drawn(name, folder):
    """The first, a middle and the last frame; the last is that of the file which is kept.

    Another version of Matplotlib places letters otherwise, so it is compared for one version only.
    """
    figure, update, frames, pace = animations().ANIMATIONS[name]()
    few = [frames[0], frames[len(frames) // 2], frames[-1]]
    path = plotting.save_animation(figure, update, few, name, alt=WORDS, **pace)
    with Image.open(path) as drawn_now, Image.open(ROOT / "figures" / path.name) as kept:
        assert drawn_now.n_frames == 3
        if drawn_now.info["comment"] == kept.info["comment"]:
            assert drawn_now.size == kept.size
            drawn_now.seek(drawn_now.n_frames - 1)
            kept.seek(kept.n_frames - 1)
            now, then = [np.asarray(p.convert("RGB")).astype(int) for p in (drawn_now, kept)]
            assert np.mean(np.abs(now - then)) < 255 * 0.003


def saved_in_chapters():
    """Return (chapter, name, alt) of every call of save."""
    found = []
    for path in sorted((ROOT / "tutorials").glob("[0-9]*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "save":
                alt = [keyword.value for keyword in node.keywords if keyword.arg == "alt"]
                words = ast.literal_eval(alt[0]) if alt else ""
                found.append((path.name, node.args[1].value, words))
    return found


def test_every_figure_of_the_chapters_has_words_of_its_own():
    found = saved_in_chapters()
    names = {path.stem for path in (ROOT / "figures").glob("[0-9]*.png")}
    assert {name for _, name, _ in found} == names
    assert [name for _, name, words in found if len(words) < 40] == []
    assert len({words for *_, words in found}) == len(found)


def test_no_picture_is_larger_than_300_kB():
    large = [path.name for path in (ROOT / "figures").glob("*.png") if path.stat().st_size > 3e5]
    assert large == []
