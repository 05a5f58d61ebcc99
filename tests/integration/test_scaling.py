# SPDX-License-Identifier: Apache-2.0
"""From zero, out with the backlog, back to zero; and no process outlives its owner."""

import os

from dhub_server import descendants, instances, open_pidfds, wait_all_gone


def sleepy(record, **scaling):
    script = record.STEP + "import time\ndef handle(event, context):\n    time.sleep(0.01)\n    record(event, context, 'end')\n"
    return {"id": "sleepy", "name": "Sleepy", "options": {"event": "work", "env": record.env(), "scaling": scaling},
            "steps": [{"name": "nap", "script": script}]}


def test_scales_out_to_the_maximum_and_back_to_zero(server, record):
    total = int(os.environ.get("DHUB_SCALE_MESSAGES", "2000"))
    server.create(sleepy(record, max_instances=8, idle_timeout="300ms"))
    server.start_trigger("sleepy")
    assert instances(server.status("sleepy")) == 0
    for first in range(0, total, 500):
        server.publish("work", [{"key": f"k{n}", "value": n} for n in range(first, min(first + 500, total))])
    peak = server.wait_status("sleepy", lambda s: instances(s) == 8)
    assert "8 instances" in peak["instances"]["reason"] and "max_instances" in peak["instances"]["reason"]
    server.wait_drained("sleepy", 120)
    server.wait_zero_instances("sleepy")
    assert sorted(line[1] for line in record.lines()) == list(range(total))
    commands = [open(f"/proc/{pid}/cmdline", "rb").read() for pid in descendants(server.process.pid)]
    assert not [c for c in commands if b"worker" in c], commands


def test_the_next_message_wakes_a_service_that_is_at_zero(server, record):
    server.create(sleepy(record, idle_timeout="100ms"))
    server.start_trigger("sleepy")
    for n in range(3):
        server.publish("work", [{"value": n}])
        server.wait_drained("sleepy")
        server.wait_zero_instances("sleepy")
    assert [line[1] for line in record.lines()] == [0, 1, 2]


def test_nothing_outlives_a_server_that_is_killed(server, record):
    server.create(sleepy(record, max_instances=4))
    server.start_trigger("sleepy")
    server.publish("work", [{"key": f"k{n}", "value": n} for n in range(500)])
    server.wait_status("sleepy", lambda s: s["instances"]["ready"] == 4)
    children = descendants(server.process.pid)
    assert len(children) >= 4
    pidfds = open_pidfds(children)
    server.kill()
    wait_all_gone(pidfds)


def test_workers_and_host_that_are_killed_are_replaced_and_nothing_is_lost(server, record):
    server.create(sleepy(record, max_instances=2, idle_timeout="300ms"))
    server.start_trigger("sleepy")
    server.publish("work", [{"key": f"k{n}", "value": n} for n in range(300)])
    server.wait_status("sleepy", lambda s: s["in_flight"] > 0)
    for pid in descendants(server.process.pid)[:1]:  # the host: everything below it goes too
        os.kill(pid, 9)
    server.wait_drained("sleepy")
    assert {line[1] for line in record.lines()} == set(range(300))
    assert server.dead_letters("sleepy") == []
