# SPDX-License-Identifier: Apache-2.0
"""The worker's loop, over its real socket and page, with every interpreter that is there."""
import json
import os
import subprocess

import pytest
from conftest import Outcome, Page, delivery

from dhub import _page, _values as values, _wire as wire

ECHO = ("def handle(event):\n    return event.data", "out")


def test_a_result_is_published_with_the_events_key(start_worker):
    worker = start_worker(ECHO)
    assert worker.started == wire.READY
    outcome = worker.run(b'{"a": 1}', key=b"k")
    assert outcome.kind == wire.SUCCEEDED
    assert outcome.publications == [("out", b"k", b'{"a":1}')]


def test_a_frame_is_answered_by_one_frame_in_order(start_worker):
    worker = start_worker("def handle(event): pass")
    worker.deliver(*[delivery(n, b"x") for n in range(1, 65)])
    kind, payload = worker.frame()
    assert kind == wire.OUTCOMES
    assert wire.COUNT.unpack_from(payload) == (64,)


def test_frames_come_through_in_any_pieces(start_worker):
    worker = start_worker(ECHO)
    large = b"x" * 300_000
    frames = b""
    for number, value in enumerate([b"1", large, b"2"], start=1):
        payload = wire.COUNT.pack(1) + delivery(number, value)
        frames += wire.FRAME.pack(9 + len(payload), wire.DELIVER, 7) + payload
    for at in range(0, 40):
        worker.socket.sendall(frames[at : at + 1])
    for at in range(40, len(frames), 70_001):
        worker.socket.sendall(frames[at : at + 70_001])
    found = worker.answers(3)
    assert [found[n].publications[0][2] for n in (1, 2, 3)] == [b"1", large, b"2"]


def test_what_is_finished_is_in_the_page_before_the_next_begins(start_worker):
    # The second event looks at the page as the host would after its death.
    worker = start_worker("import os, time\ndef handle(event):\n    if event.data == 'die': os._exit(5)")
    worker.deliver(delivery(1, b"good"), delivery(2, b"good"), delivery(3, b"die"), delivery(4, b"good"))
    assert worker.process.wait(30) == 5
    page = worker.page
    found = page.results()
    first, second = Outcome(found[:48]), Outcome(found[48:])
    assert [(first.delivery, first.kind), (second.delivery, second.kind)] == [(1, 1), (2, 1)]
    assert page.word(_page.Page.FIRST_SLOT) == 3
    assert page.word(_page.Page.FIRST_SLOT + 1) > 0


def test_nothing_is_begun_while_the_worker_is_idle(start_worker):
    worker = start_worker("def handle(event): pass")
    worker.run(b"x")
    assert worker.page.word(_page.Page.FIRST_SLOT) == 0
    worker.send(wire.DRAIN)
    worker.process.wait(30)
    assert worker.page.results() == b""


def test_results_that_exceed_the_page_go_out_in_several_writes(start_worker):
    worker = start_worker(("def handle(event):\n    return 'x' * event.data", "out"), page=Page(results=20_000))
    sizes = [10, 9_000, 9_000, 9_000, 50_000, 10, 300_000]
    worker.deliver(*[delivery(n, str(size).encode()) for n, size in enumerate(sizes, start=1)])
    found = worker.answers(len(sizes))
    assert [len(found[n].publications[0][2]) for n in range(1, len(sizes) + 1)] == sizes


def test_slow_events_are_answered_one_by_one(start_worker):
    worker = start_worker("import time\ndef handle(event): time.sleep(0.02)")
    worker.deliver(*[delivery(n, b"x") for n in range(1, 4)])
    counts = []
    while sum(counts) < 3:
        counts.append(wire.COUNT.unpack_from(worker.frame()[1])[0])
    assert counts == [1, 1, 1]


def test_a_failure_carries_the_traceback_of_the_users_code(start_worker):
    worker = start_worker("def handle(event):\n    total = 1\n    return total / event.data\n")
    outcome = worker.run(b"0")
    assert outcome.kind == wire.ATTEMPT_FAILED
    assert outcome.error == "ZeroDivisionError: division by zero"
    assert '  File "<step step0>", line 3, in handle\n    return total / event.data\n' in outcome.trace
    assert "worker.py" not in outcome.trace


