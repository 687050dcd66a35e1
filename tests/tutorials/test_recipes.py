"""The recipes of QUESTIONS.md, taken out of the page: they run, and print what the page says."""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tinyode import grad, hessian, tree

ROOT = Path(__file__).parents[2]
COURSE = ROOT / "tutorials"
RECIPES = (COURSE / "QUESTIONS.md").read_text(encoding="utf-8").split("\n## Recipes\n")[1]
SQUARES, LIKELIHOOD, SHARDS = re.findall(r"^```python\n(.*?)^```", RECIPES, re.S | re.M)
PRINTED = re.findall(r"^```text\n(.*?)^```", RECIPES, re.S | re.M)
ROW = r"^\| of (\w+) \| `(.+?)` \| `(.+?)` \|$"
EXECUTORS = {name: row for name, *row in re.findall(ROW, RECIPES, re.M)}
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}

SPAWNED = """
import multiprocessing, runpy
import numpy as np
from tinyode import tree

multiprocessing.set_start_method("spawn")  # as on macOS and Windows
names = runpy.run_path("shards.py", run_name="__main__")
whole = names["loss"](names["parameters"], names["y0"], np.sin(names["y0"]))
in_shards = names["value"], names["gradient"]
tree.save("found.npz", {"whole": whole, "in_shards": in_shards})
"""
CLUSTER = """
from distributed import LocalCluster

with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
    print(cluster.scheduler_address, flush=True)
    input()
"""


def run(code):
    """Run a recipe here; return its names."""
    names = {"__name__": "recipe"}
    exec(code, names)
    return names


def distance(a, b):
    """Return the largest difference of two containers of one structure, against the largest b."""
    a, b = tree.ravel(a)[0], tree.ravel(b)[0]
    return np.abs(a - b).max() / np.abs(b).max()


def test_the_data_are_those_of_the_capstone():
    counts = re.search(r"in_bed = np\.array\(\[([\d, ]+)\]\)", SQUARES)[1]
    assert (
        re.sub(r"\s+", " ", (COURSE / "TEACHING.md").read_text(encoding="utf-8")).count(counts) == 1
    )


@pytest.fixture
def scipy():
    return pytest.importorskip("scipy")


@pytest.mark.peers
@pytest.mark.usefixtures("scipy")
def test_a_fit_by_least_squares(capsys):
    """Its numbers are those of the page; its errors those of SciPy's own way to find them."""
    from scipy.optimize import curve_fit

    names = run(SQUARES)
    assert capsys.readouterr().out == PRINTED[0]
    fit, days, in_bed = names["fit"], names["days"], names["in_bed"]
    assert fit.success and fit.njev < 10 and fit.fun[0] == 0

    def of_day(days, *rates):
        return (in_bed - names["misfits"](np.array(rates)))[1:]

    rates, covariance = curve_fit(of_day, days[1:], in_bed[1:], [2.0, 0.5])
    assert np.allclose(rates, fit.x, rtol=1e-5)
    assert np.allclose(np.sqrt(np.diag(covariance)), names["errors"], rtol=1e-3)


@pytest.mark.peers
@pytest.mark.usefixtures("scipy")
def test_a_fit_of_a_container(capsys):
    """The minimum is one, inside the bounds; the loss is the logarithm of a likelihood."""
    from scipy.stats import poisson

    names = run(SQUARES + LIKELIHOOD)
    assert capsys.readouterr().out == PRINTED[0] + PRINTED[1]
    fit, loss = names["fit"], lambda vector: names["loss"](vector)[0]
    assert fit.success and np.all(fit.x > np.array(names["bounds"]).T[0])
    curvature = hessian(loss)(fit.x)
    assert np.linalg.eigvalsh(curvature).min() > 0
    steps_left = np.linalg.solve(curvature, grad(loss)(fit.x)) / fit.x
    assert np.abs(steps_left).max() < 1e-3  # of Newton's method: no digit of the page changes

    def minus_log_likelihood(vector):
        q = names["unravel"](vector)
        start = np.array([763 - q["ill"], q["ill"]])
        I = names["odeint"](names["sir"], start, names["days"], q["rates"])[:, 1]
        return -np.sum(poisson.logpmf(names["in_bed"], I))

    constant = [minus_log_likelihood(x) - loss(x) for x in (fit.x, names["vector"])]
    assert np.isclose(*constant, rtol=1e-6)
    first = run(SQUARES)
    apart = (names["q"]["rates"][0] - first["fit"].x[0]) / first["errors"][0]
    assert round(apart) == 6 and "are six standard errors of the first fit apart" in RECIPES


