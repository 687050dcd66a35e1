"""BEYOND.md: its blocks run, their numbers agree, and what it says of each library is so.

Blocks and claims of tinyode run always, those of the other libraries where these are installed.
"""

import importlib.metadata
import inspect
import re
import sys
import warnings
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import cells
import numpy as np
import pytest

PAGE = (Path(cells.HERE) / "BEYOND.md").read_text(encoding="utf-8")
IMPORTS = {  # what a block begins with -> what it needs
    "tinyode": ("tinyode",),
    "JAX with diffrax": ("jax", "diffrax", "optax"),
    "PyTorch with torchdiffeq": ("torch", "torchdiffeq", "scipy"),
}
NAMED = {  # how a line of "What changes" begins -> whose block it is about
    "tinyode": "tinyode",
    "JAX": "JAX with diffrax",
    "diffrax": "JAX with diffrax",
    "PyTorch": "PyTorch with torchdiffeq",
    "torchdiffeq": "PyTorch with torchdiffeq",
}
FIRST = ("The field", "Several times")  # which all other sections need
CLAIM = re.compile(r"`([^`]+)` → (raises |warns )?`([^`]+)`(?: about `([^`]+)`)?")
DEFAULT = re.compile(r"`(\w+)` of `([\w.]+)` (?:is `([^`]+)` by default|has no default)")
AGREEMENT = re.compile(r"^Agrees to (\d+e-\d+)(?:, without (\w+))?: (`\w+`(?:, `\w+`)*)\.$", re.M)


def read(page):
    """Return the sections of a page that have blocks, by their headings."""
    sections = {}
    for heading, text in re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", page, re.M | re.S):
        blocks = re.findall(r"^```python\n# ([^\n]+)\n(.*?)^```$", text, re.M | re.S)
        if blocks:
            sections[heading] = SimpleNamespace(
                blocks=dict(blocks),
                agreements=[
                    (float(bound), NAMED.get(left_out), re.findall(r"\w+", names))
                    for bound, left_out, names in AGREEMENT.findall(text)
                ],
                changes=re.findall(r"^\* \*\*(\w+)\*\*: (.+)$", text, re.M),
                agreed=text.count("\nAgrees"),
                bullets=text.count("\n* "),
            )
    return sections


SECTIONS = read(PAGE)
EACH = pytest.mark.parametrize("heading", SECTIONS)
PEERS = pytest.mark.parametrize("library", list(IMPORTS)[1:])


def as_new(library):
    """Bring back the dtype that a library begins with, which its first block changes."""
    if library.startswith("JAX"):
        importlib.import_module("jax").config.update("jax_enable_x64", False)
    if library.startswith("PyTorch"):
        torch = importlib.import_module("torch")
        torch.set_default_dtype(torch.float32)


def run(blocks, library, names):
    """Run blocks of a library among these names; a warning of tinyode is an error."""
    with warnings.catch_warnings():
        if library != "tinyode":
            warnings.simplefilter("ignore")
        for block in blocks:
            exec(block, names)
    return names


@cache
def of_page(heading, library):
    """Run a section of the page after those that come first; return the names that it leaves.

    What comes first is run once with JAX, which compiles it and whose arrays never change.
    """
    before = FIRST[: FIRST.index(heading)] if heading in FIRST else FIRST
    block = SECTIONS[heading].blocks[library]
    if before and library.startswith("JAX"):
        return run([block], library, dict(of_page(before[-1], library)))
    as_new(library)
    blocks = [SECTIONS[first].blocks[library] for first in before]
    return run([*blocks, block], library, {})


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory):
    """Run in a folder of its own, and leave the dtypes of the libraries as they were."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("beyond"))
        yield
    for library, (module, *_) in IMPORTS.items():
        if module in sys.modules:
            as_new(library)


def number(x):
    """Return a result of any of the libraries as an array of NumPy."""
    return np.asarray(x.detach().numpy() if hasattr(x, "detach") else x, float)


def disagreements(section, library, ours, theirs):
    """Return what a library has otherwise than tinyode, a sentence for each result."""
    found = []
    for bound, left_out, names in section.agreements:
        for name in names if library != left_out else ():
            a, b = number(ours[name]), number(theirs[name])
            if a.shape != b.shape:
                found.append(f"{name} has the shapes {a.shape} and {b.shape}")
                continue
            error = np.abs(a - b).max() / np.abs(a).max()
            if not error <= bound:  # nor NaN
                found.append(f"{name} is off by {error:.1e}, and not by {bound} at most")
    return found


def said(expression, names):
    """Return what Python prints, warns and raises: pairs of a name and a message, by the words."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            value = str(eval(expression, names))
        except Exception as error:
            kinds = [kind.__name__.lstrip("_") for kind in type(error).__mro__]
            return {"raises ": [(kind, str(error)) for kind in kinds]}
    return {
        "": [(value, "")],
        "warns ": [(warning.category.__name__, str(warning.message)) for warning in warned],
    }


def default(function, name, names):
    """Return what is printed for the default of an argument, and nothing if it has none."""
    found = inspect.signature(eval(function, names)).parameters[name].default
    return "" if found is inspect.Parameter.empty else str(found)


