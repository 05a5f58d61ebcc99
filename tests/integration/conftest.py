# SPDX-License-Identifier: Apache-2.0
import os
import random
import secrets
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from dhub_server import BINARY, Server  # noqa: E402
from homes import home_of_run  # noqa: E402

HOME = home_of_run()


def pytest_configure(config):
    config.addinivalue_line("markers", "embedded(reason): about the embedded log, or for it alone; skipped elsewhere")
    # kafka-python's own affair, 200 times.
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning:kafka.*")
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning:importlib.*")


def pytest_report_header(config):
    return f"binary: {BINARY}; topics: {HOME.name}; DHUB_TEST_SEED={seed_of_run()}"


def pytest_runtest_setup(item):
    mark = item.get_closest_marker("embedded")
    if mark and HOME.name != "embedded":
        pytest.skip(f"for the embedded log: {mark.args[0]}")


def seed_of_run():
    os.environ.setdefault("DHUB_TEST_SEED", str(secrets.randbits(32)))
    return int(os.environ["DHUB_TEST_SEED"])


@pytest.fixture
def seeded(request):
    """A random source that depends on the run's printed seed and the test's name."""
    return random.Random(f"{seed_of_run()}/{request.node.name}")


@pytest.fixture
def home():
    """Where the topics of the test live; need(names) makes those that no call of the harness names."""
    yield HOME
    HOME.close()


@pytest.fixture
def servers(tmp_path, home):
    """Makes servers that are killed when the test ends: servers("name", arguments...)."""
    made = []

    def make(name="data", arguments=(), environment=None):
        made.append(Server(tmp_path / name, arguments, environment, home))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def server(servers):
    return servers().start()


@pytest.fixture
def record(tmp_path):
    """A file that steps append to, outside the product: one line an execution, written by one write call."""
    return Record(tmp_path / "executions")


class Record:
    STEP = '''import os
def record(event, context, what):
    fd = os.open(os.environ["RECORD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    key = event.key if isinstance(event.key, str) else ""
    line = f"{what} {event.offset} {key or '-'} {context.attempt} {context.pipeline_version} {os.getpid()}\\n"
    os.write(fd, line.encode())
    os.close(fd)
'''

    def __init__(self, path):
        self.path = path
        path.touch()

    def env(self):
        return {"RECORD": str(self.path)}

    def lines(self):
        """(what, offset, key, attempt, version, pid) in the order of execution."""
        text = self.path.read_text()
        whole = text[:text.rfind("\n") + 1]  # a write that crosses a page becomes visible in two parts
        rows = [line.split(" ") for line in whole.splitlines()]
        return [(r[0], int(r[1]), r[2], int(r[3]), str(r[4]), int(r[5])) for r in rows]
