"""`plotting.save`: a picture is left alone, and what is none is drawn anew."""

import io

import pytest

matplotlib = pytest.importorskip("matplotlib")

from tinyode import plotting  # noqa: E402

VERSION = f"Matplotlib version{matplotlib.__version__}, https://matplotlib.org/".encode()


def drawn(line=(1, 2, 3)):
    figure, axes = plotting.panels(width=3, height=2)
    axes.plot(line)
    return figure


def bytes_of(figure, kind="png", **settings):
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, **settings)
    matplotlib.pyplot.close(figure)
    return buffer.getvalue()


def save(line=(1, 2, 3)):
    return plotting.save(drawn(line), "a", alt="A line that rises.")


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "figures").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "figures" / "a.png"


def flipped(png, share):
    place = int(share * len(png))
    return png[:place] + bytes([png[place] ^ 0x55]) + png[place + 1 :]


GARBAGE = {
    "nothing": lambda png: b"",
    "text": lambda png: b"no picture",
    "text with the version": lambda png: b"drawn by " + VERSION,
    "text with all that is looked for": lambda png: VERSION + png[-12:],
    "the beginning": lambda png: png[:8],
    "half": lambda png: png[: len(png) // 2],
    "all but the last chunk": lambda png: png[:-12],
    "all but a byte": lambda png: png[:-1],
    "half of another version": lambda png: png.replace(VERSION[:20], b"x" * 20)[: len(png) // 2],
    "a byte exchanged": lambda png: flipped(png, 0.5),
    "another byte exchanged": lambda png: flipped(png, 0.9),
    "the head exchanged": lambda png: b"GIF89a" + png[6:],
    "a drawing of another kind": lambda png: bytes_of(drawn(), "svg"),
    "a pointer": lambda png: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_what_is_no_picture_is_drawn_anew(here, kind):
    expected = save().read_bytes()
    here.write_bytes(GARBAGE[kind](bytes_of(drawn())))
    assert save() == here
    assert here.read_bytes() == expected


def test_pictures_are_left_alone(here):
    """The same one, whatever is written about it, and any of another version of Matplotlib."""
    same = bytes_of(drawn(), metadata={"Author": "somebody"})
    of_another = bytes_of(drawn((3, 1, 2)), metadata={"Software": "Matplotlib version0.1, "})
    by_hand = bytes_of(drawn((3, 1, 2)), metadata={"Software": None})
    for png in (same, of_another, by_hand):
        here.write_bytes(png)
        save()
        assert here.read_bytes() == png


def test_another_picture_of_the_same_version_is_drawn_anew(here):
    expected = save().read_bytes()
    for other in (drawn((3, 1, 2)), plotting.panels(width=4, height=2)[0]):
        here.write_bytes(bytes_of(other))
        save()
        assert here.read_bytes() == expected
