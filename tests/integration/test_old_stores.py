# SPDX-License-Identifier: Apache-2.0
"""Stores that earlier commits wrote (tests/fixtures) are opened by this one, with all that is in them."""
import gzip
import json
import pathlib
import sys

import pytest

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures"
sys.path.append(str(FIXTURES))

from make_store import BURIED, FAILS, MESSAGES, message, pipeline  # noqa: E402

STORES = sorted(path.name for path in FIXTURES.glob("store-*"))

pytestmark = pytest.mark.embedded("the topics are in the stores")


@pytest.fixture(params=STORES)
def old(request, servers):
    """(a server on a copy of the store, what its maker told of it)"""
    server = servers()
    server.data.mkdir(mode=0o700)
    for path in (FIXTURES / request.param).glob("*.gz"):
        (server.data / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    return server.start(), json.loads((FIXTURES / request.param / "expected.json").read_text())


def test_there_is_a_store():
    assert STORES


def test_pipelines_and_topics_of_an_old_store_are_there(old):
    server, _ = old
    assert {one["id"] for one in server.pages("/pipelines")} == {"old", "idle"}
    found = server.api("GET", "/pipelines/old", expect=200).json
    assert (found["version"], found["name"]) == ("2", "Second")
    assert found["steps"][0]["script"] == pipeline("Second")["steps"][0]["script"]
    assert {one["name"] for one in server.pages("/topics")} >= {"orders", "seen"}
    assert server.api("GET", "/topics/orders", expect=200).json["partitions"] == 2


def test_messages_of_an_old_store_are_what_was_published(old):
    server, told = old
    for n, (partition, offset) in enumerate(told["places"]):
        page = server.api("GET", f"/topics/orders/messages?partition={partition}&offset={offset}&limit=1", expect=200)
        [found] = page.json["items"]
        assert {name: found[name] for name in message(n)} == message(n)


def test_what_became_of_each_event_of_an_old_store_is_known(old):
    server, told = old
    states = [server.message_state("old", *place)["state"] for place in told["places"]]
    expected = ["succeeded"] * MESSAGES
    expected[FAILS], expected[BURIED] = "retrying", "dead_lettered"
    assert states == expected
    [letter] = server.dead_letters("old")
    assert (letter["partition"], letter["offset"]) == tuple(told["places"][BURIED])
    assert "it says so" in json.dumps(letter)


def test_the_trigger_of_an_old_store_goes_on_from_its_cursor(old):
    server, told = old
    status = server.status("old")
    assert {str(p["partition"]): p["cursor"] for p in status["partitions"]} == told["cursors"]
    server.api("POST", "/events/old/resume", expect=200)
    server.publish("orders", [message(n) for n in range(MESSAGES, MESSAGES + 5)])
    server.wait_drained("old")
    seen = [one["value"] for one in server.outputs("seen")]
    numbers = sorted(one["n"] for one in seen)
    assert numbers == sorted({*range(MESSAGES + 5)} - {BURIED}), "lost or repeated"
    [failed] = [one for one in seen if one["n"] == FAILS]
    assert failed["attempt"] == 2, "the attempt before counts"
