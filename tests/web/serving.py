"""web/app.py, whose searches a test can hold: the one for alternative N waits at its tenth step for
as long as there is a file held-N, and goes on yielding it, so that it can be stopped or left."""

import runpy
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from completion.searching import Searching  # noqa: E402

complete = Searching.complete


def held(self, cases, options, draw=0, width=None):
    for moment in complete(self, cases, options, draw, width):
        yield moment
        while moment.step == 10 and Path(f"held-{draw}").exists():
            time.sleep(0.1)
            yield moment


Searching.complete = held
runpy.run_path(str(ROOT / "web" / "app.py"), run_name="__main__")
