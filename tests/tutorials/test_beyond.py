"""BEYOND.md: its blocks run, their numbers agree, and what it says of each library is so.

Blocks and claims of tinyode run always, those of the other libraries where these are installed.
"""

import importlib.metadata
import inspect
import re
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
    "JAX with diffrax": ("jax", "diffrax"),
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
CLAIM = re.compile(r"`([^`]+)` → (raises |warns )?`([^`]+)`")
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
                bullets=text.count("\n* "),
            )
    return sections


SECTIONS = read(PAGE)
EACH = pytest.mark.parametrize("heading", SECTIONS)
PEERS = pytest.mark.parametrize("library", list(IMPORTS)[1:])


def default(function, name):
    """Return the default of an argument, which stands so in the page."""
    found = inspect.signature(function).parameters[name].default
    return "none" if found is inspect.Parameter.empty else found


def needs(library):
    for module in IMPORTS[library]:
        pytest.importorskip(module)


def as_new(library):
    """Bring the dtype that a library begins with, which its first block changes."""
    if library.startswith("JAX"):
        config = importlib.import_module("jax").config
        config.update("jax_enable_x64", False)
        config.update("jax_disable_most_optimizations", True)  # compiles sooner
    if library.startswith("PyTorch"):
        torch = importlib.import_module("torch")
        torch.set_default_dtype(torch.float32)


def run(blocks, library):
    """Return the names that blocks of a library leave, run one after the other."""
    as_new(library)
    names = {"default": default}
    for block in blocks:
        continue_with(block, library, names)
    return names


def continue_with(block, library, names):
    """Run one more block among these names; warnings of tinyode are errors."""
    with warnings.catch_warnings():
        if library != "tinyode":
            warnings.simplefilter("ignore")
        exec(block, names)


@cache
def compiled_first():
    """Run the first blocks of JAX once, since it compiles them. Arrays of JAX never change."""
    return run([SECTIONS[first].blocks["JAX with diffrax"] for first in FIRST], "JAX with diffrax")


