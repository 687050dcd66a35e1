"""How the figures of the chapters look, and where they go.

It needs Matplotlib, and nothing else in the package needs this module.
"""

import io
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

# Blue, orange, green, purple, red, grey: people who are colour-blind can tell them apart, and so
# can readers of a print (after Okabe and Ito, 2008).
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#9B59B6", "#D55E00", "#666666"]
STYLE = {
    "figure.dpi": 150,
    "savefig.dpi": 150,
    "font.size": 13,
    "axes.titlesize": 14,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": plt.cycler(color=COLOURS),
    "lines.linewidth": 2.2,
    "legend.frameon": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "figure.constrained_layout.use": True,
    "mathtext.fontset": "cm",
}
# the last chunk of the file, which is empty: its name and its checksum
END_OF_PNG = b"IEND\xaeB`\x82"
ROUNDING = 0.003  # by how much of the grey scale two equal pictures may differ, on average
plt.rcParams.update(STYLE)


def panels(
    columns: int = 1, rows: int = 1, width: float = 9.0, height: float = 4.6, **settings: Any
) -> tuple[Figure, Any]:
    """Return a figure with that many panels, and the panels."""
    return plt.subplots(rows, columns, figsize=(width, height), **settings)


def save(figure: Figure, name: str) -> Path:
    """Save a figure as ``figures/name.png``, and return its path.

    The folder ``figures`` is the nearest one: here, or in a folder that holds this one. If there is
    none it is made here.

    A chapter that is run again must not change the repository. So a file that already shows the
    same picture is left alone. So is one that another version of Matplotlib has drawn, because each
    version places letters a little differently. Delete the file to have it drawn again. A file that
    is no picture, or not a whole one, is replaced.
    """
    here = Path.cwd()
    folders = [place / "figures" for place in (here, *here.parents)]
    folder = next((folder for folder in folders if folder.is_dir()), folders[0])
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.png"
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    if not matplotlib.is_interactive():  # a notebook shows a figure that is open after the cell
        plt.close(figure)
    if not path.exists() or _looks_different(path.read_bytes(), buffer.getvalue()):
        path.write_bytes(buffer.getvalue())
    return path


def _looks_different(old, new):
    """Whether two PNG files by the same Matplotlib differ by more than rounding can."""
    pixels = _pixels(old)
    if pixels is None:
        return True
    if f"Matplotlib version{matplotlib.__version__},".encode() not in old:
        return False
    expected = _pixels(new)
    return pixels.shape != expected.shape or np.mean(np.abs(pixels - expected)) > ROUNDING


def _pixels(png):
    """Return the pixels of a PNG file, None if it is damaged or another kind of file."""
    if not png.endswith(END_OF_PNG):
        return None
    try:
        return plt.imread(io.BytesIO(png), format="png")
    except Exception:  # of the many that a damaged file can raise
        return None
