"""Which statements of a chapter does an exercise need?

A chapter may take a minute, and each exercise is checked in a process of its own. So only those
statements are run that the exercise depends on. They are found by names, from the last statement
back to the first: a statement is needed if it binds a name that is needed, or changes the object
behind it. What it reads is needed as well, and so is what a function reads when it is called.

A statement changes the objects whose methods it calls (``rng.normal()``, ``zs.append(z)``), to
whose attributes and items it assigns, and which it hands to a function whose result it drops or as
``out=``. It changes generators of random numbers and iterators that it hands to any function, and
what may be the same object under another name. That is often more than it really does, which costs
time. It is a guess all the same: code that changes an object in a way that no name shows is not
seen. A test holds what the exercises of the course get in this way against a run of all that stands
above them.

The jobs of experiments get less (`definitions`).
"""

import ast
import builtins
import symtable
from typing import NamedTuple

HARMLESS = {"print"}  # functions that change nothing of what they get
STATEFUL = {"default_rng", "Random", "iter", "count", "cycle", "open"}  # what makes such objects


class Statement(NamedTuple):
    """A statement of the chapter, and what it does to names.

    Attributes
    ----------
    code : ast.stmt
    file : str
        The name of the file that its line numbers belong to.
    binds, reads, changes : set of str
    later : set of str
        What the functions that it defines read when they are called.
    always : bool
        Whether it binds its names whatever happens, so that an earlier value is lost.
    """

    code: ast.stmt
    file: str
    binds: set
    reads: set
    changes: set
    later: set
    always: bool


def statements(source, file="<cell>", line=1):
    """Return the statements of a cell.

    Raises
    ------
    SyntaxError
    """
    tree = ast.parse("\n" * (line - 1) + source, file)
    return [_statement(code, file) for code in tree.body]


def needed(wanted, earlier):
    """Return those of the earlier statements that names depend on, in their order.

    Parameters
    ----------
    wanted : set of str
    earlier : list of Statement

    Returns
    -------
    list of Statement
    """
    modules = {name for s in earlier if _is_import(s.code) for name in s.binds}
    later, same = {}, {}
    for s in earlier:
        for name in s.binds:
            later.setdefault(name, set()).update(s.later)
        for pair in _aliases(s.code):  # names of perhaps one object share one set
            group = set().union(*(same.get(name, {name}) for name in pair))
            same.update(dict.fromkeys(group, group))
    stateful = {name for s in earlier if _makes_state(s.code) for name in s.binds}
    names, found = _closed(wanted, later), []
    for s in reversed(earlier):
        changes = s.changes - modules | _closed(s.reads, later) & stateful
        if _calls_alone(s.code):
            changes |= _closed(s.reads, later) - modules
        changes = set().union(*(same.get(name, {name}) for name in changes))
        if names & (s.binds | changes) or _is_star(s.code):
            found.append(s)
            names = (names - s.binds if s.always else names) | _closed(s.reads, later)
    return found[::-1]


def definitions(wanted, earlier):
    """Return those of the earlier statements that define names: that bind them or set their items.

    They stand for themselves, as definitions of functions and settings do. So no object is looked
    for that a call may have changed, and much less is run than `needed` would run.

    Parameters and returns as for `needed`.
    """
    later = {}
    for s in earlier:
        for name in s.binds:
            later.setdefault(name, set()).update(s.later)
    names, found = _closed(wanted, later), []
    for s in reversed(earlier):
        if names & (s.binds | _items(s.code)) or _is_star(s.code):
            found.append(s)
            names = (names - s.binds if s.always else names) | _closed(s.reads, later)
    return found[::-1]


def free(some):
    """Return the names that statements take from what was run before them."""
    bound, reads = set(), set()
    for s in some:
        reads |= s.reads - bound
        if s.always or isinstance(s.code, (ast.For, ast.With)):
            bound |= s.binds
    return (reads | {name for s in some for name in s.later - bound}) - set(dir(builtins))


def _closed(names, later):
    """Return names, and all that is read when one of them is called."""
    found, new = set(), set(names)
    while new:
        found |= new
        new = {other for name in new for other in later.get(name, ())} - found
    return found


