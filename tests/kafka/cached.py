# SPDX-License-Identifier: Apache-2.0
"""What tools/setup-kafka keeps in the user's cache; it is asked to fetch what is missing."""
import hashlib
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
VERSIONS = ("3.9.2", "4.3.1")


def _folder(name, pin):
    """Named after the pin it was made from, exactly as tools/setup-kafka names it."""
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    digest = hashlib.sha256((HERE / pin).read_bytes()).hexdigest()[:12]
    folder = pathlib.Path(home) / "dhub" / f"{name}-{digest}"
    if not folder.is_dir():
        subprocess.run([HERE.parents[1] / "tools" / "setup-kafka"], check=True, stdin=subprocess.DEVNULL)
    return folder


def jars_of(version):
    return _folder(f"kafka-{version}", f"jars/{version}/jars.sha256")


def put_client_on_path():
    """Makes `import kafka` find kafka-python, under whatever interpreter runs the tests."""
    folder = str(_folder("kafka-python", "requirements.txt"))
    if folder not in sys.path:
        sys.path.append(folder)
