"""What every command shares: flags, numbers, errors in one line, safe writes, Ctrl-C."""

import argparse
import ast
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import cli
from pictures import files

ROOT = Path(__file__).resolve().parents[1]

# Flags


@pytest.mark.parametrize(
    ("name", "kebab"),
    [
        ("--learning_rate", "--learning-rate"),
        ("--hmcBeta", "--hmc-beta"),
        ("--nIter", "--n-iter"),
        ("--imgSize", "--img-size"),
        ("--checkpointDir", "--checkpoint-dir"),
        ("--hmcL", "--hmc-l"),
        ("--beta1", "--beta1"),
        ("--log-dir", "--log-dir"),
    ],
)
def test_a_flag_is_accepted_in_both_spellings(name, kebab):
    for spelling in {name, kebab}:
        parser = argparse.ArgumentParser()
        action = cli.flag(parser, name, default="nothing")
        assert list(vars(parser.parse_args([spelling, "given"])).values()) == ["given"]
        assert vars(parser.parse_args([])) == {action.dest: "nothing"}
        assert action.dest == kebab[2:].replace("-", "_")


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--other"], "unrecognized arguments: --other"),
        (["--number", "many"], "argument --number: 'many' is not a whole number above 0"),
    ],
)
def test_a_wrong_flag_takes_one_line(flags, line, capsys):
    parser = cli.Parser(prog="it.py")
    cli.flag(parser, "--number", type=cli.positive_int)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(flags)
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: {line}; it.py --help says what there is\n"


@pytest.mark.parametrize(
    ("parse", "good", "bad"),
    [
        (cli.positive_int, ["1", "64", "1" + "0" * 400], ["0", "-1", "1.5", "1e3", "", "many"]),
        (cli.non_negative_int, ["0", "7"], ["-1", "0.5", "nan"]),
        (cli.positive_float, ["2e-4", "1"], ["0", "-1", "nan", "inf", "1e999", "x"]),
        (cli.non_negative_float, ["0", "0.5"], ["-0.1", "nan", "-inf"]),
        (cli.fraction, ["0", "0.5", "1"], ["1.01", "-0.01", "nan"]),
        (cli.decay, ["0", "0.999"], ["1", "-0.01", "nan"]),
    ],
)
def test_numbers_are_checked_when_they_are_parsed(parse, good, bad, capsys):
    parser = argparse.ArgumentParser()
    cli.flag(parser, "--number", type=parse)
    for text in good:
        assert parser.parse_args([f"--number={text}"]).number == type(parse(good[0]))(text)
    for text in bad:
        with pytest.raises(SystemExit) as stopped:
            parser.parse_args([f"--number={text}"])
        assert stopped.value.code == 2
        assert f"argument --number: {text!r} is not a" in capsys.readouterr().err


# Errors


def outcome(main, capsys, **says):
    with pytest.raises(SystemExit) as ended:
        cli.run(main, **says)
    return ended.value.code, capsys.readouterr().err


def raising(error):
    def main():
        raise error

    return main


def test_run_exits_with_the_status_of_main(capsys):
    assert outcome(lambda: 0, capsys) == (0, "")
    assert outcome(lambda: 3, capsys) == (3, "")
    assert outcome(lambda: None, capsys) == (None, "")


def test_what_a_user_can_get_wrong_is_one_line(capsys):
    assert outcome(raising(ValueError("a\n  b")), capsys) == (2, "error: a b\n")
    missing = OSError(2, "No such file or directory", "x/y")
    assert outcome(raising(missing), capsys) == (2, "error: x/y: No such file or directory\n")
    full = OSError(28, "No space left on device")
    assert outcome(raising(full), capsys) == (2, "error: No space left on device\n")
    assert outcome(raising(OSError("odd\nthing")), capsys) == (2, "error: odd thing\n")


COMMANDS = sorted(path for path in ROOT.glob("*.py") if "__main__" in path.read_text())


