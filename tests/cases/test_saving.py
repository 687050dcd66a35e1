"""`tree.save`: whole or not at all for everybody, where the file is and with its permissions."""

import os
import stat
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tinyode import tree

ROOT = Path(__file__).parents[2]
POSIX = pytest.mark.skipif(os.name != "posix", reason="permissions and devices of POSIX")
SAVER = """
import sys
import numpy as np
from tinyode import tree
for n in range(15):
    tree.save(sys.argv[1], {"n": n, "who": int(sys.argv[2]), "W": np.full(2000, n)})
"""


def saved(n, who=0):
    return {"n": n, "who": who, "W": np.full(2000, n)}


def whole(found):
    return set(found) == {"n", "who", "W"} and np.array_equal(found["W"], np.full(2000, found["n"]))


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def permissions(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("savers", [2, 8])
def test_savers_and_readers_in_threads(tmp_path, savers):
    path, done = tmp_path / "p.npz", threading.Event()
    tree.save(path, saved(0))

    def save(who):
        for n in range(10):
            tree.save(path, saved(n, who))

    def read():
        count = 0
        while not done.is_set():
            assert whole(tree.load(path))
            count += 1
        return count

    with ThreadPoolExecutor(savers + 2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            for saver in [pool.submit(save, who) for who in range(savers)]:
                saver.result()
        finally:
            done.set()
        assert all(reader.result() > 0 for reader in readers)
    assert whole(tree.load(path)) and names(tmp_path) == ["p.npz"]


def test_savers_in_processes(tmp_path):
    path = tmp_path / "p.npz"
    tree.save(path, saved(0))
    command = [sys.executable, "-c", SAVER, str(path)]
    running = [subprocess.Popen([*command, str(who)], cwd=ROOT) for who in range(3)]
    while any(process.poll() is None for process in running):
        assert whole(tree.load(path))
    assert [process.returncode for process in running] == [0, 0, 0]
    assert tree.load(path)["n"] == 14 and names(tmp_path) == ["p.npz"]


@pytest.mark.parametrize(
    "kind", ["absolute", "relative", "of a link", "dangling", "to a folder above"]
)
def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path, monkeypatch, kind):
    folder, here = tmp_path / "store", tmp_path / "here"
    folder.mkdir()
    here.mkdir()
    target, link = folder / "p.npz", here / "p.npz"
    if kind != "dangling":
        tree.save(target, 1.0)
    if kind == "of a link":
        (here / "between").symlink_to(target)
        link.symlink_to("between")
    elif kind == "to a folder above":
        (here / "linked").symlink_to(folder, target_is_directory=True)
        link = here / "linked" / "p.npz"
    else:
        link.symlink_to(
            target if kind in ("absolute", "dangling") else Path("..") / "store" / "p.npz"
        )
    was_link, before = link.is_symlink(), names(here)
    monkeypatch.chdir(here)
    for place in (link, str(link), os.fsencode(link), link.relative_to(here)):
        tree.save(place, [2.0])
        assert tree.load(target) == tree.load(link) == [2.0] and link.is_symlink() == was_link
        assert not target.is_symlink() and names(folder) == ["p.npz"] and names(here) == before


def test_a_link_that_leads_nowhere_is_an_error_and_stays(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere" / "p.npz")
    for name in ("a", "lost"):
        with pytest.raises(OSError):
            tree.save(tmp_path / name, 1.0)
    assert names(tmp_path) == ["a", "b", "lost"]
    assert all(link.is_symlink() for link in tmp_path.iterdir())


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o660, 0o664, 0o755, 0o777])
def test_the_permissions_stay(tmp_path, mode):
    path = tmp_path / "p.npz"
    tree.save(path, 1.0)
    path.chmod(mode)
    tree.save(path, 2.0)
    assert permissions(path) == mode and tree.load(path) == 2.0


@POSIX
def test_owner_and_group_stay_as_far_as_may_be(tmp_path):
    path = tmp_path / "p.npz"
    tree.save(path, 1.0)
    others = {os.getgid(), *os.getgroups()} if os.geteuid() else {0, 65534}
    for group in sorted(others):
        os.chown(path, -1 if os.geteuid() else group, group)
        path.chmod(0o640)
        before = path.stat()
        tree.save(path, 2.0)
        assert (path.stat().st_uid, path.stat().st_gid) == (before.st_uid, before.st_gid)
        assert permissions(path) == 0o640


