"""data.download against a server on this machine: good archives, and every way to be a bad one."""

import hashlib
import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import cli
from data import download

FACES = {"faces/Ann/Ann_0001.jpg": b"one", "faces/Bob/Bob_0001.jpg": b"two"}


def tgz(files, links=()) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, kind, target in links:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            archive.addfile(member)
    return content.getvalue()


def zipped(files, links=()) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        for name, _, target in links:
            member = zipfile.ZipInfo(name)
            member.external_attr = 0o120777 << 16
            archive.writestr(member, target)
    return content.getvalue()


class Server(ThreadingHTTPServer):
    """Answers every request with the next of `answers`, the last one for ever."""

    daemon_threads = True
    answers: list
    requests = 0

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}/faces.tgz"

    def handle_error(self, request, client_address):
        """Clients that hang up are part of the tests."""


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        answers = self.server.answers
        status, body, length = answers[min(self.server.requests, len(answers) - 1)]
        self.server.requests += 1
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def offer(server, monkeypatch):
    """offer(body): the set "faces" is at the server, which answers so."""

    def offer(body, checksum_of=None, file="faces.tgz", status=200, length=None):
        server.answers = [(status, body, len(body) if length is None else length)]
        expected = body if checksum_of is None else checksum_of
        checksum = "sha256:" + hashlib.sha256(expected).hexdigest()
        source = download.Source(file, server.address, checksum, "Terms.", "http://page.example/")
        monkeypatch.setitem(download.SOURCES, "faces", source)

    return offer


def files_in(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if not path.is_dir()
    }


def refusal(folder, retries=0) -> str:
    """The line with which the download fails; nothing but a verified archive may stay."""
    with pytest.raises(ValueError) as error:
        download.download("faces", folder, retries)
    assert "\n" not in str(error.value)
    assert set(files_in(folder)) <= {"faces.tgz"}
    assert not (folder / "faces").exists()
    return str(error.value)


@pytest.mark.parametrize(("make", "file"), [(tgz, "faces.tgz"), (zipped, "faces.zip")])
def test_a_good_archive_becomes_a_folder_of_pictures(offer, tmp_path, make, file):
    offer(make(FACES), file=file)
    folder = download.download("faces", tmp_path / "new", retries=0)
    assert folder == tmp_path / "new" / "faces"
    assert files_in(folder) == {"Ann/Ann_0001.jpg": b"one", "Bob/Bob_0001.jpg": b"two"}
    assert {path.name for path in folder.parent.iterdir()} == {"faces", file}


def test_an_archive_without_a_folder_of_its_own(offer, tmp_path):
    offer(tgz({"Ann/1.jpg": b"one", "Bob/1.jpg": b"two"}))
    folder = download.download("faces", tmp_path)
    assert files_in(folder) == {"Ann/1.jpg": b"one", "Bob/1.jpg": b"two"}


def test_what_is_there_is_not_fetched_again(offer, server, tmp_path):
    offer(tgz(FACES))
    download.download("faces", tmp_path)
    download.download("faces", tmp_path)
    assert server.requests == 1


def test_an_archive_put_there_by_hand_is_unpacked(offer, server, tmp_path):
    offer(tgz(FACES), status=404)
    (tmp_path / "faces.tgz").write_bytes(tgz(FACES))
    assert len(files_in(download.download("faces", tmp_path))) == 2
    assert server.requests == 0


def test_a_wrong_checksum(offer, tmp_path):
    offer(tgz(FACES), checksum_of=b"another")
    assert "wrong checksum, so a damaged file or another one; by hand: " in refusal(tmp_path)


def test_a_truncated_file(offer, tmp_path):
    body = tgz(FACES)
    offer(body[:-20], checksum_of=body, length=len(body))
    assert "the download failed" in refusal(tmp_path)


def test_a_connection_that_fails_is_tried_again(offer, server, tmp_path):
    body = tgz(FACES)
    offer(body)
    server.answers.insert(0, (503, b"", 0))
    assert len(files_in(download.download("faces", tmp_path, retries=1))) == 2
    assert server.requests == 2


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><html>Quota", b"\n <html><body>Too many"])
def test_a_web_page_is_told_from_an_archive_and_not_asked_for_again(offer, server, tmp_path, page):
    offer(page, checksum_of=tgz(FACES))
    assert refusal(tmp_path, retries=3) == (
        f"{server.address}: the server sent a web page instead of the archive; by hand: get "
        f"faces.tgz from http://page.example/, put it into {tmp_path}, and run this command again"
    )
    assert server.requests == 1


def test_a_dead_address(offer, server, tmp_path):
    offer(b"gone", checksum_of=tgz(FACES), status=404)
    assert "the server says 404 Not Found; by hand: get faces.tgz" in refusal(tmp_path, retries=3)
    assert server.requests == 1


def test_nobody_answers(offer, server, tmp_path):
    offer(tgz(FACES))
    server.server_close()
    assert "the download failed (ConnectionError); by hand: " in refusal(tmp_path)


@pytest.mark.parametrize("make", [tgz, zipped])
@pytest.mark.parametrize("name", ["../evil.jpg", "faces/../../evil.jpg", "/tmp/evil.jpg"])
def test_a_path_that_leads_outside(offer, tmp_path, make, name):
    offer(make(FACES | {name: b"evil"}))
    assert f"refused, '{name}' leads outside the folder" in refusal(tmp_path / "inner")
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize(
    ("make", "kind"), [(tgz, tarfile.SYMTYPE), (tgz, tarfile.LNKTYPE), (zipped, None)]
)
def test_a_link(offer, tmp_path, make, kind):
    offer(make(FACES, [("faces/link", kind, "/etc/passwd")]))
    assert "refused, 'faces/link' is a link or a device" in refusal(tmp_path)


def test_a_device(offer, tmp_path):
    offer(tgz(FACES, [("faces/pipe", tarfile.FIFOTYPE, "")]))
    assert "refused, 'faces/pipe' is a link or a device" in refusal(tmp_path)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"no archive"])
def test_an_archive_that_cannot_be_unpacked(offer, tmp_path, damage):
    offer(damage(tgz(FACES)))
    assert "faces.tgz: damaged archive" in refusal(tmp_path)


def test_an_interrupted_unpacking_is_begun_anew(offer, tmp_path):
    offer(tgz(FACES))
    (tmp_path / ".faces.unpacking").mkdir()
    (tmp_path / ".faces.unpacking" / "half.jpg").write_bytes(b"ha")
    assert len(files_in(download.download("faces", tmp_path))) == 2
    assert not (tmp_path / ".faces.unpacking").exists()


def test_the_command_names_the_terms_and_the_folder(offer, tmp_path, capsys):
    offer(tgz(FACES))
    download.main(["faces", str(tmp_path)])
    captured = capsys.readouterr()
    assert captured.out == f"{tmp_path / 'faces'}\n"
    assert captured.err.startswith("Terms.\n")


def test_the_command_answers_faults_with_one_line(offer, tmp_path, capsys):
    offer(b"<html>", checksum_of=b"")
    with pytest.raises(SystemExit) as stop:
        cli.run(lambda: download.main(["faces", str(tmp_path)]))
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: http://127.0.0.1")


def test_the_known_sets():
    lfw, celeba = download.SOURCES["lfw"], download.SOURCES["celeba"]
    assert lfw.address == "https://ndownloader.figshare.com/files/5976018"
    assert lfw.checksum.startswith("sha256:055f7d9c") and celeba.checksum.startswith("md5:00d2c5bc")
    assert set(download.SOURCES) == {"lfw", "lfw-funneled", "celeba"}
