# SPDX-License-Identifier: Apache-2.0
"""What a Python step can do: events, several steps, results, outputs, outcomes, retries."""

import json


def run(server, steps, messages, options=None, pipeline_id="steps"):
    server.create({"id": pipeline_id, "name": "Steps", "options": {"event": f"{pipeline_id}-in", **(options or {})}, "steps": steps})
    server.start_trigger(pipeline_id)
    places = server.publish(f"{pipeline_id}-in", messages)
    server.wait_drained(pipeline_id)
    return places


def test_results_go_from_step_to_step_and_out(server):
    steps = [{"name": "double", "script": "def handle(event):\n    return {'n': event.data['n'] * 2}"},
             {"name": "plain", "script": "output = {'n': event.data['n'] + 1, 'key': event.key, 'topic': event.topic}",
              "outputs": {"result": {"topic": "steps-out"}}}]
    run(server, steps, [{"key": "a", "value": {"n": n}} for n in range(5)])
    out = server.outputs("steps-out")
    assert [m["value"] for m in out] == [{"n": 2 * n + 1, "key": "a", "topic": "steps-in"} for n in range(5)]
    assert {m["key"] for m in out} == {"a"}


def test_async_handlers_generators_init_and_publish(server):
    steps = [{"name": "all", "script": """
import asyncio
def init(context):
    global word
    word = "ready"
async def handle(event, context):
    await asyncio.sleep(0)
    context.publish("steps-side", {"word": word}, key="other")
    return [event.data, event.data + 1]
"""}, {"name": "many", "script": "def handle(event):\n    for n in event.data:\n        yield n * 10",
       "outputs": {"result": {"topic": "steps-many"}}}]
    run(server, steps, [{"value": 1}])
    assert [m["value"] for m in server.outputs("steps-many")] == [10, 20]
    assert [(m["key"], m["value"]) for m in server.outputs("steps-side")] == [("other", {"word": "ready"})]


def test_skip_is_filtered_and_publishes_nothing(server):
    script = "from dhub import Skip\ndef handle(event, context):\n    context.publish('never', 1)\n    raise Skip('not mine')"
    run(server, [{"name": "skip", "script": script}], [{"value": 1}])
    assert server.message_state("steps", 0, 0)["state"] == "filtered"
    server.home.wait_outputs(server)
    never = server.api("GET", "/topics/never")
    assert never.status == 404 or never.json["offsets"][0]["end"] == 0


def test_a_retry_resumes_at_the_step_that_failed_and_publishes_once(server, record):
    steps = [{"name": "first", "script": record.STEP + "def handle(event, context):\n    record(event, context, 'first')\n    context.publish('steps-log', 'once')\n    return 41"},
             {"name": "second", "script": record.STEP + "def handle(event, context):\n    record(event, context, 'second')\n    if context.attempt < 3:\n        raise RuntimeError('not yet')\n    return event.data + 1",
              "outputs": {"result": {"topic": "steps-out"}}}]
    run(server, steps, [{"value": 0}], {"env": record.env(), "retry": {"initial_delay": "20ms", "backoff": "constant"}})
    assert [(line[0], line[3]) for line in record.lines()] == [("first", 1), ("second", 1), ("second", 2), ("second", 3)]
    assert [m["value"] for m in server.outputs("steps-out")] == [42]
    assert len(server.outputs("steps-log")) == 1


def test_attempts_are_counted_across_a_kill(servers, record):
    server = servers().start()
    script = record.STEP + "def handle(event, context):\n    record(event, context, 'run')\n    raise ValueError('always')"
    server.create({"id": "counted", "name": "Counted", "options": {"event": "in", "env": record.env(), "retry": {
        "max_attempts": 4, "initial_delay": "150ms", "backoff": "constant", "jitter": False}}, "steps": [{"name": "work", "script": script}]})
    server.start_trigger("counted")
    server.publish("in", [{"value": 1}])
    server.wait_status("counted", lambda s: s["counts"]["failed_attempts"] >= 2)
    server.kill()
    server.start()
    server.wait_drained("counted")
    assert server.dead_letters("counted")[0]["attempts"] == 4
    # A run that was under way at the kill is not charged, so at most one attempt may stand twice.
    assert 4 <= len(record.lines()) <= 5


def test_a_chain_of_triggers_carries_keys_and_is_cut_when_it_goes_round(server):
    script = "def handle(event, context):\n    context.publish('loop-in', event.data, key=event.key)"
    run(server, [{"name": "again", "script": script}], [{"key": "k", "value": 1}], pipeline_id="loop")
    server.wait_status("loop", lambda s: s["counts"]["dead_lettered"] == 1)
    server.wait_drained("loop")
    assert "64" in server.dead_letters("loop")[0]["last_error"]
    messages = server.outputs("loop-in")
    assert len(messages) == 65 and {m["key"] for m in messages} == {"k"}


