# SPDX-License-Identifier: Apache-2.0
"""Messages that crash, hang or eat memory end as dead letters with the reason; their neighbours do not notice."""

import pytest

SCRIPTS = {
    "crash": "import os, signal\ndef poison():\n    os.kill(os.getpid(), signal.SIGSEGV)\n",
    "exit": "import os\ndef poison():\n    os._exit(3)\n",
    "hang": "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ndef poison():\n    time.sleep(3600)\n",
    "memory": "def poison():\n    hog = []\n    while True:\n        hog.append(bytearray(8 << 20))\n",
}
REASONS = {"crash": {"crashed"}, "exit": {"crashed"}, "hang": {"timed_out"}, "memory": {"out_of_memory", "failed"}}
HANDLE = """
def handle(event, context):
    if event.data == "poison":
        poison()
    record(event, context, "end")
"""


@pytest.mark.parametrize("kind", sorted(SCRIPTS))
def test_poison_is_buried_and_its_neighbours_succeed_at_once(server, record, kind):
    server.create({"id": "poisoned", "name": "Poisoned", "options": {
        "event": "mixed", "env": record.env(), "timeout": "500ms", "limits": {"memory": "200MiB"},
        "scaling": {"max_instances": 2},
        "retry": {"max_attempts": 2, "initial_delay": "50ms", "backoff": "constant"}},
        "steps": [{"name": "work", "script": SCRIPTS[kind] + record.STEP + HANDLE}]})
    server.start_trigger("poisoned")
    server.publish("mixed", [{"key": f"k{n}", "value": "poison" if n == 20 else n} for n in range(60)])
    server.wait_drained("poisoned")
    letters = server.dead_letters("poisoned")
    assert [(l["offset"], l["attempts"]) for l in letters] == [(20, 2)]
    assert letters[0]["reason"] in REASONS[kind], letters[0]
    lines = record.lines()
    assert sorted(line[1] for line in lines) == [n for n in range(60) if n != 20]
    assert {line[3] for line in lines} == {1}, "a neighbour was charged"


def test_a_hanging_step_takes_its_children_along(server, record, tmp_path):
    pids = tmp_path / "children"
    script = record.STEP + f"""
import os, subprocess
def handle(event, context):
    child = subprocess.Popen(["sleep", "3600"], start_new_session=True)
    with open({str(pids)!r}, "a") as out:
        out.write(open("/proc/self/stat").read().split()[0] + "\\n")
    record(event, context, "begun")
    child.wait()
"""
    server.create({"id": "tree", "name": "Tree", "options": {
        "event": "trees", "env": record.env(), "timeout": "500ms",
        "retry": {"max_attempts": 1}, "scaling": {"idle_timeout": "100ms"}},
        "steps": [{"name": "work", "script": script}]})
    server.start_trigger("tree")
    server.publish("trees", [{"value": 1}])
    server.wait_drained("tree")
    server.wait_zero_instances("tree")
    from dhub_server import descendants
    commands = [open(f"/proc/{pid}/cmdline", "rb").read() for pid in descendants(server.process.pid)]
    assert not [c for c in commands if b"3600" in c], commands
    assert server.dead_letters("tree")[0]["reason"] == "timed_out"
