"""Small changes of a line of code: what a person who made one mistake meant to write.

`edits` makes them all, in the order of `KINDS`: slips first, then what was left out.

=========  ========================================================================================
slip       a sign, an operation, a transpose, the order of two operands, another variable, number or
           function of NumPy, a sum over an axis
left out   a factor, a divisor or a term that is a variable, a number, a function
local      a factor that is the derivative of a function, as 1 - f * f of tanh
term       a factor or a term that the code has elsewhere
=========  ========================================================================================
"""

import ast
import copy
import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

FUNCTIONS = "sin", "cos", "tanh", "exp", "log", "sqrt", "sinh", "cosh", "abs", "sign"
LOCAL = (  # derivatives of a function at w, or written with its value w
    "1 - {w} * {w}",
    "np.cos({w})",
    "np.sin({w})",
    "-np.sin({w})",
    "np.exp({w})",
    "{w} * (1 - {w})",
    "2 * {w}",
    "1 / ({w} * {w})",
)
LEFT_OUT = ast.Mult, ast.Add, ast.Sub, ast.Div
CONTAINERS = ast.Tuple, ast.List, ast.Dict
OPERATIONS: dict[type, list[type]] = {
    ast.Add: [ast.Sub],
    ast.Sub: [ast.Add],
    ast.Mult: [ast.MatMult, ast.Div],
    ast.MatMult: [ast.Mult],
    ast.Div: [ast.Mult],
    ast.Pow: [ast.Mult],
}


class Place(NamedTuple):
    """Where an expression stands in a statement."""

    parent: ast.AST
    field: str
    item: int | None = None

    def get(self) -> Any:
        """Return what stands there."""
        found = getattr(self.parent, self.field)
        return found if self.item is None else found[self.item]

    def put(self, node: Any) -> None:
        """Put something else there."""
        if self.item is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.item] = node


class Edit(NamedTuple):
    """A change of a statement.

    Attributes
    ----------
    place : Place
    new : ast node
        What shall stand there.
    whole : Place or None
        The expression around it that a person reads as one: an element of a list, or the right-hand
        side. None is the whole statement.
    """

    place: Place
    new: Any
    whole: Place | None

    def made(self, use: Callable[[], Any]) -> Any:
        """Return what a function returns while the change is made."""
        old = self.place.get()
        self.place.put(ast.fix_missing_locations(self.new))
        try:
            return use()
        finally:
            self.place.put(old)

    def texts(self, statement: ast.stmt) -> tuple[str, str]:
        """Return the text of the whole before and after the change."""

        def text():
            return ast.unparse(self.whole.get() if self.whole else statement)

        return text(), self.made(text)


def edits(statement: ast.stmt, names: list[str], kind: str) -> Iterator[Edit]:
    """Yield all changes of one kind.

    Parameters
    ----------
    statement : ast.stmt
    names : list of str
        Expressions for the numbers and arrays that are known before the statement.
    kind : str
        One of `KINDS`.
    """
    if kind == "slip" and isinstance(statement, ast.AugAssign):
        for operation in OPERATIONS.get(type(statement.op), []):
            yield Edit(Place(statement, "op"), operation(), None)
    known = [ast.parse(name, mode="eval").body for name in names]
    for place, whole in _places(statement):
        for new in KINDS[kind](place.get(), known):
            yield Edit(place, new, whole)


def _places(parent, whole=None, in_index=False):
    """Yield each expression below a node, and the whole that it is a part of.

    An element of a list is a whole, and so is all that stands outside of lists.
    """
    for field, child in ast.iter_fields(parent):
        nodes = child if isinstance(child, list) else [child]
        for i, node in enumerate(nodes):
            here = Place(parent, field, i if nodes is child else None)
            is_element = isinstance(parent, CONTAINERS) and not in_index
            around = here if whole is None or is_element else whole
            if field == "func":  # np.sum is none, but in (x * y).sum() there is one
                yield from [] if _is_name(node) else _places(node, around)
            elif isinstance(node, (ast.keyword, ast.Slice)):
                yield from _places(node, whole, in_index)
            elif isinstance(node, ast.expr) and field != "annotation":
                if not isinstance(getattr(node, "ctx", None), ast.Store):
                    yield here, around
                yield from _places(node, around, in_index or field == "slice")


def _is_name(function):
    """Whether a function is f or np.f, in which there is nothing to change."""
    return isinstance(getattr(function, "value", function), ast.Name)


def _slips(node, known):
    if isinstance(node, ast.Starred):
        return
    if isinstance(node, (ast.Tuple, ast.List)):
        yield from _exchanged(node)
        return
    if isinstance(node, ast.Constant):
        yield from _numbers(node)
        return
    if isinstance(node, ast.UnaryOp):
        yield node.operand
    if isinstance(node, ast.Attribute) and node.attr == "T":
        yield node.value
    if isinstance(node, ast.BinOp):
        yield from _operations(node)
    if isinstance(node, ast.Call):
        yield from _calls(node)
    yield ast.UnaryOp(ast.USub(), node)
    yield ast.Attribute(node, "T", ast.Load())
    if isinstance(node, (ast.Name, ast.Subscript, ast.BinOp, ast.Call)):
        yield from [x for x in known if ast.unparse(x) != ast.unparse(node)]
    yield from _with_another_name(node, known)
    yield _call("sum", node)
    for axis in (0, 1, -1):
        yield _call("sum", node, axis=axis)
        yield _call("sum", node, axis=axis, keepdims=True)


