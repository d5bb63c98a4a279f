"""What is said where the extra `ray` is not installed, and that nothing else imports Ray."""

import subprocess
import sys

NO_RAY = """
import importlib.util as util
import sys
found = util.find_spec
util.find_spec = lambda name, *rest: None if name == "ray" else found(name, *rest)
import al_loop.round, al_loop.cli, al_loop.engine.backlog
from al_loop.config import Settings
from al_loop.errors import ConfigError
from al_loop.wiring import open_engine
assert type(open_engine(Settings())).__name__ == "LocalEngine"
try:
    open_engine(Settings.model_validate({"engine": {"kind": "ray"}}))
except ConfigError as exc:
    print(exc)
print("imported" if "ray" in sys.modules else "not imported")
"""


def test_asking_for_it_says_how_to_install_it() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", NO_RAY], capture_output=True, text=True, check=True, timeout=60
    )
    said, imported = ended.stdout.splitlines()
    assert "`pip install 'al-loop[ray]'`" in said
    assert imported == "not imported"
