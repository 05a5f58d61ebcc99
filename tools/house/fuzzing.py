# SPDX-License-Identifier: Apache-2.0
"""Running fuzz targets (tests/fuzz) for a while. What they found is kept beside the log."""
import os
import re
import tempfile
import time
from pathlib import Path

CANARY = "canary"
# A gate makes the same search each time: whoever looks for new faults gives DHUB_TEST_SEED, and more seconds.
SEED = 1
CANARY_SECONDS = 60
CANARY_CRIES = "heap-buffer-overflow"
# Beyond the time that a target may search: building up, and the last input.
GRACE = 60

_REACHED = re.compile(r"\bcov: (\d+) ft: (\d+)")
_INPUTS = re.compile(r"number_of_executed_units: (\d+)")


def targets(root):
    """Those that have seeds; the canary is none of them."""
    return sorted(folder.name for folder in (Path(root) / "tests/fuzz/seeds").iterdir() if folder.name != CANARY)


def _search(session, root, name, seconds, corpus):
    """Lets a target search; answers (exit code, log, seconds that it took)."""
    suite, log, began = Path(root) / "tests/fuzz", session.log("fuzz", name), time.monotonic()
    words = [Path(root) / "build/fuzz/tests/fuzz" / f"fuzz_{name}", f"-seed={os.environ.get('DHUB_TEST_SEED', SEED)}",
             f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1",
             f"-artifact_prefix={log.path.with_suffix('')}-"]
    dictionary = suite / "dictionaries" / name
    if dictionary.exists():
        words.append(f"-dict={dictionary}")
    corpus.mkdir(parents=True, exist_ok=True)
    code = log.run([*words, corpus, suite / "seeds" / name], session.environment, seconds + GRACE, root)
    return code, log, time.monotonic() - began


def reached(text):
    """"1,234 edges, 5,678 features, 90 inputs" of what libFuzzer wrote."""
    found, inputs = _REACHED.findall(text), _INPUTS.findall(text)
    edges, features = (int(number) for number in found[-1]) if found else (0, 0)
    return f"{edges:,} edges, {features:,} features, {int(inputs[-1]) if inputs else 0:,} inputs"


def run_target(session, root, name, seconds):
    """Goes on from what earlier runs in this tree came to."""
    code, log, took = _search(session, root, name, seconds, Path(root) / "build/fuzz/corpus" / name)
    session.tally.count(f"fuzz {name}", int(code == 0), int(code != 0), 0, took, log)
    print(f"     {reached(log.path.read_text(errors='replace'))}", flush=True)


def run_canary(session, root):
    """A fault that is planted has to be found: from nothing but the seeds, and in time."""
    with tempfile.TemporaryDirectory() as corpus:
        code, log, took = _search(session, root, CANARY, CANARY_SECONDS, Path(corpus) / CANARY)
    found = code != 0 and CANARY_CRIES in log.path.read_text(errors="replace")
    session.tally.count(f"fuzz {CANARY}", int(found), int(not found), 0, took, log)
