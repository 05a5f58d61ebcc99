# SPDX-License-Identifier: Apache-2.0
"""The three calls as their users know them: exact bodies, the page's own cURL and JavaScript, its 500."""

import json
import shutil
import subprocess

PIPELINE = {"id": "pipeline-abc123", "name": "Event Pipeline", "options": {"event": "my-topic"},
            "steps": [{"name": "work", "script": "def handle(event, context):\n    return None"}]}


def test_the_three_calls_answer_exactly_what_the_page_says(server):
    server.create(PIPELINE)
    assert server.api("GET", "/events/pipeline-abc123", expect=200).json == {"ready": False}
    assert server.api("POST", "/events/pipeline-abc123", expect=200).json == {"message": "Event started successfully"}
    server.wait_status("pipeline-abc123", lambda s: s["ready"])
    assert server.api("GET", "/events/pipeline-abc123", expect=200).json == {"ready": True}
    assert server.api("DELETE", "/events/pipeline-abc123", expect=200).json == {"message": "Event deleted successfully"}
    assert server.api("GET", "/events/pipeline-abc123", expect=200).json == {"ready": False}


def test_delete_is_idempotent(server):
    server.create(PIPELINE)
    for _ in range(2):
        assert server.api("DELETE", "/events/pipeline-abc123", expect=200).json == {"message": "Event deleted successfully"}


def test_start_without_the_event_option_is_a_declared_500(server):
    server.create({"id": "no-event", "name": "No Event", "options": {}, "steps": []})
    reply = server.api("POST", "/events/no-event", expect=500)
    problem = reply.json
    assert reply.headers["Content-Type"].startswith("application/problem+json")
    assert problem["code"] == "event_option_missing"
    assert "no-event" in problem["detail"] and '"event"' in problem["detail"]
    assert reply.headers["X-Should-Retry"] == "false"


def test_unknown_pipeline_and_version_are_404(server):
    server.create(PIPELINE)
    assert server.api("POST", "/events/nobody", expect=404).json["code"] == "not_found"
    server.api("POST", "/events/pipeline-abc123?pipeline_version=7", expect=404)


def test_curl_examples_of_the_page_work(server):
    server.create(PIPELINE)
    bodies = []
    for options in (["-X", "POST"], [], ["-X", "DELETE"]):
        bodies.append(json.loads(subprocess.run(
            ["curl", "-sS", *options, f"{server.url}/api/v1/events/pipeline-abc123",
             "-H", f"Authorization: Bearer {server.token}"], check=True, capture_output=True, timeout=30).stdout))
    assert bodies[0] == {"message": "Event started successfully"}
    assert set(bodies[1]) == {"ready"}
    assert bodies[2] == {"message": "Event deleted successfully"}


JAVASCRIPT = """
const base = process.argv[2], token = process.argv[3];
const created = await fetch(base + '/api/v1/pipelines/', {
  method: 'POST',
  headers: {'Authorization': `Bearer ${token}`, 'Content-Type': 'application/json'},
  body: JSON.stringify({name: 'Order Processing', options: {event: 'orders-topic'},
                        steps: [{name: 'work', script: 'def handle(event):\\n    return None'}]})
});
const pipelineId = (await created.json()).id;
await fetch(base + `/api/v1/events/${pipelineId}`, {method: 'POST', headers: {'Authorization': `Bearer ${token}`}});
const status = await fetch(base + `/api/v1/events/${pipelineId}`, {headers: {'Authorization': `Bearer ${token}`}})
  .then(res => res.json());
console.log(created.status, 'Event ready:', status.ready);
"""


def test_javascript_workflow_of_the_page_works(server, tmp_path):
    node = shutil.which("node")
    assert node, "node is needed for the page's JavaScript example: tools/setup installs it"
    script = tmp_path / "page.mjs"
    script.write_text(JAVASCRIPT)
    server.home.need(["orders-topic"])
    out = subprocess.run([node, str(script), server.url, server.token], check=True, capture_output=True, text=True, timeout=60).stdout
    assert out.split() == ["201", "Event", "ready:", "true"]