def wrong_claims(section, library, names):
    """Return the claims about a library that do not hold, each with what Python says instead."""
    found = []
    for change in [change for named, change in section.changes if NAMED[named] == library]:
        for expression, how, expected, word in CLAIM.findall(change):
            answer = said(expression, names)
            if not any(expected == name and word in said for name, said in answer.get(how, [])):
                found.append((expression, how + expected, word, answer))
        for argument, function, expected in DEFAULT.findall(change):
            if (is_by_default := default(function, argument, names)) != expected:
                found.append((argument, function, expected, is_by_default))
    return found


@EACH
def test_tinyode(heading):
    names = of_page(heading, "tinyode")
    assert wrong_claims(SECTIONS[heading], "tinyode", names) == []


@pytest.mark.peers
@EACH
@PEERS
def test_a_peer(heading, library):
    for module in IMPORTS[library]:
        pytest.importorskip(module)
    ours, theirs = (of_page(heading, each) for each in ("tinyode", library))
    assert disagreements(SECTIONS[heading], library, ours, theirs) == []
    assert wrong_claims(SECTIONS[heading], library, theirs) == []


@pytest.mark.peers
def test_the_versions_are_those_that_are_installed():
    """Others are no failure, but are said."""
    named = dict(re.findall(r"(\w+)==([\d.]+)", PAGE))
    assert {*named, "scipy", "tinyode"} == {p for packages in IMPORTS.values() for p in packages}
    others = []
    for package, version in named.items():
        pytest.importorskip(package)
        installed = importlib.metadata.version(package).split("+")[0]
        if installed != version:
            others.append(f"{package} {version}, and {installed} is installed")
    if others:
        pytest.skip(f"the page was tried with {'; '.join(others)}")


@EACH
def test_a_section_is_whole(heading):
    """It has a block for each library, what agrees, and claims that all are held."""
    section = SECTIONS[heading]
    assert list(section.blocks) == list(IMPORTS)
    assert len(section.agreements) == section.agreed
    assert all(bound <= 1e-4 for bound, *_ in section.agreements)
    assert any(left_out is None for _, left_out, _ in section.agreements)
    assert len(section.changes) == section.bullets >= 2
    for _, change in section.changes:
        assert len(CLAIM.findall(change)) == change.count("→"), change
        assert len(DEFAULT.findall(change)) == change.count("` of `"), change
        assert change.count("→") + change.count("` of `") >= 1, change
    for block in section.blocks.values():
        assert len(block.splitlines()) <= 14 and max(map(len, block.splitlines())) <= 100


def anchor(heading):
    """Return how a code host calls a heading in a link."""
    return heading.lower().replace(",", "").replace(" ", "-")


def test_the_table_names_each_section_and_what_is_in_its_blocks():
    rows = re.findall(r"^\| \[(.+?)\]\(#(.+?)\) \| (.+) \| (.+) \| (.+) \|$", PAGE, re.M)
    assert [row[0] for row in rows] == list(SECTIONS)
    for heading, link, *lines in rows:
        assert link == anchor(heading)
        for line, block in zip(lines, SECTIONS[heading].blocks.values()):
            assert re.sub(r"^`|`$", "", line) in block, (heading, line)


def test_its_links_lead_somewhere():
    anchors = {anchor(heading) for heading in re.findall(r"^## (.+)$", PAGE, re.M)}
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", PAGE, flags=re.S)
    for link in re.findall(r"\]\(([^)]+)\)", prose):
        assert link[1:] in anchors if link[0] == "#" else (Path(cells.HERE) / link).exists(), link
    for name in re.findall(r"`((?:tests|tutorials)/[^`]+)`", PAGE):
        assert (Path(cells.HERE).parent / name).exists(), name


SMALL = """
## The field

```python
# tinyode
y = [1.0, 2.0]
last = lambda y, i=-1: y[i]
```

```python
# JAX with diffrax
y = [1.0, 2.0]
```

Agrees to 1e-6: `y`.

What changes

* **tinyode**: it has two numbers. `len(y)` → `2`, `y[2]` → raises `IndexError` about `range`
* **tinyode**: the last: `i` of `last` is `-1` by default, `y` of `last` has no default.
"""


@pytest.mark.parametrize(
    "old, new",
    [
        ("diffrax\ny = [1.0, 2.0]", "diffrax\ny = [1.0, 2.00001]"),
        ("diffrax\ny = [1.0, 2.0]", "diffrax\ny = [1.0]"),
        ("tinyode\ny = [1.0, 2.0]", "tinyode\ny = [1.0, float('nan')]"),
        ("`2`", "`3`"),
        ("y[2]", "y[1]"),
        ("`IndexError`", "`KeyError`"),
        ("raises", "warns"),
        ("`range`", "`size`"),
        ("`-1`", "`0`"),
        ("`y` of `last` has no default", "`y` of `last` is `1` by default"),
        ("`len(y)`", "`length(y)`"),
    ],
)
def test_a_wrong_page_is_noticed(old, new):
    def wrong(page):
        section = read(page)["The field"]
        ours, theirs = (run([block], name, {}) for name, block in section.blocks.items())
        return [
            *disagreements(section, "JAX with diffrax", ours, theirs),
            *wrong_claims(section, "tinyode", ours),
        ]

    assert wrong(SMALL) == [] and SMALL.count(old) == 1
    assert len(wrong(SMALL.replace(old, new))) == 1
