# SPDX-License-Identifier: Apache-2.0
"""Many clients that wait for a change of a status, each on a connection of its own, all in one thread."""
import json
import re
import selectors
import socket
import threading
import urllib.parse


class Watchers:
    """Each asks `?wait=60s` again as soon as it is answered, until close()."""

    def __init__(self, server, triggers):
        parts = urllib.parse.urlsplit(server.url)
        self.address, self.token = (parts.hostname, parts.port), server.token
        self.answers = {trigger: 0 for trigger in triggers}
        self._selector, self._buffers, self._closing = selectors.DefaultSelector(), {}, False
        for trigger in triggers:
            connection = socket.create_connection(self.address)
            self._selector.register(connection, selectors.EVENT_READ, trigger)
            self._buffers[connection] = b""
            self._ask(connection, trigger, server.status(trigger)["etag"])
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _ask(self, connection, trigger, etag):
        target = f"/api/v1/events/{trigger}/status?wait=60s&seen={urllib.parse.quote(etag, safe='')}"
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.token}\r\n\r\n".encode())

    def _run(self):
        while not self._closing:
            for key, _ in self._selector.select(timeout=0.1):
                self._read(key.fileobj, key.data)

    def _read(self, connection, trigger):
        more = connection.recv(65536)
        if not more:
            self._selector.unregister(connection)
            return
        self._buffers[connection] += more
        head, separator, body = self._buffers[connection].partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        if separator and length and len(body) >= int(length.group(1)):
            self._buffers[connection] = body[int(length.group(1)):]
            self.answers[trigger] += 1
            self._ask(connection, trigger, json.loads(body[:int(length.group(1))])["etag"])

    def close(self):
        self._closing = True
        self._thread.join()
        for connection in self._buffers:
            connection.close()
        self._selector.close()
