# SPDX-License-Identifier: Apache-2.0
"""POST on a running trigger switches its version under load without a hole."""

import threading


def version(record, number):
    script = record.STEP + "import time\ndef handle(event, context):\n    time.sleep(0.002)\n    record(event, context, 'end')\n"
    return {"name": "Switched", "options": {"event": "stream", "env": record.env(), "scaling": {"max_instances": 2}},
            "steps": [{"name": f"work-{number}", "script": script}]}


def test_switches_under_load_lose_nothing_and_repeat_nothing(server, record, seeded):
    total, switches = 2000, 4
    server.create({"id": "switched", **version(record, 1)})
    server.start_trigger("switched")

    def publish():
        for first in range(0, total, 50):
            server.publish("stream", [{"key": f"k{n % 20}", "value": n} for n in range(first, first + 50)])

    publisher = threading.Thread(target=publish)
    publisher.start()
    for number in range(2, switches + 2):
        target = len(record.lines()) + seeded.randrange(50, total // (switches + 1))
        server.wait_status("switched", lambda s: len(record.lines()) >= target or not publisher.is_alive())
        server.api("PUT", "/pipelines/switched", version(record, number), expect=200)
        server.start_trigger("switched", f"?pipeline_version={number}")
    publisher.join()
    server.wait_drained("switched")
    lines = record.lines()
    assert sorted(line[1] for line in lines) == list(range(total)), "lost or repeated"
    newest = {}
    for _, offset, key, _, stamped, _ in lines:
        assert int(stamped) >= newest.get(key, 0), f"{key} went back to version {stamped} at {offset}"
        newest[key] = int(stamped)
    for key in newest:
        offsets = [line[1] for line in lines if line[2] == key]
        assert offsets == sorted(offsets)


def test_put_does_not_change_a_running_trigger(server, record):
    server.create({"id": "switched", **version(record, 1)})
    server.start_trigger("switched")
    reply = server.api("PUT", "/pipelines/switched", version(record, 2), expect=200).json
    assert (reply["version"], reply["running_version"]) == ("2", "1")
    server.publish("stream", [{"value": 1}])
    server.wait_drained("switched")
    assert {line[4] for line in record.lines()} == {"1"}
