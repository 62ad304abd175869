"""timm comes with a torchvision that fits torch; the tests' own mend for environments where it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torchvision_mend

from ferclean.errors import FercleanError
from ferclean.recognition.timm_import import the_timm

ROOT = Path(__file__).parents[2]


def test_a_torchvision_for_another_torch_is_one_line_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "timm":
                raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(FercleanError, match=r"was not built for torch .*pip install --force-reinstall torch torchvisi"):
        the_timm()


def test_a_network_of_our_own_needs_no_timm() -> None:
    code = (
        "import sys; from ferclean.recognition.backbones import make_backbone; make_backbone('slim');"
        "print(sorted({'timm', 'torchvision'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_the_mend_lets_timm_be_imported_in_a_fresh_process() -> None:
    code = "from tests import torchvision_mend as m; m.install(); m.install(); import timm, torchvision"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


def test_a_pair_that_does_not_fit_gets_both_operators_once_and_another_none(monkeypatch: pytest.MonkeyPatch) -> None:
    defined: list[str] = []

    class Library:
        def __init__(self, namespace: str, kind: str) -> None:
            assert (namespace, kind) == ("torchvision", "FRAGMENT")

        def define(self, schema: str) -> None:
            defined.append(schema.split("(")[0])

    finders = [finder for finder in sys.meta_path if type(finder).__name__ != "BeforeTorchvision"]
    monkeypatch.setattr(sys, "meta_path", finders)  # the real one waits for the real import
    monkeypatch.setattr(torchvision_mend, "_kept", [])
    monkeypatch.setattr(torch.library, "Library", Library)
    monkeypatch.setattr(torchvision_mend, "_compiled_part_loads", lambda folder: True)
    assert not torchvision_mend.declare()
    monkeypatch.setattr(torchvision_mend, "_compiled_part_loads", lambda folder: False)
    assert torchvision_mend.declare()
    assert not torchvision_mend.declare()
    assert defined == ["nms", "qnms"]


def test_a_library_that_cannot_load_counts_as_not_loading(tmp_path: Path) -> None:
    for name in ("_C.so", "_C_stable.so"):
        (tmp_path / name).write_bytes(b"not a library")
    assert not torchvision_mend._compiled_part_loads(tmp_path)
    assert not torchvision_mend._compiled_part_loads(tmp_path / "absent")