def test_event_attributes_and_cloudevents_headers(server):
    script = ("def handle(event, context):\n    return {'id': event.id, 'source': event.source, 'type': event.type, 'offset': event.offset,"
              " 'value': event.value.decode(), 'attempt': context.attempt, 'pipeline': context.pipeline_id, 'version': context.pipeline_version}")
    server.create({"id": "attributes", "name": "A", "options": {"event": "ce"}, "steps": [
        {"name": "show", "script": script, "outputs": {"result": {"topic": "ce-out"}}}]})
    server.start_trigger("attributes")
    server.api("POST", "/topics/ce/messages?key=k", b'{"a":1}', expect=202, headers={
        "Content-Type": "application/json", "ce-id": "42", "ce-source": "/here", "ce-type": "made", "ce-specversion": "1.0"})
    server.wait_drained("attributes")
    shown = server.outputs("ce-out")[0]["value"]
    assert (shown["id"], shown["source"], shown["type"], shown["offset"]) == ("42", "/here", "made", 0)
    assert (shown["value"], shown["attempt"], shown["pipeline"], str(shown["version"])) == ('{"a":1}', 1, "attributes", "1")


def test_bytes_stay_exact_from_publish_to_step_and_back(server):
    script = "def handle(event, context):\n    context.publish('exact-out', event.value, headers=[(k, v) for k, v in event.headers.items()] if hasattr(event.headers, 'items') else event.headers)"
    raw = bytes(range(256)) + b'{"a": 1, "a": 2}'
    server.create({"id": "exact", "name": "E", "options": {"event": "exact"}, "steps": [{"name": "copy", "script": script}]})
    server.start_trigger("exact")
    server.api("POST", "/topics/exact/messages", raw, expect=202, headers={"Content-Type": "application/octet-stream"})
    server.wait_drained("exact")
    import base64
    message = server.outputs("exact-out")[0]
    assert base64.b64decode(message["value_base64"]) == raw, json.dumps(message)[:300]


def test_pause_and_resume(server, record):
    script = record.STEP + "def handle(event, context):\n    record(event, context, 'end')"
    server.create({"id": "held", "name": "H", "options": {"event": "held", "env": record.env()}, "steps": [{"name": "w", "script": script}]})
    server.start_trigger("held")
    server.api("POST", "/events/held/pause", expect=200)
    assert server.api("GET", "/events/held", expect=200).json == {"ready": False}
    server.publish("held", [{"value": 1}])
    assert server.wait_status("held", lambda s: s["partitions"][0]["lag"] == 1)["in_flight"] == 0
    server.api("POST", "/events/held/resume", expect=200)
    server.wait_drained("held")
    assert len(record.lines()) == 1


def test_where_a_start_begins(server, record):
    script = record.STEP + "def handle(event, context):\n    record(event, context, 'end')"
    server.publish("early", [{"value": n} for n in range(3)])
    server.create({"id": "from", "name": "F", "options": {"event": "early", "env": record.env()}, "steps": [{"name": "w", "script": script}]})
    server.start_trigger("from")  # nothing committed yet: only what comes from now on
    server.publish("early", [{"value": 3}])
    server.wait_drained("from")
    assert [line[1] for line in record.lines()] == [3]
    server.start_trigger("from", "?from=earliest")
    server.wait_status("from", lambda s: len(record.lines()) == 5)
    server.wait_drained("from")
    assert [line[1] for line in record.lines()] == [3, 0, 1, 2, 3]
    server.api("DELETE", "/events/from", expect=200)
    server.publish("early", [{"value": n} for n in range(2)])
    reply = server.start_trigger("from")
    assert reply.headers["X-Backlog"] == "2"
    server.wait_drained("from")
    assert [line[1] for line in record.lines()][5:] == [4, 5]


def test_empty_steps_account_for_every_message(server):
    server.create({"id": "empty", "name": "E", "options": {"event": "in"}, "steps": []})
    server.start_trigger("empty")
    places = server.publish("in", [{"key": f"k{n % 7}", "value": n} for n in range(500)])
    status = server.wait_drained("empty")
    assert status["counts"]["succeeded"] == 500
    assert server.message_state("empty", *places[-1])["state"] == "succeeded"


def test_topics_live_where_the_run_says(server, home):
    server.publish("in", [{"value": 1}])
    assert server.api("GET", "/topics/in", expect=200).json.get("cluster", "embedded") == home.cluster
