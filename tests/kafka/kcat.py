# SPDX-License-Identifier: Apache-2.0
"""kcat: a client that shares no code with kafka-python. It is linked to the distribution's librdkafka, which cannot log
in to Kafka 4 with SCRAM."""
import json
import subprocess
import tempfile

TIMEOUT = 30


class KcatError(AssertionError):
    """kcat ended with an error; the text is what it said."""


def _run(settings, arguments, timeout=TIMEOUT, stdin=b""):
    options = [word for name, value in settings.items() if name != "bootstrap.servers" for word in ("-X", f"{name}={value}")]
    command = ["kcat", "-b", settings["bootstrap.servers"], *options, *map(str, arguments)]
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=timeout)
    except subprocess.TimeoutExpired as expired:
        raise KcatError(f"kcat did not end: {(expired.stderr or b'').decode(errors='replace')}") from expired
    if done.returncode != 0:
        raise KcatError(done.stderr.decode(errors="replace"))
    return done.stdout


def produce(settings, topic, value, key=None, headers=(), partition=0, timeout=TIMEOUT):
    """One message. `value` None is a tombstone; a header whose value is None has none."""
    # librdkafka gives up on a broker that refuses the login only when the message's own time is over.
    settings = {"message.timeout.ms": int(timeout * 500), **settings}
    arguments = ["-P", "-t", topic, "-p", partition]
    for name, header in headers:
        arguments += ["-H", name if header is None else f"{name}={header.decode()}"]
    if value is None:  # kcat sends no empty file, but of an empty line it makes nulls
        key = key or b""
        assert not {b":", b"\n"} & {key[at:at + 1] for at in range(len(key))}, "this key separates"
        _run(settings, [*arguments, "-Z", "-K", ":"], timeout, stdin=key + b":\n")
        return
    assert value, "kcat sends no empty value"
    with tempfile.NamedTemporaryFile() as content:
        content.write(value)
        content.flush()
        arguments += ["-k", key.decode()] if key is not None else []
        _run(settings, [*arguments, content.name], timeout)


def consume_as_member(settings, group, topic, count, timeout=TIMEOUT):
    """The values of the next `count` messages, taken as a member of the group, which commits them."""
    settings = {"auto.offset.reset": "earliest", **settings}
    return _run(settings, ["-q", "-c", count, "-G", group, topic], timeout).splitlines()


def consume(settings, topic, partition=0, offset="beginning", timeout=TIMEOUT):
    """What is in a partition from `offset` to its end: kcat's own JSON, one dictionary a message."""
    out = _run(settings, ["-C", "-q", "-J", "-e", "-t", topic, "-p", partition, "-o", offset], timeout)
    return [json.loads(line) for line in out.splitlines()]
