"""Files behind URLs, in fsspec's memory: what paths are asked, and lines that are added."""

import pickle
import sys

import numpy as np
import pytest

pytest.importorskip("fsspec", reason="pip install -r requirements-remote.txt")

from align import manifest
from pictures import codecs, files
from pictures.lines import PART, Lines
from pictures.remote import Remote, move_all

PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


@pytest.fixture
def root():
    from fsspec.implementations.memory import MemoryFileSystem

    yield files.path_of("memory://store/photos")
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def test_a_url_joins_and_compares_like_a_path(root):
    path = root / "a" / "b.png"
    assert str(path) == "memory://store/photos/a/b.png" and isinstance(path.parent, Remote)
    assert str(path.relative_to(root)) == "a/b.png" and path == files.path_of(str(path))
    assert files.real(path) == path and not isinstance(files.path_of("a/b.png"), Remote)


def test_pictures_are_found_as_in_a_folder(root, tmp_path):
    said = [[], []]
    for folder in (root, tmp_path):
        for name in ("b/z.png", "b-1/y.JPG", "a.png", ".hidden.png"):
            codecs.write(folder / name, PIXELS)
        with (folder / "note.txt").open("w") as file:
            file.write("x")
    found, local = (
        [str(path.relative_to(folder)) for path in files.find([folder], tell=said[n].append)]
        for n, folder in enumerate((root, tmp_path))
    )
    assert found == local == ["a.png", "b/z.png", "b-1/y.JPG"] or found == local
    assert [len(one) for one in said] == [1, 1] and "1 .txt" in said[0][0]
    assert files.names_below(root) == files.names_below(tmp_path) and len(found) == 3
    np.testing.assert_array_equal(codecs.read(root / "a.png"), PIXELS)
    with pytest.raises(ValueError, match="memory://store/none: no such file"):
        files.find(["memory://store/none"])
    with pytest.raises(ValueError, match="memory://store/none.png: no such file"):
        codecs.read("memory://store/none.png")


def test_what_was_found_is_not_asked_again_and_travels_to_workers(root, monkeypatch):
    codecs.write(root / "a.png", PIXELS)
    (found,) = files.find([root])
    monkeypatch.setattr(Remote, "_asked", lambda self: pytest.fail("asked"))
    assert found.exists() and found.stat().st_size > 48
    copy = pickle.loads(pickle.dumps(found))
    assert copy == found and copy.stat().st_mtime == found.stat().st_mtime > 0


def test_a_file_whose_writing_fails_is_not_put(root):
    with pytest.raises(KeyError), files.replacing(root / "a.txt") as temporary:
        temporary.write_text("half")
        raise KeyError
    assert not (root / "a.txt").exists()


@pytest.mark.parametrize("remote", [False, True])
def test_lines_are_there_as_soon_as_they_are_added(remote, root, tmp_path):
    path = (root if remote else tmp_path) / "report.jsonl"
    lines, expected = Lines(path), [b"%d\n" % number for number in range(2 * PART + 5)]
    assert not lines.exists() and list(lines) == []
    for number, line in enumerate(expected):
        lines.add(line)
        if number in (0, PART - 1, PART, 2 * PART):
            assert list(Lines(path)) == expected[: number + 1]
    again = Lines(path)  # as after a kill
    again.add(b"x\n", b"y\n")
    assert list(again) == [*expected, b"x\n", b"y\n"]
    again.replace(iter([b"one\n"]))
    again.add(b"two\n")
    assert list(Lines(path)) == [b"one\n", b"two\n"]
    again.remove()
    assert not again.exists() and not files.names_below(path.parent)


def test_files_are_moved_many_at_once(root):
    pairs = [(root / f".{n}.png", root / f"{n}.png") for n in range(40)]
    for number, (file, _) in enumerate(pairs):
        file.write_bytes(b"%d" % number)
    move_all(pairs)
    assert files.names_below(root) == {f"{n}.png" for n in range(40)}
    assert all(to.read_bytes() == b"%d" % n for n, (_, to) in enumerate(pairs))
    files.remove_leftovers(root)
    files.temporary(root / "a.png").write_bytes(b"")
    assert len(files.names_below(root)) == 41
    files.remove_leftovers(root)
    assert len(files.names_below(root)) == 40


def test_photographs_of_a_manifest(root, tmp_path):
    for photograph in (root / "a.png", tmp_path / "a.png"):
        for out in (root / "out", tmp_path / "out"):
            named = manifest.source(photograph, out)
            assert files.real(manifest.photograph(named, out)) == files.real(photograph)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("nope://a/b", "Protocol not known"),
        ("memory://a::memory://b", "names one place"),
        ("s3://", "names one place"),
    ],
)
def test_urls_that_are_not_taken(url, why):
    with pytest.raises(ValueError, match=f"^{url.partition('//')[0]}.*{why}"):
        files.find([url])
    with pytest.raises(ValueError, match=why):
        files.real(files.path_of(url))


def test_without_the_packages(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(ValueError, match="^memory://.*pip install -r requirements-remote.txt"):
        files.find([root])


def test_nothing_is_written_to_a_web_server():
    with (
        pytest.raises(ValueError, match="http://127.0.0.1/x: files can be read there, not written"),
        files.locked("http://127.0.0.1/x"),
    ):
        pass