def _exchanged(node):
    """Two elements of a tuple or a list in each other's places."""
    for i, j in itertools.combinations(range(len(node.elts)), 2):
        elements = list(node.elts)
        elements[i], elements[j] = elements[j], elements[i]
        yield type(node)(elements, node.ctx)


def _numbers(node):
    if isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        x = node.value
        yield from [ast.Constant(y) for y in (x + 1, x - 1, 2 * x, x / 2, -x) if y != x]
        yield ast.Constant(None)  # of an axis


def _operations(node):
    """Another operation, the operands in the other order or transposed, or one of them alone."""
    left, right = node.left, node.right
    for operation in OPERATIONS.get(type(node.op), []):
        yield ast.BinOp(left, operation(), right)
    yield ast.BinOp(right, node.op, left)
    if isinstance(node.op, (ast.Mult, ast.MatMult)):
        for a, b in ((left, right), (right, left)):
            for x, y in itertools.product(_transposes(a), _transposes(b)):
                yield ast.BinOp(x, ast.MatMult(), y)
    if isinstance(node.op, ast.Pow):
        yield ast.BinOp(left, node.op, ast.BinOp(right, ast.Sub(), ast.Constant(1)))
    yield left
    yield right


def _transposes(node):
    is_transpose = isinstance(node, ast.Attribute) and node.attr == "T"
    return [node, node.value if is_transpose else ast.Attribute(node, "T", ast.Load())]


def _calls(node):
    """Another function of NumPy, another order of two arguments, or the argument alone."""
    if isinstance(node.func, ast.Attribute):
        for name in FUNCTIONS if node.func.attr in FUNCTIONS else ():
            if name != node.func.attr:
                function = ast.Attribute(node.func.value, name, ast.Load())
                yield ast.Call(function, node.args, node.keywords)
        if not node.args:
            yield node.func.value
    if len(node.args) == 2:
        yield ast.Call(node.func, node.args[::-1], node.keywords)
    if node.args:
        yield node.args[0]
    if node.keywords:
        yield ast.Call(node.func, node.args, [])


def _call(name, argument, **keywords):
    function = ast.Attribute(ast.Name("np", ast.Load()), name, ast.Load())
    words = [ast.keyword(key, ast.Constant(value)) for key, value in keywords.items()]
    return ast.Call(function, [argument], words)


def _with_another_name(node, known):
    """One name for another wherever it stands in an expression that has it twice."""
    names = [x.id for x in ast.walk(node) if isinstance(x, ast.Name)]
    for name in sorted({name for name in names if names.count(name) > 1} - {"np"}):
        for other in known:
            if isinstance(other, ast.Name) and other.id != name:
                yield _Renamed(name, other.id).visit(copy.deepcopy(node))


class _Renamed(ast.NodeTransformer):
    def __init__(self, old, new):
        self.old, self.new = old, new

    def visit_Name(self, node):
        return ast.Name(self.new, node.ctx) if node.id == self.old else node


def _left_out(node, known):
    if isinstance(node, (*CONTAINERS, ast.Starred)):
        return
    for x in known:
        yield from [ast.BinOp(node, operation(), x) for operation in LEFT_OUT]
        for y in _transposes(x):
            yield ast.BinOp(node, ast.MatMult(), y)
            yield ast.BinOp(y, ast.MatMult(), node)
        yield ast.BinOp(node, ast.Mult(), ast.UnaryOp(ast.USub(), x))
    yield ast.BinOp(ast.Constant(1), ast.Sub(), node)
    for number in (2, 0.5, -2, 3):
        yield ast.BinOp(ast.Constant(number), ast.Mult(), node)
    for name in FUNCTIONS:
        yield _call(name, node)


def _local(node, known):
    if isinstance(node, (*CONTAINERS, ast.Starred)):
        return
    for x, form in itertools.product(known, LOCAL):
        yield ast.BinOp(node, ast.Mult(), _of(form, x))
    if isinstance(node, (ast.Name, ast.Subscript, ast.BinOp, ast.Call)):
        yield from [_of(form, node) for form in LOCAL]


def _of(form, x):
    return ast.parse(form.format(w=f"({ast.unparse(x)})"), mode="eval").body


def _terms(node, known):
    if not isinstance(node, (*CONTAINERS, ast.Starred, ast.Constant)):
        for x in known:
            for operation in (ast.Mult, ast.Add, ast.Sub):
                yield ast.BinOp(node, operation(), x)


KINDS: dict[str, Callable[[Any, list], Iterator[Any]]] = {
    "slip": _slips,
    "left out": _left_out,
    "local": _local,
    "term": _terms,
}
