"""What a dict, or a subclass of tuple, list or dict, has besides its elements.

`tree` takes containers apart and puts them together again. For plain tuples and lists the elements
are all there is. A dict has an order of its keys, a defaultdict has its factory, a class of yours
may have attributes. This module keeps them, so that nothing is lost on the way.
"""

import copy

TOO_DEEP = (
    "containers are nested too deep for Python's stack, or one contains itself; put the "
    "arrays of many levels side by side, into one list"
)


class Keys(tuple):
    """The sorted keys of a dict, or nothing for a list, with two attributes.

    The attributes do not count where two structures are compared.

    Attributes
    ----------
    order : tuple
        The keys in the order of the dict itself: code that loops over the dict may count on it.
    empty : container or None
        An empty container of the same kind, where that is a subclass of dict or list.
    """

    order: tuple = ()
    empty: object = None


def keys_of_dict(tree):
    """Return the `Keys` of a dict."""
    try:
        keys = Keys(sorted(tree))
    except TypeError as error:
        raise TypeError(
            "the keys of a dict are walked in sorted order, and these cannot be sorted:"
            f" {list(tree)}; use keys of one type"
        ) from error
    keys.order = tuple(tree)
    if type(tree) is not dict:
        keys.empty = _empty_of_kind(tree, "dict")
    return keys


def keys_of_sequence(tree):
    """Return the `Keys` of a subclass of list, None for a subclass of tuple."""
    if isinstance(tree, list):
        keys = Keys()
        keys.empty = _empty_of_kind(tree, "list")
        return keys
    if getattr(tree, "__dict__", None):
        raise TypeError(
            f"{type(tree).__name__} is a tuple with attributes ({', '.join(vars(tree))}), and one "
            "with other elements would lose them; write tuple(x), or a named tuple"
        )
    return None


def _empty_of_kind(tree, plain):
    try:
        return emptied(tree)
    except RecursionError:  # of the containers around it
        raise
    except Exception as error:
        raise TypeError(
            f"{type(tree).__name__} is a {plain} that copy.copy cannot copy, so that none with "
            f"other elements can be made; write {plain}(x)"
        ) from error


def emptied(tree):
    """Return an empty container of the same kind: a cleared copy.

    The constructor is not called, since it may take other arguments.
    """
    try:
        empty = copy.copy(tree)
    except KeyError:
        # Python 3.10 asks a dict whose keys are its attributes for the key __getstate__.
        empty = tree.__class__.__new__(tree.__class__)
        vars(empty).update(vars(tree))
    empty.clear()
    return empty


def orders(structure):
    """Return the keys of all dicts in a structure, each in the order of its dict.

    Equal structures may differ in that.
    """
    return tuple([keys.order for keys in _all_keys(structure)])


def belongings(structure):
    """Return what the subclasses of dict and list in a structure have besides their elements.

    That is the factory of a defaultdict, or attributes. Equal structures may differ in that.
    """
    own = []
    for keys in _all_keys(structure):
        if keys.empty is None:
            continue
        try:  # what copy.copy makes another one of
            _, arguments, state, *_ = keys.empty.__reduce_ex__(4)
        except KeyError:  # see `emptied`
            arguments, state = (), vars(keys.empty)
        own.append(([x for x in arguments if x is not type(keys.empty)], state))
    return tuple(own)


def _all_keys(structure):
    """Return all `Keys` in a structure, in an order that is the same for equal structures."""
    found, parts = [], [structure]
    while parts:
        part = parts.pop()
        if type(part) is tuple:  # not a leaf
            _, keys, children = part
            parts.extend(children)
            if keys is not None:
                found.append(keys)
    return found