@pytest.mark.parametrize(
    "command", [*COMMANDS, ROOT / "align" / "align-dlib.py"], ids=lambda path: path.name
)
def test_without_the_environment_a_command_says_so_in_one_line(command):
    ended = subprocess.run([sys.executable, "-S", command], capture_output=True, text=True)
    assert ended.returncode == 2 and ended.stdout == ""
    assert re.fullmatch(
        r"error: \w+ is not installed, which this takes: pip install -r requirements\.txt, "
        r"or \. \.venv/bin/activate\n",
        ended.stderr,
    )


def test_interruption_says_what_it_is_told_and_a_fault_of_the_program_is_not_hidden(capsys):
    assert outcome(raising(KeyboardInterrupt()), capsys) == (130, "")
    told = outcome(raising(KeyboardInterrupt()), capsys, stopped="stopped: go on so")
    assert told == (130, "\nstopped: go on so\n")
    with pytest.raises(ZeroDivisionError):
        cli.run(lambda: 1 // 0)


# Safe writes


def test_replacing_switches_a_file_in_one_moment(tmp_path):
    path = tmp_path / "new" / "numbers.json"
    for content in ("one", "two"):
        with files.replacing(path) as temporary:
            assert temporary.parent == path.parent
            assert temporary.suffix == ".json"
            before = path.read_text() if path.exists() else None
            temporary.write_text(content)
            assert (path.read_text() if path.exists() else None) == before
        assert path.read_text() == content
    assert list(path.parent.iterdir()) == [path]


def test_replacing_switches_a_folder(tmp_path):
    path = tmp_path / "step-1"
    for name in ("a", "b"):
        with files.replacing(path) as temporary:
            temporary.mkdir()
            (temporary / name).touch()
        assert [p.name for p in path.iterdir()] == [name]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["file", "folder", "nothing"])
@pytest.mark.parametrize("full", [True, False])
def test_replacing_that_fails_leaves_what_was_there(tmp_path, kind, full):
    error = OSError(28, "No space left on device") if full else KeyboardInterrupt()
    path = tmp_path / "kept"
    path.write_text("old")
    with pytest.raises(type(error)), files.replacing(path) as temporary:
        if kind == "folder":
            temporary.mkdir()
            (temporary / "part").write_text("new")
        elif kind == "file":
            temporary.write_text("new")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    if full:
        assert cli.one_line(error) == f"{path}: No space left on device"


def test_leftovers_are_removed_and_nothing_else(tmp_path):
    with pytest.raises(RuntimeError), files.replacing(tmp_path / "step-1") as temporary:
        left = [tmp_path / temporary.name, tmp_path / ".metrics.0a1b2c3d.jsonl"]
        raise RuntimeError
    left[0].mkdir()
    (left[0] / "weights.npz").touch()
    left[1].touch()
    kept = {".lock", ".gitignore", "metrics.jsonl", ".step-00000001", "a.0a1b2c3d.png"}
    for name in kept:
        (tmp_path / name).touch()
    files.remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept


# Ctrl-C


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_the_second_interrupts(number, capfd):
    before = signal.getsignal(number)
    with cli.StopRequest("stopping soon") as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested and "stopping soon\n" in capfd.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
            signal.pause()
    assert signal.getsignal(number) == before


def test_stop_request_works_outside_of_the_main_thread():
    results = []

    def body():
        with cli.StopRequest() as stop:
            results.append(stop.requested)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert results == [False]


# The program's own code


def sources() -> list[Path]:
    root = Path(cli.__file__).parent
    return [path for part in (".", "data", "align", "web") for path in (root / part).glob("*.py")]


def test_nothing_is_checked_by_a_bare_assert_nor_swallowed_by_a_bare_except():
    """python -O drops the one; the other hides faults."""
    assert len(sources()) > 20
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            where = f"{path.name}:{getattr(node, 'lineno', 0)}"
            assert not isinstance(node, ast.Assert), where
            assert not (isinstance(node, ast.ExceptHandler) and node.type is None), where


def test_what_the_documents_run_can_be_run():
    documents = (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
    found = [re.findall(r"(?<![\w./])(?:\./|bench/)[\w./-]+\.py", d.read_text()) for d in documents]
    called = {ROOT / script for scripts in found for script in scripts}
    assert ROOT / "complete.py" in called
    for script in called:
        assert script.read_bytes().startswith(b"#!"), script
        assert os.access(script, os.X_OK), script
