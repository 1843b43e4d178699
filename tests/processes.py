"""Run the project's commands as a user does, without paying for TensorFlow's import every time.

A Launcher is a process that has imported TensorFlow and then waits; each command runs in a process
forked from it, with its own arguments, folder, output files and signals.
"""

import json
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


WITHOUT_TENSORFLOW = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    assert not {"tensorflow", "keras"} & set(sys.modules)
"""


def without_tensorflow(script: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    """Run a script that must end before it imports TensorFlow."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW, script, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


class Launcher:
    """A context manager; start() gives a Running command."""

    def __enter__(self) -> "Launcher":
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1"},
        )
        return self

    def __exit__(self, *error) -> None:
        self._process.stdin.close()
        self._process.wait()

    def ask(self, request: dict) -> int:
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start(self, script: str, *arguments, folder: Path) -> "Running":
        """Run a script of the project, or with "-m NAME" a module, inside `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        outputs = [str(folder / f"{name}.txt") for name in ("stdout", "stderr")]
        for path in outputs:
            Path(path).write_bytes(b"")
        command = [*script.split(), *map(str, arguments)]
        pid = self.ask({"start": command, "folder": str(folder), "outputs": outputs})
        return Running(self, pid, *map(Path, outputs))

    def run(self, script: str, *arguments, folder: Path) -> "Running":
        """Start a command and wait until it ends."""
        running = self.start(script, *arguments, folder=folder)
        running.wait()
        return running


class Running:
    """A command under way. status: what it exited with, minus a signal's number, or None."""

    def __init__(self, launcher: Launcher, pid: int, stdout: Path, stderr: Path):
        self._launcher, self._stdout, self._stderr = launcher, stdout, stderr
        self.pid, self.status = pid, None

    @property
    def stdout(self) -> str:
        return self._stdout.read_text()

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def ended(self) -> bool:
        if self.status is None:
            self.status = self._launcher.ask({"poll": self.pid})
        return self.status is not None

    def wait(self) -> int:
        if self.status is None:
            self.status = self._launcher.ask({"wait": self.pid})
        return self.status

    def wait_until(self, happened: Callable[[], bool], seconds: float = 300) -> bool:
        """Wait until something has happened; False if the command ended before."""
        limit = time.monotonic() + seconds
        while not happened():
            if self.ended():
                return happened()
            if time.monotonic() > limit:
                raise TimeoutError(f"still waiting after {seconds} s: {self.stderr[-2000:]}")
            pause = time.monotonic() + 0.02
            while not happened() and time.monotonic() < pause:
                time.sleep(0.002)
        return True


def _serve() -> None:
    sys.path.insert(0, str(ROOT))
    import cli

    cli.import_tensorflow()
    import data.prepare  # noqa: F401
    import measuring.watching  # noqa: F401
    import translation.pix2pix  # noqa: F401
    from training import devices, loop  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        if command := request.get("start"):
            answer = os.fork()
            if answer == 0:
                _become(command, request["folder"], request["outputs"])
        elif pid := request.get("wait"):
            answer = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        else:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        print(json.dumps(answer), flush=True)


def _become(command: list[str], folder: str, outputs: list[str]) -> None:
    """Turn this forked process into one that runs a command, and end it."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    files = [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for path in outputs]
    for number, file in enumerate([nothing, *files]):
        os.dup2(file, number)
    os.chdir(folder)
    if command[0] == "-m":
        sys.argv = command[1:]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        runpy.run_path(str(ROOT / command[0]), run_name="__main__")
    sys.exit(0)


if __name__ == "__main__":
    _serve()