def test_chained_exceptions_and_hostile_ones_are_told(start_worker):
    worker = start_worker(
        "class Mean(Exception):\n    def __str__(self): raise RuntimeError('no')\n"
        "def handle(event):\n"
        "    if event.data == 'mean': raise Mean()\n"
        "    try: {}['x']\n    except KeyError as error: raise ValueError('wrapped') from error\n")
    outcome = worker.run(b"x")
    assert outcome.error == "ValueError: wrapped"
    assert "KeyError: 'x'" in outcome.trace and "direct cause" in outcome.trace
    assert worker.run(b"mean", number=2).error == "Mean: <its text could not be made>"
    assert worker.run(b"x", number=3).kind == wire.ATTEMPT_FAILED


def test_a_resumed_run_goes_on_where_it_was(start_worker):
    steps = (("def handle(event): return {'n': 1}", "first"),
             "def handle(event, context):\n    if context.attempt == 1: raise OSError()\n    return None",
             ("def handle(event): return event.data", "last"))
    worker = start_worker(*steps)
    failed = worker.run(b"x")
    assert (failed.kind, failed.step, failed.publications) == (wire.ATTEMPT_FAILED, 1, [])
    done = worker.run(b"x", number=2, step=1, results=failed.results, attempt=2)
    assert done.kind == wire.SUCCEEDED
    assert done.publications == [("first", None, b'{"n":1}'), ("last", None, b'{"n":1}')]


@pytest.mark.parametrize("results", [b"", b"\x01", b"\x02" + bytes(20), b"\x01\xff\xff\xff\xff",
                                     values.pack_finished([(values.TEXT, b"a", b"")] * 2),
                                     values.pack_finished([(values.TEXT, b"a", b"")])[:-1]])
def test_stored_results_that_do_not_fit_are_not_used(start_worker, results):
    worker = start_worker("def handle(event): return 'fresh'", ECHO)
    assert worker.run(b"x", step=1, results=results).publications == [("out", None, b"fresh")]


def test_a_chain_ends_at_its_first_failure(start_worker):
    worker = start_worker("def handle(event): assert event.data != 'bad'")
    kinds = [wire.SUCCEEDED, wire.ATTEMPT_FAILED, wire.NOT_STARTED, wire.SUCCEEDED, wire.NOT_STARTED]
    worker.deliver(delivery(1, b"good", chain=4), delivery(2, b"bad", chain=4), delivery(3, b"good", chain=4),
                   delivery(4, b"good", chain=5), delivery(5, b"good", chain=4))
    found = worker.answers(5)
    assert [found[n].kind for n in range(1, 6)] == kinds


def test_recall_counts_frames(start_worker):
    worker = start_worker("def handle(event): pass")
    worker.page.set_word(_page.Page.RECALLED, 1)
    worker.deliver(delivery(1, b"x"), delivery(2, b"x"))
    worker.deliver(delivery(3, b"x"))
    found = worker.answers(3)
    assert [found[n].kind for n in (1, 2, 3)] == [wire.NOT_STARTED, wire.NOT_STARTED, wire.SUCCEEDED]


def test_memory_error_is_out_of_memory_and_ends_the_worker(start_worker):
    worker = start_worker("def handle(event):\n    if event.data: raise MemoryError('all gone')")
    worker.deliver(delivery(1, b"0"), delivery(2, b"1"), delivery(3, b"0"))
    found = worker.answers(2)
    assert (found[1].kind, found[2].kind) == (wire.SUCCEEDED, wire.OUT_OF_MEMORY)
    assert worker.process.wait(30) == 1
    assert worker.page.word(_page.Page.CAUSE) == _page.Page.CAUSE_MEMORY
    assert worker.page.word(_page.Page.FIRST_SLOT) == 0


def test_what_a_running_event_has_printed_is_in_the_page(start_worker):
    worker = start_worker("import os\ndef handle(event):\n    print('before the end')\n    os._exit(1)")
    worker.deliver(delivery(1, b"x"))
    worker.process.wait(30)
    assert worker.page.log() == b"before the end\n"


def test_prints_outside_of_events_go_to_the_pipe(start_worker, tmp_path):
    with open(tmp_path / "out", "w+b") as out:
        worker = start_worker("print('loading')\ndef handle(event): print('running')", output=out)
        assert worker.run(b"x").log == "running\n"
        assert (tmp_path / "out").read_bytes() == b"loading\n"


def test_async_handlers_generators_and_async_generators(start_worker):
    worker = start_worker(
        ("import asyncio\n"
         "async def many():\n    yield 1\n    await asyncio.sleep(0)\n    yield 2\n"
         "async def one(): return 'one'\n"
         "def three():\n    yield from 'abc'\n"
         "def handle(event): return {'many': many, 'one': one, 'three': three}[event.data]()\n", "out"))
    assert [p[2] for p in worker.run(b"many").publications] == [b"1", b"2"]
    assert [p[2] for p in worker.run(b"one", number=2).publications] == [b"one"]
    assert [p[2] for p in worker.run(b"three", number=3).publications] == [b"a", b"b", b"c"]


