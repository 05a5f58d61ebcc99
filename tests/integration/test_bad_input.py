# SPDX-License-Identifier: Apache-2.0
"""Bad input gets a clear error that says what to do, and nothing is lost."""

import json

import pytest


def pipeline(**more):
    return {"id": "fine", "name": "Fine", "options": {"event": "in"},
            "steps": [{"name": "work", "script": "def handle(event):\n    return None"}], **more}


def problem(reply, status, code=None):
    assert reply.status == status, reply
    assert reply.headers["Content-Type"].startswith("application/problem+json")
    body = reply.json
    for key in ("type", "title", "status", "detail", "instance", "code", "trace_id"):
        assert key in body, (key, body)
    assert body["status"] == status
    if code:
        assert body["code"] == code, body
    return body


@pytest.mark.parametrize("change, pointer", [
    ({"nmae": "x"}, "/nmae"),
    ({"name": 7}, "/name"),
    ({"steps": {}}, "/steps"),
    ({"steps": [{"name": "work"}]}, "/steps/0/script"),
    ({"options": {"evnt": "in"}}, "/options/evnt"),
    ({"options": {"event": "a/b"}}, "/options/event"),
    ({"options": {"event": "in", "timeout": "5"}}, "/options/timeout"),
    ({"options": {"event": "in", "retry": {"max_attempts": 0}}}, "/options/retry/max_attempts"),
])
def test_a_wrong_field_is_named_by_its_pointer(server, change, pointer):
    body = problem(server.api("POST", "/pipelines/", pipeline(**change)), 422)
    assert pointer in [e["pointer"] for e in body["errors"]], body
    server.api("GET", "/pipelines/fine", expect=404)


def test_a_typo_is_answered_with_what_was_probably_meant(server):
    body = problem(server.api("POST", "/pipelines/", pipeline(options={"evnt": "in"})), 422)
    assert "event" in json.dumps(body["errors"])


def test_broken_json_duplicate_keys_and_wrong_types_of_body(server):
    headers = {"Content-Type": "application/json"}
    for text in ('{"name": ', '{"name": "a", "name": "b"}', "[" * 100_000, "\ufeff{}", '{"name": NaN}'):
        problem(server.api("POST", "/pipelines/", text.encode(), headers=headers), 400)
    problem(server.api("POST", "/pipelines/", "[]", headers=headers), 422)
    problem(server.api("POST", "/pipelines/", "name=x", headers={"Content-Type": "application/x-www-form-urlencoded"}), 415)


def test_oversized_bodies_and_messages_are_refused_and_the_server_goes_on(server):
    problem(server.api("POST", "/pipelines/", b" " * ((8 << 20) + 1), headers={"Content-Type": "application/json"}), 413)
    problem(server.api("POST", "/topics/in/messages", b"x" * ((1 << 20) + 1)), 413)
    server.home.need(["in"])
    server.api("POST", "/topics/in/messages", b"x" * (1 << 20), expect=202)


@pytest.mark.parametrize("name", ["..", "%2e%2e%2f", "a%2Fb", "a%00b", "%C3%A4", "a" * 250, "a%0d%0ab", "-%20-"])
def test_hostile_names_create_nothing(server, name):
    reply = server.api("POST", f"/topics/{name}/messages", b"x")
    assert reply.status in (400, 404, 422), reply
    assert server.api("GET", "/topics", expect=200).json["items"] == []


@pytest.mark.parametrize("identifier", ["../x", "A", "a_b", "-a", "a-", "a" * 64, "", "ä", "test", "validate"])
def test_hostile_pipeline_ids_are_refused(server, identifier):
    problem(server.api("POST", "/pipelines/", pipeline(id=identifier)), 422)


def test_a_script_that_does_not_compile_is_refused_with_its_line(server):
    steps = [{"name": "work", "script": "def handle(event):\n    return (\n"}]
    body = problem(server.api("POST", "/pipelines/", pipeline(steps=steps)), 422)
    error = next(e for e in body["errors"] if e["pointer"] == "/steps/0/script")
    assert "line 2" in error["detail"] or "line 3" in error["detail"], error


def test_what_is_not_served_yet_says_so(server):
    steps = [{"name": "work", "language": "jq", "script": "."}]
    problem(server.api("POST", "/pipelines/", pipeline(steps=steps)), 422, "not_served_yet")


def test_without_a_token_and_with_a_wrong_one(server):
    reply = server.call("GET", "/api/v1/pipelines/", token=False)
    problem(reply, 401)
    assert reply.headers["WWW-Authenticate"].startswith("Bearer")
    problem(server.call("GET", "/api/v1/pipelines/", headers={"Authorization": "Bearer wrong"}), 401)