def _statement(code, file):
    table = symtable.symtable(ast.unparse(code), file, "exec")
    hidden = _hidden(code)
    symbols = [s for s in table.get_symbols() if s.get_name() not in hidden]
    binds = {s.get_name() for s in symbols if s.is_assigned() or s.is_imported()}
    binds |= {n.target.id for n in _executed(code) if isinstance(n, ast.NamedExpr)}
    reads = {s.get_name() for s in symbols if s.is_referenced()}
    if isinstance(code, ast.For):  # a name that the loop binds before it reads it is its own
        reads = _names(code.iter) | (_free_of(code.body, file) - _names(code.target))
    later = {name for child in table.get_children() for name in _globals_of(child)}
    always = isinstance(
        code, (ast.Assign, ast.AnnAssign, ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    )
    return Statement(code, file, binds, reads | later, _changes(code), later, always)


def _hidden(code):
    """Return the names that are there only in comprehensions, which bind them for themselves.

    Since Python 3.13 the table of symbols has them among those of the statement.
    """
    kinds = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    some = [node for node in _executed(code) if isinstance(node, kinds)]
    before = {id(node) for one in some for node in ast.walk(one.generators[0].iter)}
    inside = {id(node) for one in some for node in ast.walk(one)} - before
    outside = {n.id for n in _executed(code) if isinstance(n, ast.Name) and id(n) not in inside}
    return {x for one in some for part in one.generators for x in _names(part.target)} - outside


def _free_of(body, file):
    """Return the names that a body takes from before it, without those of its functions."""
    some = [_statement(code, file) for code in body]
    return free([s._replace(reads=s.reads - s.later, later=set()) for s in some])


def _names(tree):
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _globals_of(table):
    """Yield the global names that a function or class, or one inside it, reads."""
    for symbol in table.get_symbols():
        if symbol.is_global() and symbol.is_referenced():
            yield symbol.get_name()
    for child in table.get_children():
        yield from _globals_of(child)


def _items(code):
    """Return the names to whose items or attributes a statement assigns."""
    found = set()
    for node in _executed(code):
        if isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, ast.Store):
            found |= _root(node)
    return found


def _changes(code):
    """Return the names whose objects a statement may change."""
    found = _items(code)
    for node in _executed(code):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found |= _root(node.func)
        if isinstance(node, ast.keyword) and node.arg in ("out", "dst"):
            found |= _root(node.value)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            call = node.value
            if not (isinstance(call.func, ast.Name) and call.func.id in HARMLESS):
                found |= {arg.id for arg in call.args if isinstance(arg, ast.Name)}
    return found


def _executed(code):
    """Yield the nodes of a statement, without the bodies of functions, which only define."""
    yield code
    if not isinstance(code, (ast.FunctionDef, ast.ClassDef, ast.Lambda)):
        for child in ast.iter_child_nodes(code):
            yield from _executed(child)


def _root(node):
    """Return the name that a chain of attributes and items begins with."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return {node.id} if isinstance(node, ast.Name) else set()


def _is_import(code):
    return isinstance(code, (ast.Import, ast.ImportFrom))


def _is_star(code):
    """Whether it is ``from ... import *``, which binds names that it does not say."""
    return isinstance(code, ast.ImportFrom) and code.names[0].name == "*"


def _calls_alone(code):
    """Whether it calls a function for what that does, as in ``advance(3)``."""
    call = code.value if isinstance(code, ast.Expr) else None
    return (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id not in HARMLESS
    )


def _makes_state(code):
    """Whether it makes an object that changes when it is used."""
    called = [node.func for node in _executed(code) if isinstance(node, ast.Call)]
    return any(getattr(f, "attr", getattr(f, "id", None)) in STATEFUL for f in called)


def _aliases(code):
    """Yield pairs of names that may be of one object, as in ``b = a[0]`` or ``for b in (a, c)``."""
    values, targets = [], []
    if isinstance(code, ast.Assign):
        values, targets = [code.value], code.targets
    if isinstance(code, ast.For):
        values, targets = [code.iter], [code.target]
    values = [item for v in values for item in getattr(v, "elts", [v])]
    for value in values:
        for target in targets:
            for name in _root(value):
                yield from ((other, name) for other in _names(target))
