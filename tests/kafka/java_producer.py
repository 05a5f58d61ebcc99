# SPDX-License-Identifier: Apache-2.0
"""Kafka's own Java client, by the console producer that comes with Kafka 3.9; newer ones keep theirs in another jar. It
takes text only."""
import subprocess

from cached import VERSIONS, jars_of

TIMEOUT = 60
_NULL = "<null>"
_PROPERTIES = ("parse.key=true", "parse.headers=true", f"null.marker={_NULL}")


def _field(text):
    assert text is None or not {"\t", "\n", "\r"} & set(text), "this separates"
    return _NULL if text is None else text


def _line(key, value, headers):
    assert not {",", ":"} & set("".join(name + text for name, text in headers)), "these separate"
    head = ",".join(f"{name}:{text}" for name, text in headers) if headers else _NULL
    return "\t".join([head, _field(key), _field(value)]) + "\n"


def produce(bootstrap, topic, messages, codec="none"):
    """(key, value, headers) of each message; None is null. The client chooses the partitions, by its default way. It
    ends well even when the broker refuses a message: look whether they came."""
    words = [word for one in _PROPERTIES for word in ("--property", one)]
    command = ["java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8",
               "-cp", str(jars_of(VERSIONS[0]) / "*"), "kafka.tools.ConsoleProducer", "--bootstrap-server", bootstrap,
               "--topic", topic, "--compression-codec", codec, *words]
    lines = "".join(_line(*message) for message in messages).encode()
    done = subprocess.run(command, input=lines, capture_output=True, check=False, timeout=TIMEOUT)
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")
