"""The source distribution: it is whole, it can be installed, and its tests pass from it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEFT_OUT = (".ci/", ".git")  # what serves the repository alone
BUILD = "import setuptools.build_meta as backend; print(backend.build_sdist('dist'))"
PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target")


def python(*arguments, cwd, path=""):
    """Run Python in a folder, with another one to import from first; return what it did."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


def said(done):
    """Return what Python has printed, which must have succeeded."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def tracked():
    """Return the names of the tracked files."""
    command = ["git", "ls-files"]
    done = shutil.which("git") and subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if not done or done.returncode:
        pytest.skip("this is no git repository, or git is not installed")
    names = [name for name in done.stdout.splitlines() if (ROOT / name).exists()]
    return [name for name in names if not name.startswith(LEFT_OUT)]


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    """Return a folder with setuptools, which builds the distribution and installs it."""
    folder = tmp_path_factory.mktemp("tools")
    if python(*PIP, folder, "setuptools>=70.1", cwd=folder).returncode:
        pytest.skip("setuptools cannot be downloaded")
    return folder


@pytest.fixture(scope="module")
def archive(tracked, tools, tmp_path_factory):
    """Build the source distribution from the tracked files alone."""
    source = tmp_path_factory.mktemp("source")
    for name in tracked:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    printed = said(python("-c", BUILD, cwd=source, path=tools))
    return source / "dist" / printed.splitlines()[-1]


@pytest.fixture(scope="module")
def installed(archive, tools, tmp_path_factory):
    """Install it, and return the folder in which it is."""
    folder = tmp_path_factory.mktemp("installed")
    options = ("--no-deps", "--no-build-isolation")
    said(python(*PIP, folder, *options, archive, cwd=folder, path=tools))
    return folder


def unpacked(archive, folder):
    said(python("-m", "tarfile", "-e", archive, folder, cwd=folder))
    return folder / archive.name.removesuffix(".tar.gz")


def test_all_that_is_tracked_is_in_it(tracked, archive, tmp_path):
    folder = unpacked(archive, tmp_path)
    assert [name for name in tracked if not (folder / name).is_file()] == []


def test_all_of_the_package_is_installed(tracked, installed):
    package = [name for name in tracked if name.startswith("tinyode/")]
    assert "tinyode/py.typed" in package and "tinyode/data/digits.npz" in package
    assert [name for name in package if not (installed / name).is_file()] == []


def test_its_tests_pass_with_what_is_installed(archive, installed, tmp_path):
    folder = unpacked(archive, tmp_path)
    shutil.rmtree(folder / "tinyode")  # the tests shall not meet this one
    tests = ("tests/test_tree.py", "tests/test_datasets.py")
    said(python("-m", "pytest", "-q", *tests, cwd=folder, path=installed))
    where = said(
        python("-c", "import tinyode; print(tinyode.__file__)", cwd=folder, path=installed)
    )
    assert Path(where) == installed / "tinyode" / "__init__.py"
