"""How the figures of the chapters look, and where they go."""

import base64
import io
import sys
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

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
# By how much of the grey scale two equal pictures may differ, on average. Where a tenth of the
# colours is changed by 1 of 255, the palettes of the figures here differ by up to 0.0008.
ROUNDING = 0.003
plt.rcParams.update(STYLE)


def panels(
    columns: int = 1, rows: int = 1, width: float = 9.0, height: float = 4.6, **settings: Any
) -> tuple[Figure, Any]:
    """Return a figure with that many panels, and the panels."""
    return plt.subplots(rows, columns, figsize=(width, height), **settings)


def save(figure: Figure, name: str, *, alt: str = "") -> Path:
    """Save a figure as ``figures/name.png``, close it, and return the path.

    The folder ``figures`` is the nearest one: here, or in a folder that holds this one. If there is
    none it is made here. A notebook shows the file, with its words.

    A chapter that is run again must not change the repository. So a file that already shows the
    same picture is left alone. So is one that another version of Matplotlib has drawn, because each
    version places letters a little differently. Delete the file to have it drawn again. A file that
    is no picture, or not a whole one, is replaced.

    Parameters
    ----------
    figure : Figure
    name : str
    alt : str
        One or two sentences for those who cannot see the figure: what it shows, and what one should
        notice. They are required.

    Raises
    ------
    TypeError
        If there are no words.
    """
    if not (isinstance(alt, str) and alt.strip()):
        raise TypeError(
            "save: write alt=, one or two sentences that say what the figure shows, for those who"
            f" cannot see it; got {alt!r}"
        )
    here = Path.cwd()
    folders = [place / "figures" for place in (here, *here.parents)]
    folder = next((folder for folder in folders if folder.is_dir()), folders[0])
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.png"
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    plt.close(figure)
    png = _in_256_colours(buffer)
    if not path.exists() or _looks_different(path.read_bytes(), png):
        path.write_bytes(png)
    return _show_in_a_notebook(path, alt)


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
    """Return the colours of a PNG file, None if it is damaged or another kind of file."""
    if not png.endswith(END_OF_PNG):
        return None
    try:
        return plt.imread(io.BytesIO(png), format="png")[..., :3]
    except Exception:  # of the many that a damaged file can raise
        return None


def _in_256_colours(png):
    """Return a PNG file with a palette, which is a third of the size.

    The palette of "maximum coverage", improved by k-means, changes no colour of the figures here by
    more than 18 of 255, white not at all, and none of their files is larger than 300 kB. Pillow's
    usual palette changes some colours by 80, and one file has 384 kB.
    """
    image, software = Image.open(png), PngInfo()
    software.add_text("Software", image.info["Software"])
    reduced = image.convert("RGB").quantize(
        method=Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE
    )
    smaller = io.BytesIO()
    reduced.save(smaller, "png", optimize=True, pnginfo=software)
    return smaller.getvalue()


class _Shown(type(Path())):  # type: ignore[misc]  # a PosixPath or a WindowsPath
    """The path of a file that a notebook has shown: it does not show the path below as well."""

    def _ipython_display_(self):
        pass


def _show_in_a_notebook(path, alt):
    """Show the file that is kept, and not what Matplotlib draws here, with its words."""
    ipython = sys.modules.get("IPython")
    if not ipython or not getattr(ipython.get_ipython(), "kernel", None):
        return path
    kind = f"image/{path.suffix[1:]}"
    data = {kind: base64.b64encode(path.read_bytes()).decode(), "text/plain": alt}
    ipython.display.display(data, metadata={kind: {"alt": alt}}, raw=True)
    return _Shown(path)
