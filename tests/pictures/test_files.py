"""Which picture files there are, what they are called, and who may write where."""

import errno
import fcntl
import os
import unicodedata

import numpy as np
import pytest

from pictures import codecs, files
from pictures.files import Names, Namesakes

PIXELS = np.zeros((2, 2, 3), np.uint8)


def touched(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_find_searches_folders_to_any_depth_in_any_case(tmp_path):
    for name in ("b.PNG", "a.jpg", "deep/er/c.JpEg", "deep/d.webp", "e.BMP", "deep/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".hidden.png").touch()
    names = [str(path.relative_to(tmp_path)) for path in files.find([tmp_path])]
    assert names == ["a.jpg", "b.PNG", "deep/d.webp", "deep/er/c.JpEg", "e.BMP"]


def test_find_takes_a_named_file_whatever_its_suffix_and_each_once(tmp_path):
    odd = touched(tmp_path / "odd.dat")
    other = touched(tmp_path / "other.png")
    assert files.find([odd, other, odd]) == [odd, other]
    assert files.find([other, tmp_path]) == [other]


def test_find_names_what_is_missing_or_empty(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere: no such file or folder$"):
        files.find([tmp_path / "nowhere"])
    with pytest.raises(ValueError, match=r"no pictures in this folder \(\.png, \.jpg"):
        files.find([tmp_path])


def test_what_else_a_folder_holds_is_told_with_its_count(tmp_path):
    for name in ("a.png", "b.txt", "c.TXT", "README", ".hidden", "manifest.jsonl"):
        touched(tmp_path / name)
    told = []
    assert files.find([tmp_path], told.append) == [tmp_path / "a.png"]
    assert told == [f"{tmp_path}: left out what is no picture: 2 .txt, 1 without a suffix"]


def test_links_bring_each_file_once_and_no_endless_walk(tmp_path):
    real = touched(tmp_path / "in" / "b.png")
    other = touched(tmp_path / "elsewhere" / "c.png")
    (tmp_path / "in" / "a.png").symlink_to("b.png")  # sorts before what it leads to
    (tmp_path / "in" / "sub").mkdir()
    (tmp_path / "in" / "sub" / "back").symlink_to("..")
    (tmp_path / "in" / "more").symlink_to(tmp_path / "elsewhere")
    assert files.find([tmp_path / "in"]) == [real, tmp_path / "in" / "more" / "c.png"]
    assert files.find([real, tmp_path / "in" / "a.png", other, tmp_path / "in"]) == [real, other]


def test_links_that_lead_nowhere_are_found_and_named_by_the_reader(tmp_path):
    (tmp_path / "self.png").symlink_to("self.png")
    (tmp_path / "gone.png").symlink_to("nothing.png")
    (tmp_path / "lost.png").symlink_to("nothing.png")
    for path, why in zip(
        files.find([tmp_path]),
        ("gone.png: a link that", "lost.png: a link that leads nowhere", "self.png: .*links"),
        strict=True,
    ):
        with pytest.raises(ValueError, match=why):
            codecs.read(path)


def test_a_folder_that_cannot_be_searched_is_named(tmp_path, monkeypatch):
    kept = touched(tmp_path / "a.png")
    (tmp_path / "locked").mkdir()
    scan = os.scandir

    def denied(path):
        if str(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", denied)
    monkeypatch.setattr(os, "listdir", denied)
    assert files.find([tmp_path]) == [kept, tmp_path / "locked"]
    with pytest.raises(ValueError, match="locked: Permission denied"):
        codecs.read(tmp_path / "locked")


def test_what_is_no_file_is_named_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match="pipe.png: not a file"):
        codecs.read(tmp_path / "pipe.png")


# Names


def test_names_never_meet():
    names = Names(taken=["old"], room=4)
    composed, apart = (unicodedata.normalize(form, "Müller") for form in ("NFC", "NFD"))
    given = [names.give(name, f"folder_{name}") for name in ("a", "A", "A", composed, apart, "OLD")]
    assert given == ["a", "folder_A", "folder_A_2", composed, f"folder_{apart}", "folder_OLD"]
    assert names.give("a", numbered="{}-{}") == "a-2"
    assert not names.is_free("FOLDER_a") and names.is_free("b")


@pytest.mark.parametrize("letter", ["m", "写", os.fsdecode(b"\xe9"), "🙂"])
def test_long_names_are_cut_and_stay_apart(tmp_path, letter):
    names = Names(room=4)
    long = [letter * 255 + end for end in "xy"]
    given = [names.give(name) for name in long]
    assert given[0] != given[1]
    for name in given:
        assert len(os.fsencode(name)) <= 251 and name.startswith(letter * 50)
        codecs.write(tmp_path / f"{name}.png", PIXELS)
    fits = letter * (251 // len(os.fsencode(letter)))
    assert names.give(fits) == fits
    codecs.write(tmp_path / f"{fits}.png", PIXELS)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_name_is_found_whatever_its_composition(tmp_path):
    composed, apart = (unicodedata.normalize(form, "Müller") for form in ("NFC", "NFD"))
    mask = touched(tmp_path / "masks" / f"{composed}.jpg")
    assert Namesakes(tmp_path / "masks").of(tmp_path / f"{apart}.png") == [mask]


def test_of_namesakes_the_one_at_the_same_place_is_taken(tmp_path):
    for name in ("m/x/a.png", "m/y/a.png", "m/b.png", "m/b.jpg"):
        touched(tmp_path / name)
    sakes = Namesakes(tmp_path / "m")
    assert sakes.of(tmp_path / "p/y/a.png", tmp_path / "p") == [tmp_path / "m/y/a.png"]
    assert sakes.of(tmp_path / "deep/x/a.jpg") == [tmp_path / "m/x/a.png"]
    assert len(sakes.of(tmp_path / "p/a.png", tmp_path / "p")) == len(sakes.of(tmp_path / "b")) == 2


# Who may write


def test_a_folder_that_another_process_writes_into_is_refused(tmp_path):
    with files.locked(tmp_path / "new"):
        with pytest.raises(ValueError, match="new: another process is writing into this folder"):
            with files.locked(tmp_path / "new"):
                pass
    with files.locked(tmp_path / "new"):
        pass
    touched(tmp_path / "notes.md")
    with pytest.raises(ValueError, match="notes.md: is a file, not a folder"):
        with files.locked(tmp_path / "notes.md"):
            pass


def test_without_locks_there_is_a_warning(tmp_path, monkeypatch):
    def flock(*arguments):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    told = []
    with files.locked(tmp_path, told.append):
        pass
    assert len(told) == 1 and told[0].startswith(f"warning: {tmp_path} is on a file system without")


@pytest.mark.parametrize("kind", ["folder", "link", "current"])
def test_what_a_folder_holds_is_set_aside(tmp_path, monkeypatch, kind):
    content = touched(tmp_path / "real" / "deep" / "a.txt")
    touched(tmp_path / "real" / ".lock")
    folder = tmp_path / "real"
    if kind == "link":
        folder = tmp_path / "linked"
        folder.symlink_to(tmp_path / "real")
    elif kind == "current":
        monkeypatch.chdir(folder)
        folder = "."
    aside = files.set_aside(folder, but=[".lock"])
    assert aside == tmp_path / ("linked-1" if kind == "link" else "real-1")
    assert (aside / "deep" / "a.txt").exists() and not content.exists()
    assert os.listdir(folder) == [".lock"]