def test_several_async_events_overlap_and_one_alone_does_not(start_worker):
    worker = start_worker(
        ("import asyncio\nrunning, most = 0, 0\n"
         "async def handle(event):\n"
         "    global running, most\n    running += 1\n    most = running if event.data == 'alone' else max(most, running)\n"
         "    await asyncio.sleep(0.02)\n    running -= 1\n    return most\n", "out"), concurrency=8)
    worker.deliver(*[delivery(n, b"x") for n in range(1, 7)])
    assert max(int(o.publications[0][2]) for o in worker.answers(6).values()) == 6
    worker.deliver(delivery(11, b"x"), delivery(12, b"alone", flags=wire.ALONE), delivery(13, b"x"))
    assert worker.answers(3)[12].publications[0][2] == b"1"


def test_the_page_names_every_async_event_that_has_begun(start_worker):
    worker = start_worker("import asyncio, os\nhere = 0\nasync def handle(event):\n    global here\n    here += 1\n"
                          "    while here < 3: await asyncio.sleep(0.001)\n    os._exit(3)\n", concurrency=4)
    worker.deliver(*[delivery(n, b"x") for n in (21, 22, 23)])
    assert worker.process.wait(30) == 3
    assert all(worker.page.slot(number) is not None for number in (0, 21, 22, 23))


def test_an_async_event_past_its_timeout_is_cancelled(start_worker):
    worker = start_worker("import asyncio\nasync def handle(event): await asyncio.sleep(event.data)", concurrency=2,
                          timeout=0.2)
    worker.deliver(delivery(1, b"3600"), delivery(2, b"0"))
    found = worker.answers(2)
    assert (found[1].kind, found[2].kind) == (wire.TIMED_OUT, wire.SUCCEEDED)
    assert found[1].error == "timed out: the attempt ran for more than 0.2s (options.timeout)"


COUNTED = ("async def handle(event):\n    open(%r, 'a').write('.')\n    return 'from the first'", None)
ENDS_BADLY = ("import asyncio, os, signal\nasync def handle(event, context):\n    await asyncio.sleep(0)\n"
              "    if context.attempt == 1: %s\n    return event.data", "out")


def two_async_steps(start_worker, tmp_path, end, **more):
    count = tmp_path / "count"
    steps = (COUNTED[0] % str(count), None), (ENDS_BADLY[0] % end, "out")
    return start_worker(*steps, concurrency=2, **more), count


def test_a_time_out_among_several_is_that_of_its_step_and_keeps_the_steps_before(start_worker, tmp_path):
    worker, count = two_async_steps(start_worker, tmp_path, "await asyncio.sleep(3600)", timeout=0.2)
    timed_out = worker.run(b"x")
    assert (timed_out.kind, timed_out.step) == (wire.TIMED_OUT, 1)
    done = worker.run(b"x", number=2, step=timed_out.step, results=timed_out.results, attempt=2)
    assert [p[2] for p in done.publications] == [b"from the first"]
    assert count.read_text() == "."


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), signal.SIGSEGV)"])
def test_a_death_among_several_leaves_the_step_and_the_steps_before_in_the_page(start_worker, tmp_path, end):
    worker, _ = two_async_steps(start_worker, tmp_path, end)
    worker.deliver(delivery(31, b"x"))
    assert worker.process.wait(30) != 0
    slot = worker.page.slot(31)
    assert worker.page.word(slot + _page.Page.STEP) == 1
    assert values.unpack_finished(worker.page.finished(slot)) == [(values.TEXT, b"from the first", b"")]


def test_each_slot_of_several_has_its_own_step(start_worker, tmp_path):
    worker = start_worker("async def handle(event): return event.data * 2",
                          "import asyncio, os\nhere = 0\nasync def handle(event):\n    global here\n    here += 1\n"
                          "    if event.data == 'cc': return 'on'\n"
                          "    while here < 3: await asyncio.sleep(0)\n    await asyncio.sleep(0.01)\n    os._exit(3)",
                          "import asyncio\nasync def handle(event): await asyncio.sleep(3600)", concurrency=3)
    worker.deliver(delivery(1, b"a"), delivery(2, b"b"), delivery(3, b"c"))
    assert worker.process.wait(30) == 3
    for number, results in ((1, [b"aa"]), (2, [b"bb"]), (3, [b"cc", b"on"])):
        slot = worker.page.slot(number)
        assert worker.page.word(slot + _page.Page.STEP) == len(results)
        assert [raw for _, raw, _ in values.unpack_finished(worker.page.finished(slot))] == results


