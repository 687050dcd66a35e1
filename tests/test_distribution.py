"""The source distribution and the wheel: what is in them, and that they work without a checkout.

The source distribution has all that is tracked, to test and to teach with. The wheel, built from
it, has the package alone. CI installs both in a fresh environment and uses them there.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

import tinyode

ROOT = Path(__file__).parent.parent
LEFT_OUT = (".ci/", ".git")  # what serves the repository alone
MADE = ("PKG-INFO", "tinyode.egg-info/")  # what setuptools adds
PIP = ("-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check")
TESTS = ("tests/test_tree.py", "tests/test_datasets.py", "tests/test_typing.py")


def python(*arguments, cwd, path="", command=sys.executable):
    """Run Python in a folder, with another one to import from first; return what it did."""
    return subprocess.run(
        [command, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        encoding="utf-8",
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
    done = shutil.which("git") and subprocess.run(
        command, cwd=ROOT, capture_output=True, encoding="utf-8"
    )
    if not done or done.returncode:
        pytest.skip("this is no git repository, or git is not installed")
    names = [name for name in done.stdout.splitlines() if (ROOT / name).exists()]
    return {name for name in names if not name.startswith(LEFT_OUT)}


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    """Return a folder with the newest setuptools, which builds the distributions."""
    folder = tmp_path_factory.mktemp("tools")
    if python(*PIP, "--target", folder, "setuptools", cwd=folder).returncode:
        pytest.skip("setuptools cannot be downloaded")
    return folder


def built(kind, folder, tools):
    """Build a distribution of a folder; a warning, of something deprecated, is an error."""
    code = f"import setuptools.build_meta as backend; print(backend.build_{kind}('dist'))"
    printed = said(python("-W", "error", "-c", code, cwd=folder, path=tools))
    return folder / "dist" / printed.splitlines()[-1]


@pytest.fixture(scope="module")
def archive(tracked, tools, tmp_path_factory):
    """Build the source distribution from the tracked files alone."""
    source = tmp_path_factory.mktemp("source")
    for name in tracked:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    return built("sdist", source, tools)


def unpacked(archive, folder):
    said(python("-m", "tarfile", "-e", archive, folder, cwd=folder))
    return folder / archive.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(archive, tools, tmp_path_factory):
    """Build the wheel from the source distribution, as installing that does."""
    return built("wheel", unpacked(archive, tmp_path_factory.mktemp("unpacked")), tools)


def in_wheel(wheel):
    """Return the files of a wheel, {name: content}: those of the package, and the metadata."""
    with zipfile.ZipFile(wheel) as files:
        read = {name: files.read(name) for name in files.namelist()}
    about = f"tinyode-{tinyode.__version__}.dist-info/"
    metadata = {name.removeprefix(about): read.pop(name) for name in [*read] if about in name}
    return read, metadata


def test_the_source_distribution_is_what_is_tracked(tracked, archive):
    with tarfile.open(archive) as files:
        names = [member.name.partition("/")[2] for member in files if member.isfile()]
    assert {name for name in names if not name.startswith(MADE)} == tracked


def test_the_wheel_is_the_package(tracked, wheel):
    package, metadata = in_wheel(wheel)
    assert set(package) == {name for name in tracked if name.startswith("tinyode/")}
    assert {"tinyode/py.typed", "tinyode/data/digits.npz"} <= set(package)
    assert [name for name in package if package[name] != (ROOT / name).read_bytes()] == []
    assert metadata["licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    assert metadata["top_level.txt"].split() == [b"tinyode"]


def test_its_metadata(wheel):
    """Its page is the README, NumPy is all that it needs, and it has the extras that pages name."""
    metadata = message_from_bytes(in_wheel(wheel)[1]["METADATA"])
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert metadata.get_payload(decode=True).decode().strip() == readme.strip()
    assert metadata["Version"] == tinyode.__version__
    assert metadata["License-Expression"] == "MIT"
    assert [need for need in metadata.get_all("Requires-Dist") if "extra ==" not in need] == [
        "numpy>=2.0"
    ]
    pages = readme + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = ",".join(re.findall(r"\.\[([\w,]+)\]", pages)).split(",")
    assert set(named) == set(metadata.get_all("Provides-Extra"))


def test_the_changes_of_this_version_are_told():
    """CHANGELOG.md begins with this version."""
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)", changes, re.M)[1] == tinyode.__version__


@pytest.mark.skipif(not os.environ.get("CI"), reason="installs packages for a minute; CI does it")
def test_both_work_in_a_fresh_environment(archive, wheel, tmp_path):
    """The README's program by the wheel and NumPy alone; tests and a chapter by the source."""
    said(python("-m", "venv", tmp_path / "fresh", cwd=tmp_path))
    command = tmp_path / "fresh" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def fresh(*arguments, cwd=tmp_path):
        return said(python(*arguments, cwd=cwd, command=command))

    fresh(*PIP, wheel)
    installed = fresh("-m", "pip", "list", "--format=freeze").splitlines()
    assert {line.partition("==")[0] for line in installed} - {"pip", "setuptools"} == {
        "numpy",
        "tinyode",
    }
    program = re.search(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S
    )[1]
    where = "import tinyode; tinyode.datasets.digits(); print(tinyode.__file__)"
    printed = fresh("-W", "error", "-c", program + where)
    assert Path(printed.splitlines()[-1]).is_relative_to(tmp_path / "fresh")

    fresh(*PIP, f"{archive}[tutorials,test]")
    folder = unpacked(archive, tmp_path)
    shutil.rmtree(folder / "tinyode")  # the tests shall not meet this one
    fresh("-m", "pytest", "-q", *TESTS, cwd=folder)
    assert "done in" in fresh("-m", "tutorials", "1", cwd=folder)
    assert "written" in fresh("-m", "tutorials", "1", "--work", cwd=folder)
