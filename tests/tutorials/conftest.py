"""The course's own modules are imported as where a chapter runs: from beside it."""

import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tutorials"))

SMALL = '''\
# %% [markdown]
# # Small
#
# Some $\\theta_0$ prose, a [link](SOURCES.md), and `f(x)[0](y)`.

# %%
import numpy as np

rng = np.random.default_rng(0)
drawn = rng.normal()
factor = 2.0


def twice(x):
    return factor * x


# %% [predict]
# What is six times seven?

# %%
print(6 * 7)

# %% [markdown]
# ## Exercises

# %% [exercise 1.1] level 1
# Write `triple`.


# %% [stub 1.1]
def triple(x):
    """Return three times x."""
    ...  # your code here


# %% [solution 1.1]
def triple(x):
    return twice(x) + x


# %% [check 1.1]
assert triple(2.0) == 6.0, f"triple(2.0) is {triple(2.0)}; it is 6"

# %% [exercise 1.2] level 2
# Which number is `triple(2.0)`?

# %% [stub 1.2]
six = ...

# %% [solution 1.2]
six = triple(2.0)

# %% [check 1.2]
assert six == 6.0, f"six is {six}"
'''


@pytest.fixture
def small(tmp_path):
    """Return the path of a small chapter."""
    path = tmp_path / "course" / "01_small.py"
    path.parent.mkdir()
    path.write_text(SMALL, encoding="utf-8")
    return path


@pytest.fixture
def course(small):
    """Return a folder that is a course of one chapter, with the tools of ours."""
    for path in (ROOT / "tutorials").glob("[a-z_]*.py"):
        shutil.copy(path, small.parent)
    return small.parent


@pytest.fixture
def opened():
    """Return what opens scenes to play with, which are closed after the test."""
    import matplotlib.pyplot as plt
    import play

    yield play.figure_of
    plt.close("all")