def test_shards_in_spawned_processes(tmp_path):
    """The file of the page runs as it is; its gradient is the whole batch's, except for rounding.

    Each number is a sum of 2002 terms (1001 samples of two components), added in another order. The
    bound is one rounding for each of them.
    """
    (tmp_path / "shards.py").write_text(SHARDS, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SPAWNED],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, PRINTED[2]), done.stderr
    found = tree.load(tmp_path / "found.npz")
    assert distance(found["in_shards"], found["whole"]) < 2002 * np.finfo(float).eps


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
@pytest.mark.parametrize(
    "reduced, weighted, close",
    [("np.mean", "w * x", True), ("np.sum", "x", True), ("np.mean", "x / len(weights)", False)],
)
def test_weights(count, reduced, weighted, close):
    """A mean needs the weights of the page, a sum needs none.

    A mean with equal weights is seen to be wrong wherever the shards differ in size.
    """
    code = SHARDS.replace("np.mean", reduced).replace("w * x", weighted)
    names, rng = run(code), np.random.default_rng(0)
    parameters, y0 = names["init"](rng), rng.normal(size=(20, 2))
    whole = names["loss"](parameters, y0, np.sin(y0))
    with ThreadPoolExecutor(2) as executor:
        in_shards = names["in_shards"](executor, count, parameters, y0, np.sin(y0))
    rounding = distance(in_shards, whole) < 40 * np.finfo(float).eps
    assert rounding == (close or 20 % count == 0)


def test_steps_in_common_are_other_steps_in_a_shard():
    """With odeint in place of odeint_batch, they differ by more than rounding: the tolerance."""
    names, rng = run(SHARDS.replace("odeint_batch", "odeint")), np.random.default_rng(0)
    parameters, y0 = names["init"](rng), rng.normal(size=(101, 2))
    whole = names["loss"](parameters, y0, np.sin(y0))
    with ThreadPoolExecutor(2) as executor:
        in_shards = names["in_shards"](executor, 4, parameters, y0, np.sin(y0))
    assert 1e-12 < distance(in_shards, whole) < 1e-6


def run_on(name, folder, change=lambda text: text):
    """Run the shards on other workers, by the row of the table; return what is printed."""
    executor, start = map(change, EXECUTORS[name])
    package = re.match(r"([a-z0-9.]+)\.[A-Z]", executor)[1]
    code = SHARDS.replace(
        "from concurrent.futures import ProcessPoolExecutor", f"import {package}"
    ).replace("ProcessPoolExecutor(2)", executor)
    (folder / "shards.py").write_text(code, encoding="utf-8")
    command = [sys.executable if word == "python" else word for word in start.split()]
    done = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.peers
def test_shards_by_dask(tmp_path):
    pytest.importorskip("distributed")
    cluster = subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    with cluster:
        address = cluster.stdout.readline().strip()
        change = lambda text: text.replace("127.0.0.1:8786", address)
        assert run_on("Dask", tmp_path, change) == PRINTED[2]
        cluster.communicate("end\n")
    assert cluster.returncode == 0


@pytest.mark.peers
def test_shards_by_mpi(tmp_path):
    pytest.importorskip("mpi4py")
    here = str(Path(sys.executable).parent)
    launcher = shutil.which("mpiexec", path=os.pathsep.join([here, os.environ["PATH"]]))
    if launcher is None:
        pytest.skip("mpiexec is not on the path")
    change = lambda text: text.replace("mpiexec", launcher)
    assert run_on("MPI", tmp_path, change) == PRINTED[2]