def test_the_environment_is_the_steps_own(start_worker):
    os.environ["DHUB_TEST_SECRET"] = "x"
    try:
        worker = start_worker(("import os\ndef handle(event): return [os.environ.get('A'), 'DHUB_TEST_SECRET' in os.environ,"
                               " 'PATH' in os.environ]", "out"), env=[("A", "1"), ("BAD=NAME", "x"), ("NUL", "\0")])
    finally:
        del os.environ["DHUB_TEST_SECRET"]
    assert json.loads(worker.run(b"x").publications[0][2]) == ["1", False, True]


@pytest.mark.parametrize("script, error", [
    ("def handle(event):\n  x = (", "step 'step0': SyntaxError"),
    ("import nothing_of_that_name\ndef handle(event): pass", "No module named 'nothing_of_that_name'"),
    ("handle = 5", "handle must be a function"),
    ("def handle(a, b, c): pass", "handle(event)"),
    ("def init(context): context.publish('t', 1)\ndef handle(event): pass", "outside of a run"),
    ("raise SystemExit(4)\ndef handle(event): pass", "sys.exit(4)"),
])
def test_what_cannot_be_loaded_says_why(start_worker, script, error):
    worker = start_worker(script)
    assert worker.started == wire.FAILED
    assert error.encode() in worker.start_answer
    assert worker.process.wait(30) == 1


def test_drain_ends_it_as_a_program_ends(start_worker, tmp_path):
    worker = start_worker("import atexit\natexit.register(lambda: open(%r, 'w').write('left'))\n"
                          "def handle(event): pass" % str(tmp_path / "left"))
    worker.deliver(delivery(1, b"x"))
    worker.send(wire.DRAIN)
    assert worker.answers(1)[1].kind == wire.SUCCEEDED
    assert worker.process.wait(30) == 0
    assert (tmp_path / "left").read_text() == "left"


def test_the_end_of_its_socket_ends_it(start_worker):
    worker = start_worker("def handle(event): pass")
    worker.socket.close()
    assert worker.process.wait(30) == 0


def test_decorated_handlers_are_understood(start_worker):
    worker = start_worker(("import functools\n"
                           "def twice(f):\n    @functools.wraps(f)\n    def inner(*args): return f(*args) * 2\n    return inner\n"
                           "@twice\ndef handle(event): return event.data", "out"))
    assert worker.run(b"ab").publications[0][2] == b"abab"


def test_an_interpreter_that_is_too_old_says_so():
    code = "import sys; sys.version_info = (3, 8); sys.path.insert(0, %r); import dhub.template"
    package = os.path.join(os.path.dirname(__file__), "..", "..", "python")
    done = subprocess.run(["/usr/bin/python3", "-I", "-c", code % package], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Python 3.8 is too old; steps need 3.9 or newer" in done.stderr


def test_what_is_finished_is_noted_until_it_is_sent(start_worker, tmp_path):
    # One event blocks the loop just when the other one has ended; which turn that is may change with Python.
    worker = start_worker("import asyncio\nasync def handle(event):\n"
                          "    name, turns = event.data.split()\n    for _ in range(int(turns)): await asyncio.sleep(0)\n"
                          "    if name == 'quick': return\n    open(%r, 'w').close()\n    open(%r).close()\n"
                          % (str(tmp_path / "blocked"), str(tmp_path / "go")), concurrency=2)
    os.mkfifo(tmp_path / "blocked")
    os.mkfifo(tmp_path / "go")
    unsent = 0
    for turns in range(10):
        first = 10 * turns + 1
        worker.deliver(delivery(first, b"quick 0"), delivery(first + 1, b"block %d" % turns))
        open(tmp_path / "blocked").close()
        noted = {number for number in (first, first + 1) if worker.page.slot(number) is not None}
        results = {Outcome(raw).delivery for raw in [worker.page.results()] if raw}
        assert first + 1 in noted
        assert worker.page.word(worker.page.slot(first + 1) + _page.Page.SINCE) > 0
        if first in results:
            unsent += 1
            assert worker.page.word(worker.page.slot(first) + _page.Page.SINCE) == 0, "it is over"
        if first not in noted:
            assert list(worker.answers(1)) == [first], "it was neither noted nor sent"
        open(tmp_path / "go", "w").close()
        worker.answers(2 if first in noted else 1)
    assert unsent > 0, "none was caught between its end and its sending"