@cache
def of_page(heading, library):
    """Run a section of the page after those that come first; return the names that it leaves."""
    block = SECTIONS[heading].blocks[library]
    if heading in FIRST:
        return run([SECTIONS[h].blocks[library] for h in FIRST[: FIRST.index(heading) + 1]], library)
    if library.startswith("JAX"):
        names = dict(compiled_first())
        continue_with(block, library, names)
        return names
    return run([*(SECTIONS[first].blocks[library] for first in FIRST), block], library)


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory):
    """Run in a folder of its own, and leave the dtypes of the libraries as they were."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("beyond"))
        yield
    for library, (module, *_) in IMPORTS.items():
        if module in __import__("sys").modules:
            as_new(library)


def number(x):
    """Return a result of any of the libraries as an array of NumPy."""
    return np.asarray(x.detach().numpy() if hasattr(x, "detach") else x, float)


def compare(section, library, ours, theirs):
    """Hold the results of a library against those of tinyode."""
    compared = 0
    for bound, left_out, names in section.agreements:
        for name in names if library != left_out else ():
            a, b = number(ours[name]), number(theirs[name])
            assert a.shape == b.shape and a.size and np.isfinite(a).all(), (name, a.shape, b.shape)
            error = np.abs(a - b).max() / np.abs(a).max()
            assert error <= bound, f"{name} of {library} is off by {error:.1e}, not {bound}"
            compared += 1
    assert compared


def kinds(error):
    return [kind.__name__.lstrip("_") for kind in type(error).__mro__]


def hold(change, names):
    """Hold one line of "What changes" against what Python says."""
    claims = CLAIM.findall(change)
    assert claims and len(claims) == change.count("→"), change
    for expression, how, expected in claims:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                found = str(eval(expression, names))
            except Exception as error:
                assert how == "raises " and expected in kinds(error), (expression, repr(error))
                continue
        assert how != "raises ", f"{expression} raises nothing"
        if how:
            assert expected in [w.category.__name__ for w in warned], expression
        else:
            assert found == expected, (expression, found)


def hold_all(section, library, names):
    for named, change in section.changes:
        if NAMED[named] == library:
            hold(change, names)


@EACH
def test_tinyode(heading):
    hold_all(SECTIONS[heading], "tinyode", of_page(heading, "tinyode"))


@pytest.mark.peers
@EACH
@PEERS
def test_a_peer(heading, library):
    needs(library)
    theirs = of_page(heading, library)
    compare(SECTIONS[heading], library, of_page(heading, "tinyode"), theirs)
    hold_all(SECTIONS[heading], library, theirs)


@pytest.mark.peers
@pytest.mark.parametrize("package, version", re.findall(r"(\w+)==([\d.]+)", PAGE))
def test_the_versions_are_those_that_are_installed(package, version):
    pytest.importorskip(package)
    installed = importlib.metadata.version(package).split("+")[0]
    if installed != version:
        pytest.skip(f"the page was written with {package} {version}; {installed} is installed")


@EACH
def test_a_section_is_whole(heading):
    """It has a block for each library, what agrees, and claims that all are held."""
    section = SECTIONS[heading]
    assert list(section.blocks) == list(IMPORTS)
    assert section.agreements and all(bound <= 1e-4 for bound, *_ in section.agreements)
    assert len(section.changes) == section.bullets >= 2
    for _, change in section.changes:
        assert len(CLAIM.findall(change)) == change.count("→") >= 1, change
    for block in section.blocks.values():
        assert len(block.splitlines()) <= 12 and max(map(len, block.splitlines())) <= 100


def test_the_table_names_each_section_and_what_is_in_its_blocks():
    rows = re.findall(r"^\| \[(.+?)\]\(#(.+?)\) \| (.+) \| (.+) \| (.+) \|$", PAGE, re.M)
    assert [row[0] for row in rows] == list(SECTIONS)
    for heading, link, *lines in rows:
        assert link == heading.lower().replace(" ", "-")
        for line, block in zip(lines, SECTIONS[heading].blocks.values()):
            assert re.sub(r"^`|`$", "", line) in block, (heading, line)


def test_its_links_lead_somewhere():
    anchors = {h.lower().replace(" ", "-") for h in re.findall(r"^## (.+)$", PAGE, re.M)}
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
```

```python
# JAX with diffrax
y = [1.0, 2.0]
```

Agrees to 1e-6: `y`.

What changes

* **tinyode**: it has two numbers. `len(y)` → `2`, `y[2]` → raises `IndexError`
"""


@pytest.mark.parametrize(
    "old, new",
    [
        ("diffrax\ny = [1.0, 2.0]", "diffrax\ny = [1.0, 2.00001]"),
        ("diffrax\ny = [1.0, 2.0]", "diffrax\ny = [1.0]"),
        ("diffrax\ny = [1.0, 2.0]", "diffrax\nz = [1.0, 2.0]"),
        ("tinyode\ny = [1.0, 2.0]", "tinyode\ny = [1.0, float('nan')]"),
        ("6: `y`.", "6, without diffrax: `y`."),
        ("6: `y`.", "6, `y`."),
        ("`2`", "`3`"),
        ("y[2]", "y[1]"),
        ("`IndexError`", "`KeyError`"),
        ("raises", "warns"),
        ("`len(y)` → `2`", "`len(y)` → 2"),
        ("`len(y)`", "`length(y)`"),
    ],
)
def test_a_wrong_page_is_noticed(old, new, monkeypatch):
    monkeypatch.setattr(f"{__name__}.as_new", lambda library: None)

    def check(page):
        sections = read(page)
        section = sections["The field"]
        ours, theirs = (run([block], library) for library, block in section.blocks.items())
        compare(section, "JAX with diffrax", ours, theirs)
        hold_all(section, "tinyode", ours)

    check(SMALL)
    assert SMALL.count(old) == 1
    with pytest.raises((AssertionError, KeyError)):
        check(SMALL.replace(old, new))
