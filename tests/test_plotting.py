"""Figures: words, sizes, and what a notebook shows."""

import base64
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

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
    display = lambda data, metadata, raw: shown.append((data, metadata, raw))
    shell = SimpleNamespace(kernel=kernel) if kernel is not None else None
    ipython = SimpleNamespace(
        get_ipython=lambda: shell, display=SimpleNamespace(display=display), __name__="IPython"
    )
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    return shown


def test_a_notebook_shows_the_file_that_is_kept_and_the_words(folder, monkeypatch):
    """The file of another Matplotlib, if there is one, so that the notebook is the same too."""
    shown = in_a_notebook(monkeypatch, kernel="a kernel")
    other = drawn((3, 1, 2))
    other.savefig(folder / "a.png", metadata={"Software": "Matplotlib version0.1, "})
    path = plotting.save(drawn(), "a", alt=WORDS)
    assert path == folder / "a.png"
    ((data, metadata, raw),) = shown
    assert base64.b64decode(data["image/png"]) == path.read_bytes() and raw
    assert data["text/plain"] == WORDS and metadata == {"image/png": {"alt": WORDS}}


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
    (output,) = notebook.cells[0].outputs
    assert base64.b64decode(output.data["image/png"]) == (folder / "a.png").read_bytes()
    assert output.data["text/plain"] == WORDS and output.metadata["image/png"]["alt"] == WORDS
