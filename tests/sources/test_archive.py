"""Archives are unpacked below their folder, file by file and counted, or refused with the entry's name."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ferclean.errors import BadDataError
from ferclean.sources import admission
from ferclean.sources.admission import Caps
from ferclean.sources.archive import SUFFIXES, kind_of, unpack

KINDS = [".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"]
MODES = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}


def packed(file: Path, entries: list[tuple[str, bytes]]) -> Path:
    """An archive of these (name, content), in order; a name may come twice, and one that ends with / is a folder."""
    if file.suffix == ".zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a name that comes twice
            for name, content in entries:
                info = zipfile.ZipInfo(name)
                info.filename = info.orig_filename = name  # it would cut the name at a NUL
                out.writestr(info, content, zipfile.ZIP_DEFLATED)
        return file
    mode = next(mode for suffix, mode in reversed(MODES.items()) if file.name.endswith(suffix))
    with tarfile.open(file, mode) as out:  # type: ignore[call-overload]
        for name, content in entries:
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            member.size = len(content)
            out.addfile(member, io.BytesIO(content))
    return file


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder; anything else that lies there is an error."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            assert not (Path(parent) / name).is_symlink()
        for name in files:
            assert stat.S_ISREG((Path(parent) / name).lstat().st_mode)
            found[(Path(parent) / name).relative_to(folder).as_posix()] = (Path(parent) / name).read_bytes()
    return found


def refused(archive: Path, caps: Caps | None = None) -> str:
    """What is said of an archive that is refused; nothing lies beside the folder that it was unpacked into."""
    target = Path(tempfile.mkdtemp(dir=archive.parent)) / "inside"
    target.mkdir()
    with pytest.raises(BadDataError) as refusal:
        unpack(archive, target, caps=caps or Caps())
    assert os.listdir(target.parent) == ["inside"]
    tree(target)
    shutil.rmtree(target.parent)
    return str(refusal.value)


@pytest.mark.parametrize("suffix", KINDS)
def test_files_come_out_as_they_went_in_and_clutter_stays_behind(tmp_path: Path, suffix: str) -> None:
    files = {"set/a.jpg": b"1" * 3_000_000, "set/train/happy/\u00e9 \U0001f600\n.png": b"", "set/notes.zip": b"PK\3\4"}
    clutter = ["__MACOSX/set/._a.jpg", "set/.DS_Store", "set/train/Thumbs.db"]
    entries = [("set/", b""), *files.items(), *((name, b"x") for name in clutter)]
    (tmp_path / "out").mkdir()
    came = unpack(packed(tmp_path / f"s{suffix}", entries), tmp_path / "out", caps=Caps())
    assert tree(tmp_path / "out") == files
    assert (came.files, came.left_out, came.entries) == (3, 3, 7)


def test_an_ending_says_what_is_unpacked() -> None:
    assert set(KINDS) <= {*SUFFIXES}
    assert [kind_of(f"A{suffix.upper()}") for suffix in SUFFIXES] == ["zip", *["tar"] * (len(SUFFIXES) - 1)]
    assert {kind_of(name) for name in ("a.csv", "a.npz", "a.csv.gz", "zip", "a.zip.csv", "a.parquet")} == {None}
    with pytest.raises(BadDataError, match=r"unpack it, or pack it as \.zip or \.tar\.gz"):
        kind_of("set.7z")


HOSTILE = {
    "../out.jpg": "leads out", "a/../../out.jpg": "leads out", "a/..": "leads out", "/etc/out.jpg": "absolute name",
    "//server/out.jpg": "absolute name", "..\\out.jpg": "backslash", "a\\out.jpg": "backslash",
    "C:/out.jpg": "drive letter", "c:out.jpg": "drive letter", "a" * 256: "longer than 255",
    "/".join(["ab"] * 400): "longer than 1000",
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_lead_elsewhere_are_refused_by_name(tmp_path: Path, suffix: str, name: str) -> None:
    said = refused(packed(tmp_path / f"s{suffix}", [("good/a.jpg", b"1"), (name, b"2")]))
    assert HOSTILE[name] in said
    assert repr(name)[:100].rstrip("'") in said
    assert "nothing of it was taken in" in said


NAMES = st.lists(
    st.text(st.sampled_from("aA.\u00e9\u0301\u0130/\\: \n\0\udc80c") | st.characters(), max_size=12)
    | st.sampled_from(["..", "../a", "a", "A", "a/b", "a/B", "./a", "/a", "C:a", "a/", "b//c", "e\u0301", "\u00e9"]),
    min_size=1, max_size=4,
)  # fmt: skip


@settings(max_examples=150)
@given(names=NAMES, suffix=st.sampled_from([".zip", ".tar"]))
@example(names=["a", "a/b"], suffix=".zip")
@example(names=["a/b", "a"], suffix=".tar")
@example(names=["\u00df", "SS"], suffix=".zip")
def test_whatever_the_names_all_come_out_below_the_folder_or_none_is_taken(names: list[str], suffix: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        entries = [(one, f"{place}".encode() if not one.endswith("/") else b"") for place, one in enumerate(names)]
        try:
            archive = packed(Path(name) / f"s{suffix}", entries)
        except (ValueError, OSError):  # a name that cannot even be packed
            return
        target = Path(name) / "in/inside"
        target.mkdir(parents=True)
        try:
            came = unpack(archive, target, caps=Caps())
        except BadDataError:
            tree(target)
        else:
            files = tree(target)
            assert len({admission._same(one) for one in files}) == came.files == len(files)
            assert came.entries == len(names)
        assert os.listdir(target.parent) == ["inside"]
        assert sorted(os.listdir(name)) == ["in", f"s{suffix}"]


TWICE = {
    "twice": ("a.jpg", "a.jpg"), "dotted": ("a.jpg", "./a.jpg"), "case": ("A.JPG", "a.jpg"),
    "form": ("\u00e9.jpg", "e\u0301.jpg"), "below a file": ("a", "a/b"), "folder and file": ("a/b", "A"),
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
@pytest.mark.parametrize("case", TWICE)
def test_a_name_comes_once_whatever_the_case_or_form_of_its_letters(tmp_path: Path, suffix: str, case: str) -> None:
    archive = packed(tmp_path / f"s{suffix}", [(name, b"1") for name in TWICE[case]])
    assert repr(TWICE[case][1]) in refused(archive)


@pytest.mark.parametrize(("suffix", "name", "why"), [
    (".zip", "b/", "is a folder by its name, and has content"),
    (".zip", ".", "is a file under the name of the folder itself"),
    (".tar", "./.", "is a file under the name of the folder itself"),
])  # fmt: skip
def test_content_that_can_lie_nowhere_is_never_dropped(tmp_path: Path, suffix: str, name: str, why: str) -> None:
    assert f"the entry {name!r} {why}" in refused(packed(tmp_path / f"s{suffix}", [("a.jpg", b"1"), (name, b"2")]))


# ---- links and devices


def _typed(kind: bytes, link: str = "/etc/passwd") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        with tarfile.open(folder / "s.tar", "w") as out:
            first = tarfile.TarInfo("a.jpg")
            out.addfile(first)
            member = tarfile.TarInfo("b.jpg")
            member.type, member.linkname = kind, link
            out.addfile(member)
        return folder / "s.tar"

    return make


def _zipped(mode: int) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "s.zip", "w") as out:
            out.writestr("a.jpg", b"1")
            info = zipfile.ZipInfo("b.jpg")
            info.external_attr = (mode | 0o777) << 16
            out.writestr(info, "/etc/passwd")
        return folder / "s.zip"

    return make


SPECIAL = {
    "tar: symbolic link": (_typed(tarfile.SYMTYPE), "is a link"),
    "tar: hard link": (_typed(tarfile.LNKTYPE, "a.jpg"), "is a link"),
    "tar: FIFO": (_typed(tarfile.FIFOTYPE), "is a device or pipe"),
    "tar: character device": (_typed(tarfile.CHRTYPE), "is a device or pipe"),
    "tar: block device": (_typed(tarfile.BLKTYPE), "is a device or pipe"),
    "tar: sparse": (_typed(tarfile.GNUTYPE_SPARSE), "is sparse"),
    "tar: an unknown kind": (_typed(b"V"), "is no plain file or folder"),
    "zip: symbolic link": (_zipped(stat.S_IFLNK), "is a link"),
    "zip: FIFO": (_zipped(stat.S_IFIFO), "is a device or pipe"),
    "zip: block device": (_zipped(stat.S_IFBLK), "is a device or pipe"),
}


@pytest.mark.parametrize("case", SPECIAL)
def test_links_devices_and_pipes_are_refused_by_name(tmp_path: Path, case: str) -> None:
    make, why = SPECIAL[case]
    said = refused(make(tmp_path))
    assert f"the entry 'b.jpg' {why}" in said
    assert "unpack it yourself" in said
    assert ("without -S" in said) == ("sparse" in case)


def test_a_link_below_which_a_file_comes_writes_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    with tarfile.open(tmp_path / "s.tar", "w") as out:
        link = tarfile.TarInfo("d")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "victim")
        out.addfile(link)
        file = tarfile.TarInfo("d/a.jpg")
        file.size = 1
        out.addfile(file, io.BytesIO(b"1"))
    assert "'d' is a link" in refused(tmp_path / "s.tar")
    assert os.listdir(tmp_path / "victim") == []


# ---- what is damaged, encrypted, or not what it says


def _patched(archive: Path, old: bytes, new: bytes, count: int = 1) -> Path:
    data = archive.read_bytes()
    assert data.count(old) >= count
    archive.write_bytes(data.replace(old, new))
    return archive


def test_an_encrypted_zip_says_how_to_go_on(tmp_path: Path) -> None:
    archive = packed(tmp_path / "s.zip", [("a.jpg", b"1")])
    data = bytearray(archive.read_bytes())
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + place] |= 1
    archive.write_bytes(data)
    assert "'a.jpg' is encrypted; nothing of it was taken in: unpack it with its password" in refused(archive)


def test_a_method_that_is_not_read_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "s.zip", "w", zipfile.ZIP_LZMA) as out:
        out.writestr("a.jpg", b"1" * 100)
    assert "a method that is not read here (14)" in refused(tmp_path / "s.zip")


@pytest.mark.parametrize("suffix", KINDS)
def test_a_cut_archive_is_told_wherever_it_was_cut(tmp_path: Path, suffix: str) -> None:
    content = os.urandom(3000)
    whole = packed(tmp_path / f"w{suffix}", [(f"{number}.jpg", content) for number in range(4)]).read_bytes()
    last = len(whole) - (20 * 512 if suffix == ".tar" else 1)  # a tar is filled up with empty blocks
    for at in {1, 100, 511, 512, 513, 3584, 4096, len(whole) // 2, len(whole) - 10_000, last} & {*range(1, last + 1)}:
        (tmp_path / f"s{suffix}").write_bytes(whole[:at])
        assert "download or copy it again" in refused(tmp_path / f"s{suffix}"), at


@pytest.mark.parametrize("suffix", KINDS)
def test_damage_in_the_middle_is_never_taken_for_the_end(tmp_path: Path, suffix: str) -> None:
    entries = [(f"{number}.jpg", os.urandom(600)) for number in range(6)]
    whole = packed(tmp_path / f"s{suffix}", entries).read_bytes()
    for at in range(600, len(whole) * 3 // 5 if suffix != ".tar" else 6 * 1536, 331):
        broken = bytearray(whole)
        broken[at] ^= 0x55
        (tmp_path / f"s{suffix}").write_bytes(broken)
        target = tmp_path / "out"
        target.mkdir()
        told = None
        try:
            unpack(tmp_path / f"s{suffix}", target, caps=Caps())
        except BadDataError as error:
            told = str(error)
        if told is None:  # a date, or, in a plain tar, which has no checksum of it, what is in a file
            assert suffix in (".zip", ".tar")
            assert len(tree(target)) == 6
            assert suffix == ".tar" or tree(target) == dict(entries)
        else:
            assert "again" in told
        shutil.rmtree(target)


@pytest.mark.parametrize("name", ["s.zip", "s.tar", "s.tar.gz", "s.tar.xz"])
@pytest.mark.parametrize("data", [b"", b"<!DOCTYPE html><p>Sign in</p>" * 100, os.urandom(5000), bytes(512)])
def test_what_only_has_the_name_of_an_archive_is_told(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert f"{name} " in refused(tmp_path / name)


@pytest.mark.parametrize("suffix", KINDS)
def test_an_archive_without_a_file_is_told(tmp_path: Path, suffix: str) -> None:
    assert "holds no file" in refused(packed(tmp_path / f"s{suffix}", [("a/", b""), (".DS_Store", b"x")]))


def test_names_that_are_no_utf8_are_refused_and_utf8_without_a_flag_is_read(tmp_path: Path) -> None:
    archive = packed(tmp_path / "s.zip", [("xx.jpg", b"1")])
    assert "is not UTF-8" in refused(_patched(archive, b"xx.jpg", b"\xff\xfe.jpg", 2))
    target = tmp_path / "out"
    target.mkdir()
    unpack(_patched(archive, b"\xff\xfe.jpg", "\u00e9.jpg".encode(), 2), target, caps=Caps())
    assert list(tree(target)) == ["\u00e9.jpg"]
    flagged = packed(tmp_path / "f.zip", [("\u00e9x.jpg", b"1")])
    assert "is not UTF-8" in refused(_patched(flagged, "\u00e9".encode(), b"\xff\xfe", 2))
    assert "is not UTF-8" in refused(packed(tmp_path / "s.tar", [("\udcff.jpg", b"1")]))


def test_a_name_that_the_directory_calls_otherwise_is_refused(tmp_path: Path) -> None:
    archive = packed(tmp_path / "s.zip", [("good.jpg", b"1")])
    data = archive.read_bytes()
    at = data.index(b"good.jpg")
    archive.write_bytes(data[:at] + b"evil.jpg" + data[at + 8 :])
    assert "differ" in refused(archive)


# ---- more than is let in


def test_the_caps_are_told_with_the_option_that_raises_them(tmp_path: Path) -> None:
    for suffix in (".zip", ".tar.gz"):
        archive = packed(tmp_path / f"s{suffix}", [(f"{number}.jpg", bytes(20_000)) for number in range(6)])
        for caps, option in (
            (Caps(entries=5), "raise --max-entries"),
            (Caps(gigabytes=1e-4), "raise --max-gb"),
            (Caps(file_gigabytes=1e-5), "raise --max-file-gb"),
        ):
            said = refused(archive, caps)
            assert option in said
            assert "s.zip" in said or "s.tar.gz" in said
        for enough in (Caps(entries=6, gigabytes=2e-4, file_gigabytes=2e-5), Caps()):
            (tmp_path / "out").mkdir()
            assert unpack(archive, tmp_path / "out", caps=enough).files == 6
            shutil.rmtree(tmp_path / "out")


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".tar.xz"])
def test_a_bomb_is_stopped_while_it_unfolds(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "FLOOR", 1_000_000)
    archive = packed(tmp_path / f"s{suffix}", [("a/bomb.bmp", bytes(6_000_000))])
    assert "raise --max-ratio" in refused(archive)
    hidden = packed(tmp_path / f"h{suffix}", [("a.jpg", b"1"), ("__MACOSX/bomb", bytes(6_000_000))])
    if suffix != ".zip":  # of a zip it is never opened
        assert "raise --max-ratio" in refused(hidden)
    (tmp_path / "out").mkdir()
    assert unpack(archive, tmp_path / "out", caps=Caps(ratio=50_000)).bytes >= 6_000_000


def test_a_zip_that_lies_about_a_size_is_refused(tmp_path: Path) -> None:
    for declared in (10, 5000):
        archive = packed(tmp_path / "s.zip", [("a.jpg", bytes(1000))])
        data = bytearray(archive.read_bytes())
        for signature, place in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
            at = data.index(signature) + place
            data[at : at + 4] = declared.to_bytes(4, "little")
        archive.write_bytes(data)
        assert "is no whole zip archive" in refused(archive)


def test_entries_that_share_their_bytes_are_counted_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the best of zip bombs: a small file whose directory names one piece many times over."""
    monkeypatch.setattr(admission, "FLOOR", 1_000_000)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    content = bytes(200_000)
    piece = packer.compress(content) + packer.flush()
    head = b"\x14\0\0\0\x08\0\0\0\0\0" + zlib.crc32(content).to_bytes(4, "little")
    sizes = len(piece).to_bytes(4, "little") + len(content).to_bytes(4, "little") + b"\x01\0\0\0"
    body = b"PK\3\4" + head + sizes + b"a" + piece
    listed = b"PK\1\2\x14\0" + head + sizes + bytes(14) + b"a"
    end = b"PK\5\6" + bytes(4) + (40).to_bytes(2, "little") * 2 + (40 * len(listed)).to_bytes(4, "little")
    (tmp_path / "s.zip").write_bytes(body + listed * 40 + end + len(body).to_bytes(4, "little") + bytes(2))
    assert "comes twice" in refused(tmp_path / "s.zip")
    assert "raise --max-entries" in refused(tmp_path / "s.zip", Caps(entries=39))


def test_headers_without_end_are_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as out:
        member = tarfile.TarInfo("a.jpg")
        member.pax_headers = {"comment": "x" * 3_000_000}
        out.addfile(member)
    assert "longer than 1,048,576 bytes" in refused(tmp_path / "s.tar.gz")
    with tarfile.open(tmp_path / "s.tar", "w", format=tarfile.GNU_FORMAT) as out:
        out.addfile(tarfile.TarInfo("n" * 2_000_000))
    assert "longer than 1,048,576 bytes" in refused(tmp_path / "s.tar")


def test_a_size_below_zero_is_refused(tmp_path: Path) -> None:
    archive = packed(tmp_path / "s.tar", [("a.jpg", b"1"), ("b.jpg", b"1")])
    data = bytearray(archive.read_bytes())
    at = data.index(b"b.jpg")
    data[at + 124 : at + 136] = b"\xff" * 11 + b"\0"  # base 256, negative
    data[at + 148 : at + 156] = b" " * 8
    data[at + 148 : at + 156] = f"{sum(data[at : at + 512]):06o}\0 ".encode()
    archive.write_bytes(data)
    assert "again" in refused(archive)
