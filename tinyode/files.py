"""A container in one file, whole or not at all: `tree.save` and `tree.load`."""

import contextlib
import errno
import os
import stat
import sys
from typing import Any

import numpy as np

from .containers import TOO_DEEP
from .types import Tree


def save(path: str | bytes | os.PathLike[Any], tree: Tree) -> None:
    """Write a container to one ``.npz`` file.

    It is made of arrays, numbers, strings and None in nested tuples, lists and dicts.

    The file appears whole or not at all, even if the program is interrupted, the machine stops, or
    several threads and processes save to it and load from it. For it is written in a folder of its
    own beside the old file, and takes the place of the old one when all of it is on the disk. It
    gets the permissions of the old file, and its owner and group if you are allowed to set them.
    A symbolic link stays, and the file that it leads to is replaced. Where the old file has a
    second name (a hard link), that name keeps the old file.

    Parameters
    ----------
    path : str or path
    tree : container
        The keys of its dicts are strings.

    Raises
    ------
    TypeError
        If a leaf is none of these, or an array of objects, or if a dict has other keys. Named
        tuples and dicts of other kinds are refused: write ``tuple(x)`` or ``dict(x)``.
    ValueError
        If containers are nested some hundreds deep, or one contains itself.
    OSError
        If the file cannot be written, or no new one can be made in its folder.
    """
    import json  # these two take longer to import than all of this module
    import tempfile

    arrays: list[Any] = []
    try:
        structure = json.dumps(_encode(tree, arrays))
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    path = os.path.realpath(os.fsdecode(path))  # the file that a link leads to; the link stays
    old = _old(path)
    folder, name = os.path.split(path)
    # A folder of its own: no other thread or process has it, and nobody else may look into it.
    with tempfile.TemporaryDirectory(".part", name[:20] + ".", folder) as place:
        part = os.path.join(place, "part")
        with open(part, "wb") as file:
            numbered = {str(i): array for i, array in enumerate(arrays)}
            np.savez(file, structure=np.array(structure), **numbered)
            file.flush()
            os.fsync(file.fileno())  # else the name may reach the disk before what it stands for
        if old:
            _give_permissions(part, old)
        os.replace(part, path)


def _give_permissions(part, old):
    """Give a file the permissions of another one, and its owner and group if that is allowed."""
    if sys.platform != "win32":  # which has no owners
        for owner in (old.st_uid, -1):  # -1: as it is
            with contextlib.suppress(PermissionError):
                os.chown(part, owner, old.st_gid)
                break
    os.chmod(part, stat.S_IMODE(old.st_mode))


def _old(path):
    """Return what the system knows of the file that is to be replaced, or None if there is none.

    Refuse what is no file, and a file that may not be written, which the system would replace.
    """
    try:
        old = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(old.st_mode):
        raise OSError(errno.EINVAL, "save: this is no file but a device or a pipe", path)
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    return old


def load(path: str | bytes | os.PathLike[Any]) -> Tree:
    """Read a container that `save` has written, with the same structure, dtypes and values.

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read.
    ValueError
        If it is damaged, or another kind of file. Nothing in it is ever executed.
    MemoryError
        If an array in it is, or says it is, larger than the memory.
    """
    import json

    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            return _decode(json.loads(str(file["structure"])), file)
    except RecursionError:
        raise ValueError(f"load: {os.fspath(path)!r}: {TOO_DEEP}") from None
    except Exception as error:  # of the many that zip files, array headers and JSON can raise
        of_the_system = getattr(error, "errno", None) is not None
        if of_the_system or isinstance(error, MemoryError):
            raise
        message = f"load: {os.fspath(path)!r} is damaged, or was not written by save"
        raise ValueError(message) from error


def _encode(tree, arrays):
    """Return a container as something that JSON can write, and append its arrays to the list."""
    if type(tree) in (tuple, list):
        return {type(tree).__name__: [_encode(child, arrays) for child in tree]}
    if type(tree) is dict:
        if not all(type(key) is str for key in tree):
            raise TypeError(f"save: the keys of a dict must be strings; got {list(tree)}")
        return {"dict": {key: _encode(child, arrays) for key, child in tree.items()}}
    if tree is None or type(tree) in (bool, int, float, str):
        return {"value": tree}
    if (type(tree) is np.ndarray or isinstance(tree, np.generic)) and not tree.dtype.hasobject:
        arrays.append(tree)
        return {"array" if isinstance(tree, np.ndarray) else "scalar": len(arrays) - 1}
    raise TypeError(
        f"save: {type(tree).__name__} cannot be saved; arrays, numbers, strings and "
        "None in tuples, lists and dicts can"
    )


def _decode(code, file):
    """Return what `_encode` has encoded, and nothing else."""
    ((kind, content),) = code.items()
    if kind == "dict" and type(content) is dict:
        return {key: _decode(child, file) for key, child in content.items()}
    if kind in ("tuple", "list") and type(content) is list:
        return {"tuple": tuple, "list": list}[kind]([_decode(child, file) for child in content])
    if kind == "value" and type(content) in (type(None), bool, int, float, str):
        return content
    if kind in ("array", "scalar") and type(content) is int:
        array = file[str(content)]
        if type(array) is np.ndarray and (kind == "array" or array.ndim == 0):
            return array if kind == "array" else array[()]
    raise ValueError(f"{kind}: {content!r:.40} is not what save writes")
