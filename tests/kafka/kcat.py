# SPDX-License-Identifier: Apache-2.0
"""kcat: a client that shares no code with kafka-python. It is linked to the distribution's librdkafka, which cannot log
in to Kafka 4 with SCRAM."""
import json
import secrets
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


def produce_many(settings, topic, messages, headers=(), partition=0, timeout=TIMEOUT):
    """(key, value) of each message, any bytes, all with the same headers, as one batch where the broker lets them."""
    settings = {"message.timeout.ms": int(timeout * 500), "linger.ms": 200, **settings}
    after_key, after_value = (f"<{secrets.token_hex(8)}>" for _ in range(2))
    words = [word for name, header in headers for word in ("-H", f"{name}={header.decode()}")]
    content = b"".join(key + after_key.encode() + value + after_value.encode() for key, value in messages)
    _run(settings, ["-P", "-t", topic, "-p", partition, "-K", after_key, "-D", after_value, *words], timeout, stdin=content)


def consume(settings, topic, partition=0, offset="beginning", timeout=TIMEOUT):
    """What is in a partition from `offset` to its end: kcat's own JSON, one dictionary a message."""
    out = _run(settings, ["-C", "-q", "-J", "-e", "-t", topic, "-p", partition, "-o", offset], timeout)
    return [json.loads(line) for line in out.splitlines()]


def read(settings, topic, partition=0, timeout=TIMEOUT):
    """(key, value) of each message of a partition, byte for byte; None is null."""
    frame = "%K %S %k%s"
    left = _run(settings, ["-C", "-q", "-e", "-t", topic, "-p", partition, "-o", "beginning", "-f", frame], timeout)
    messages = []
    while left:
        key, value, left = left.split(b" ", 2)
        message = []
        for size in (int(key), int(value)):
            message.append(None if size < 0 else left[:size])
            left = left[max(size, 0):]
        messages.append(tuple(message))
    return messages