def test_unknown_routes_and_methods(server):
    problem(server.api("GET", "/nothing"), 404)
    reply = server.api("PATCH", "/pipelines/")
    problem(reply, 405)
    assert "POST" in reply.headers["Allow"]


@pytest.mark.parametrize("script, reason, text", [
    ("def handle(event):\n    raise ValueError('no such order')", "failed", "ValueError: no such order"),
    ("import sys\ndef handle(event):\n    sys.exit('bye')", "failed", "SystemExit"),
    ("def handle(event):\n    return object()", "failed", "object"),
    ("from dhub import Reject\ndef handle(event):\n    raise Reject('never')", "rejected", "never"),
])
def test_a_failing_step_ends_as_a_dead_letter_that_says_why(server, script, reason, text):
    options = {"event": "in", "retry": {"max_attempts": 2, "initial_delay": "20ms", "backoff": "constant"}}
    follower = {"name": "next", "script": "def handle(event):\n    return None"}
    server.create(pipeline(options=options, steps=[{"name": "work", "script": script}, follower]))
    server.start_trigger("fine")
    server.publish("in", [{"key": "k", "value": {"a": 1}, "headers": {"h": "v"}}])
    server.wait_drained("fine")
    letter = server.api("GET", f"/events/fine/dead-letters/{server.dead_letters('fine')[0]['number']}", expect=200).json
    assert letter["reason"] == reason and text in letter["last_error"], letter
    assert letter["key"] == "k" and letter["value"] == {"a": 1} and letter["step"] == "work"


def test_a_traceback_names_the_users_file_and_line(server):
    script = "def inner():\n    raise KeyError('x')\n\ndef handle(event):\n    inner()"
    server.create(pipeline(options={"event": "in", "retry": {"max_attempts": 1}}, steps=[{"name": "work", "script": script}]))
    server.start_trigger("fine")
    server.publish("in", [{"value": 1}])
    server.wait_drained("fine")
    runs = server.api("GET", "/events/fine/runs?state=failed", expect=200).json["items"]
    run = server.api("GET", f"/events/fine/runs/{runs[0]['run_id']}", expect=200).json
    trace = json.dumps(run)
    assert "work" in trace and "line 2" in trace and "line 5" in trace, run


def test_endless_printing_is_cut_with_a_mark(server):
    script = "def handle(event):\n    for n in range(200000):\n        print('line', n)"
    server.create(pipeline(options={"event": "in", "limits": {"output": "8KiB"}}, steps=[{"name": "work", "script": script}]))
    server.start_trigger("fine")
    server.publish("in", [{"value": 1}])
    server.wait_drained("fine")
    runs = server.api("GET", "/events/fine/runs", expect=200).json["items"]
    log = json.dumps(server.api("GET", f"/events/fine/runs/{runs[0]['run_id']}", expect=200).json)
    assert "line 0" in log and "cut" in log and len(log) < 20_000


def test_a_script_that_fails_to_load_is_told_and_charges_nobody(server):
    server.create(pipeline(steps=[{"name": "work", "script": "import no_such_module\ndef handle(event):\n    return None"}]))
    server.start_trigger("fine")
    server.publish("in", [{"value": 1}])
    status = server.wait_status("fine", lambda s: not s["ready"])
    service = next(c for c in status["conditions"] if c["type"] == "Service")
    assert "no_such_module" in service["message"] and service["next_action"]
    assert server.dead_letters("fine") == []
    server.api("PUT", "/pipelines/fine", pipeline(), expect=200)
    server.start_trigger("fine")
    server.wait_drained("fine")
    assert server.message_state("fine", 0, 0)["state"] == "succeeded"


def test_a_pipeline_with_a_trigger_or_dead_letters_is_not_deleted(server):
    server.create(pipeline(options={"event": "in", "retry": {"max_attempts": 1}},
                           steps=[{"name": "work", "script": "def handle(event):\n    raise ValueError()"}]))
    server.start_trigger("fine")
    problem(server.api("DELETE", "/pipelines/fine"), 409)
    server.publish("in", [{"value": 1}])
    server.wait_drained("fine")
    server.api("DELETE", "/events/fine", expect=200)
    problem(server.api("DELETE", "/pipelines/fine"), 409)
    assert server.api("DELETE", "/pipelines/fine?discard_dead_letters=true").status in (200, 204)
    server.api("GET", "/pipelines/fine", expect=404)
