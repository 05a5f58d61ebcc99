# SPDX-License-Identifier: Apache-2.0
"""A member of a consumer group by the protocol of Kafka 4 (KIP-848), which none of the tests' clients speaks: it joins and
leaves, and reads nothing."""
import socket
import struct

TIMEOUT = 30
_HEARTBEAT, _VERSION = 68, 0  # ConsumerGroupHeartbeat
_JOIN, _LEAVE = 0, -1         # as member epochs


def _text(value):
    encoded = value.encode()
    assert len(encoded) < 127, "longer ones have longer lengths"
    return bytes([len(encoded) + 1]) + encoded


def _heartbeat(group, member, epoch, topic):
    topics = b"\x02" + _text(topic) if epoch == _JOIN else b"\x00"
    return b"".join([struct.pack(">hhih", _HEARTBEAT, _VERSION, 1, -1), b"\x00", _text(group), _text(member),
                     struct.pack(">i", epoch), b"\x00\x00", struct.pack(">i", 60000), topics, b"\x00",
                     b"\x01" if epoch == _JOIN else b"\x00", b"\x00"])


class NewerMember:
    """`with NewerMember(broker, group, topic):` is a member inside, and has left at the end."""

    def __init__(self, broker, group, topic):
        self._where, self._group, self._topic = ("127.0.0.1", broker.ports["PLAINTEXT"]), group, topic
        self._member = ""

    def _ask(self, epoch):
        request = _heartbeat(self._group, self._member, epoch, self._topic)
        with socket.create_connection(self._where, timeout=TIMEOUT) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            stream = connection.makefile("rb")
            reply = stream.read(struct.unpack(">i", stream.read(4))[0])
        # The correlation id, no tags, the throttle time; then what became of it.
        error, = struct.unpack_from(">h", reply, 9)
        assert error == 0, f"error {error}: {reply!r}"
        assert reply[11] == 0, "no message without an error"
        return reply[13:12 + reply[12]].decode()

    def __enter__(self):
        self._member = self._ask(_JOIN)
        return self

    def __exit__(self, *_):
        self._ask(_LEAVE)
