"""What `import tinyode` imports, and when: each part of the package when it is asked for."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import tinyode

ROOT = Path(__file__).parent.parent


def imported_by(code):
    """Return the modules of tinyode, and NumPy's large ones, that code imports in a new process."""
    code = f"import sys, numpy; before = set(sys.modules)\n{code}\n"
    code += "print(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    names = done.stdout.split()
    # np.random takes long to import; it is there when something is drawn, and not before.
    assert "numpy.random" not in names
    return {name.split(".")[1] for name in names if name.startswith("tinyode.")}


@pytest.mark.parametrize(
    "code, expected, unneeded",
    [
        ("import tinyode", "", "autodiff solvers sensitivity programs nn tree"),
        ("from tinyode import vjp", "autodiff", "solvers sensitivity programs nn"),
        ("from tinyode import solve", "solvers", "sensitivity programs nn"),
        ("from tinyode import odeint", "sensitivity", "programs nn optim datasets models"),
        ("from tinyode import compiled", "programs", "nn optim datasets models"),
        ("import tinyode; tinyode.nn", "nn", "solvers sensitivity programs"),
        ("import tinyode; tinyode.models.neural_ode", "models sensitivity", "testing"),
        ("from tinyode import *", "autodiff solvers sensitivity programs nn optim tree", "models"),
    ],
)
def test_what_is_not_asked_for_is_not_imported(code, expected, unneeded):
    found = imported_by(code)
    assert found >= set(expected.split()) and not found & set(unneeded.split())


def test_every_name_is_that_of_the_module_that_has_it():
    for name in tinyode.__all__:
        value = getattr(tinyode, name)
        assert name in dir(tinyode)
        module = import_module(getattr(value, "__module__", value.__name__))
        assert module is value or getattr(module, name) is value
    star = {}
    exec("from tinyode import *", star)
    assert set(tinyode.__all__) <= set(star)


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(tinyode, "odient")
    with pytest.raises(AttributeError, match="module 'tinyode' has no attribute 'odient'"):
        tinyode.odient()
    with pytest.raises(ImportError, match="cannot import name 'odient' from 'tinyode'"):
        exec("from tinyode import odient")
