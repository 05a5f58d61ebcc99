# SPDX-License-Identifier: Apache-2.0
"""The commands of the README and of the guide, run as they stand there."""
import os
import pathlib
import re
import subprocess

from dhub_server import BINARY, PATIENCE, ROOT

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What a person does by looking: waits until the server says that it serves.
READY = "dhub events list -o json | jq -e '.items[0].ready'"
OUT = "[ $(dhub topics read greetings -o json | grep -c Hello) -ge 2 ]"
UNTIL_SERVING = f'timeout {PATIENCE:.0f} bash -c \'until [ -e "$0/server.json" ]; do sleep 0.05; done\' "$DHUB_DATA"\n'


def blocks(document, language=""):
    return [body for kind, body in FENCE.findall((ROOT / document).read_text()) if kind == language]


def run(script, directory, environment):
    """One shell, as a person has one; the server that it starts is ended with it."""
    script = f"set -euo pipefail\ntrap 'kill $(jobs -p) && wait' EXIT\nset -x\n{script}\n"
    return subprocess.run(["bash", "-c", script], cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=3 * PATIENCE, check=False,
                          env={**os.environ, "PATH": f"{pathlib.Path(BINARY).parent}:{os.environ['PATH']}", **environment})


def without(script, *patterns):
    kept = [line for line in script.splitlines() if not any(re.search(p, line) for p in patterns)]
    return "\n".join(kept) + "\n"


def test_first_pipeline(tmp_path, home):
    guide = "docs/guides/first-pipeline.md"
    (pipeline,) = [text for text in blocks(guide, "yaml") if "id: greet" in text]
    (tmp_path / "greet.yaml").write_text(pipeline)
    home.need(["people", "greetings"])
    begin, *rest = blocks(guide)
    look = next(i for i, script in enumerate(rest) if "dhub runs get" in script)
    # A person reads on for longer than this takes.
    rest[look] = wait_for("dhub messages get greet 0 2 -o json | jq -e '.state == \"dead_lettered\"'") + wait_for(OUT) + rest[look]
    change = next(i for i, script in enumerate(rest) if "version 2" in script)
    rest[change] = "sed -i 's/Hello /Good morning /' greet.yaml\n" + rest[change]
    data = tmp_path / "data"
    done = run(without(begin, "export ") + UNTIL_SERVING + "".join(rest), tmp_path, {"DHUB_DATA": str(data), **home.environment})
    assert done.returncode == 0, done.stdout + done.stderr
    for shown in ("Hello Ada", "Hello Bob", "greeting Ada", "nobody to greet", "dead_lettered", "version 2"):
        assert shown in done.stdout + done.stderr, (shown, done.stdout, done.stderr)


def test_readme(tmp_path, home):
    quickstart, by_hand, by_http, _ = blocks("README.md")
    assert quickstart.strip() == "tools/quickstart"
    person = tmp_path / "home"
    data = person / ".local/state/dhub"
    # Only this differs from what stands there: another port than 8080, and where we are.
    by_hand = without(by_hand, "tools/build", "export PATH").replace("dhub serve &", "dhub serve --listen 127.0.0.1:0 &\n" + UNTIL_SERVING)
    # POST answers when the start is durable; a person is slower than the moment until it is ready.
    by_http = by_http.replace("\ncurl           ", "\n" + wait_for(READY) + "curl           ").replace("http://127.0.0.1:8080", "$(jq -r .url ~/.local/state/dhub/server.json)")
    environment = {"HOME": str(person), "DHUB_DATA": str(data), "XDG_STATE_HOME": "", **home.environment}
    home.need(["orders-topic", "orders-enriched"])
    person.mkdir()
    done = run(by_hand + by_http, ROOT, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    squeezed = done.stdout.replace(" ", "")
    for answer in re.findall(r"`(\{.*?\})`", (ROOT / "README.md").read_text()):
        assert answer.replace(" ", "") in squeezed, (answer, done.stdout)


def wait_for(condition):
    return f"timeout {PATIENCE:.0f} bash -c 'until eval \"$0\" >/dev/null 2>&1; do sleep 0.1; done' {quote(condition)}\n"


def quote(text):
    return "'" + text.replace("'", "'\\''") + "'"


def test_configurations_can_be_read(tmp_path):
    secrets = {"KAFKA_PASSWORD": "hidden", "KAFKA_KEY_PASSWORD": "hidden", "KAFKA_CLIENT_SECRET": "hidden"}
    texts = [*blocks("docs/guides/kafka.md", "yaml"), (ROOT / "samples/kafka.yaml").read_text()]
    assert len(texts) > 6
    for text in texts:
        (tmp_path / "dhub.yaml").write_text(text)
        shown = subprocess.run([BINARY, "config", "view", "--config", str(tmp_path / "dhub.yaml")], text=True, check=False,
                               capture_output=True, timeout=PATIENCE, env={"HOME": str(tmp_path), **secrets})
        assert shown.returncode == 0, (text, shown.stderr)
        assert "topics.clusters.main.kafka.bootstrap.servers" in shown.stdout
        assert "hidden" not in shown.stdout