@POSIX
def test_the_group_stays_where_the_owner_cannot(tmp_path, monkeypatch):
    path, asked = tmp_path / "p.npz", []
    tree.save(path, 1.0)

    def chown(file, owner, group):
        asked.append((owner, group))
        if owner != -1:
            raise PermissionError

    monkeypatch.setattr(os, "chown", chown)
    tree.save(path, 2.0)
    assert asked == [(path.stat().st_uid, path.stat().st_gid), (-1, path.stat().st_gid)]
    monkeypatch.delattr(os, "chown")
    monkeypatch.setattr(sys, "platform", "win32")  # which has none
    tree.save(path, 3.0)
    assert tree.load(path) == 3.0


@POSIX
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o027, 0o077])
def test_a_new_file_has_the_permissions_that_any_new_file_has(tmp_path, mask):
    before = os.umask(mask)
    try:
        tree.save(tmp_path / "p.npz", 1.0)
        (tmp_path / "other").write_bytes(b"")
        assert os.umask(mask) == mask  # which is the whole process's, and stays
    finally:
        os.umask(before)
    assert permissions(tmp_path / "p.npz") == permissions(tmp_path / "other") == 0o666 & ~mask


@POSIX
def test_nobody_sees_more_of_a_private_file_while_it_is_written(tmp_path, monkeypatch):
    path, seen, savez = tmp_path / "p.npz", [], np.savez
    tree.save(path, 1.0)
    path.chmod(0o600)

    def spy(file, **arrays):
        savez(file, **arrays)
        part = Path(file.name)
        seen.append((permissions(part.parent), part.parent.parent))

    monkeypatch.setattr(np, "savez", spy)
    tree.save(path, 2.0)
    assert seen == [(0o700, tmp_path)]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, OSError, MemoryError, ValueError])
@pytest.mark.parametrize("where", ["savez", "fsync", "replace"])
def test_an_interrupted_save_leaves_the_old_file_and_no_part(tmp_path, monkeypatch, error, where):
    path = tmp_path / "p.npz"
    tree.save(path, 1.0)

    def interrupted(file, *args, **kwargs):
        if where == "savez":
            file.write(b"half")
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(np if where == "savez" else os, where, interrupted)
        with pytest.raises(error):
            tree.save(path, 2.0)
        with pytest.raises(error):
            tree.save(tmp_path / "new.npz", 2.0)
    assert tree.load(path) == 1.0 and names(tmp_path) == ["p.npz"]


@POSIX
def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("pipe")
    for name, what in (("pipe", "pipe"), ("folder", "folder"), ("link", "pipe")):
        with pytest.raises(OSError, match=what):
            tree.save(tmp_path / name, 1.0)
    assert names(tmp_path) == ["folder", "link", "pipe"] and (tmp_path / "pipe").is_fifo()
    with pytest.raises(FileNotFoundError, match="nowhere"):
        tree.save(tmp_path / "nowhere" / "p.npz", 1.0)


@POSIX
@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_may_not_be_written_is_an_error_and_stays(what):
    """The administrator may write everything: where he runs this, another user tries."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "folder" / "p.npz"
        path.parent.mkdir()
        tree.save(path, 1.0)
        old = path.read_bytes()
        for file in () if os.geteuid() else (path, path.parent, Path(place)):
            os.chown(file, 65534, 65534)
        path.chmod(0o444 if what == "file" else 0o644)
        path.parent.chmod(0o555 if what == "folder" else 0o755)
        code = (
            "import json, os, sys, tempfile; from tinyode import tree; "
            "os.geteuid() or os.setuid(65534); tree.save(sys.argv[1], 2.0)"
        )
        ran = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            capture_output=True,
            encoding="utf-8",
            check=False,
            cwd=ROOT,
        )
        assert "PermissionError" in ran.stderr and "p.npz" in ran.stderr
        assert path.read_bytes() == old and names(path.parent) == ["p.npz"]
        path.parent.chmod(0o755)


def test_names_as_long_as_the_system_takes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (
        "n" * 251 + ".npz",
        "é" * 100 + ".npz",
        "no suffix",
        "a.b.npz",
        "*.npz" if os.name == "posix" else "x.npz",
    ):
        tree.save(name, 3.0)
        assert tree.load(name) == 3.0 and names(tmp_path) == [name]
        os.remove(name)
