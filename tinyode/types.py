"""The names that annotations have for what users pass and get.

mypy and editors read them; nothing depends on them while a program runs. A *tree* is an array, or a
nested tuple, list or dict of arrays. Python's types cannot say that a function returns the same
nesting with other leaves. So where a function returns what is nested like its argument, it is
annotated with one type variable, `T`, for both.
"""

from collections.abc import Callable
from typing import Any, TypeAlias, TypedDict, TypeVar

import numpy as np
from numpy.typing import ArrayLike

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Tree: TypeAlias = Any  # an array, or a nested tuple, list or dict of arrays
# in quotes, because np.random takes long to import and is not needed before something is drawn
Generator: TypeAlias = "np.random.Generator"
Field: TypeAlias = Callable[..., Any]  # f(t, y, *args), which returns dy/dt, nested like y
T = TypeVar("T")


class SolveOptions(TypedDict, total=False):
    """The keywords that all differentiable solvers have."""

    method: str
    rtol: Tree
    atol: Tree
    step_size: float | None
    first_step: float | None
    max_step: float | None
    max_steps: int


class BatchOptions(SolveOptions, total=False):
    """The keywords of `odeint_batch`."""

    batched: tuple[int, ...]


class OdeintOptions(SolveOptions, total=False):
    """The keywords of `odeint`."""

    gradient: str
    adjoint_method: str | None
    adjoint_rtol: Tree | None
    adjoint_atol: Tree | None
    checkpoints: int | None


__all__ = ["Array", "ArrayLike", "Field", "Generator", "T", "Tree"]
