# SPDX-License-Identifier: Apache-2.0
import os
import random
import secrets
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from broker import Broker  # noqa: E402
from cached import VERSIONS  # noqa: E402
from hub import BINARY, kafka_server  # noqa: E402
from properties import LISTENERS  # noqa: E402

KAFKA39, KAFKA4 = VERSIONS


def pytest_report_header(config):
    return f"binary: {BINARY}; DHUB_TEST_SEED={seed_of_run()}"


def seed_of_run():
    os.environ.setdefault("DHUB_TEST_SEED", str(secrets.randbits(32)))
    return int(os.environ["DHUB_TEST_SEED"])


def pytest_configure(config):
    # kafka-python's own affair, 200 times.
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning:kafka.*")
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning:importlib.*")


def _for_the_session(version, directories):
    broker = Broker(version, directories.mktemp(f"kafka-{version}"), LISTENERS, acls=True).start()
    try:
        yield broker
    finally:
        broker.close()


@pytest.fixture(scope="session")
def kafka39(tmp_path_factory):
    """The last Kafka before 4, with every listener and the authorizer. Shared: a test uses topics and groups of its own,
    and ends no shared broker."""
    yield from _for_the_session(KAFKA39, tmp_path_factory)


@pytest.fixture(scope="session")
def kafka4(tmp_path_factory):
    """A current Kafka; else as kafka39."""
    yield from _for_the_session(KAFKA4, tmp_path_factory)


@pytest.fixture(scope="session", params=["kafka39", "kafka4"])
def kafka(request):
    """Both, one after the other."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=VERSIONS)
def version(request):
    """For a test that makes its own broker of each version."""
    return request.param


@pytest.fixture
def brokers(tmp_path):
    """Makes brokers that one test may kill: brokers(version, listeners=..., acls=..., properties=...), started."""
    made = []

    def make(wanted, **options):
        made.append(Broker(wanted, tmp_path / f"kafka-{len(made)}", **options))
        return made[-1].start()

    yield make
    for broker in made:
        broker.close()


@pytest.fixture
def seeded(request):
    """A random source that depends on the run's printed seed and the test's name."""
    return random.Random(f"{seed_of_run()}/{request.node.name}")


@pytest.fixture(scope="session")
def hub(kafka, tmp_path_factory):
    """A server on that broker. Shared, so that it lives through everything: a test has topics and pipelines of its own,
    and ends no shared server."""
    server = kafka_server(tmp_path_factory.mktemp("hub"), kafka).start()
    yield server
    server.close()


@pytest.fixture
def own_hub(kafka, tmp_path):
    """A server on that broker that one test may stop and start."""
    server = kafka_server(tmp_path, kafka).start()
    yield server
    server.close()
