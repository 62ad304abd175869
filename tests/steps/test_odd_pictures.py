"""Odd pictures, each a file in a class's folder: converted as what they show, or quarantined with the reason."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from ferclean.recognition.images import decode
from ferclean.steps.ingest import ingest
from ferclean.store.samples import get_samples
from ferclean.store.workspace import Workspace
from tests.made_sets import image_bytes, pixels


def odd_files(folder: Path) -> dict[str, str | None]:
    """Write odd files; the value is the start of the reason they are quarantined with, None when they are fine."""

    def save(name: str, image: Image.Image, kind: str, **options: object) -> None:
        image.save(folder / name, kind, **options)

    base = Image.fromarray(pixels(0))
    (folder / "zero.jpg").write_bytes(b"")
    (folder / "truncated.jpg").write_bytes(image_bytes(0, side=200)[:700])
    (folder / "text.jpg").write_text("I am no picture")
    save("tiny.png", Image.new("RGB", (1, 1)), "PNG")
    save("strip.png", Image.new("RGB", (2000, 3)), "PNG")
    save("animated.gif", base.convert("P"), "GIF", save_all=True, append_images=[base.rotate(90).convert("P")])
    save("fine.webp", base, "WEBP")
    save("cmyk.jpg", base.convert("CMYK"), "JPEG")
    save("deep.png", Image.fromarray(pixels(0, grey=True).astype(np.uint16) * 257), "PNG")
    save("palette.png", base.quantize(8), "PNG")
    save("bit.png", base.convert("1"), "PNG")
    save("alpha.png", base.convert("RGBA"), "PNG")
    save("huge.png", Image.new("1", (9000, 9000)), "PNG")
    declared = bytearray(image_bytes(0, "PNG"))
    declared[16:24] = (60_000).to_bytes(4, "big") * 2
    declared[29:33] = zlib.crc32(declared[12:29]).to_bytes(4, "big")
    (folder / "declared.png").write_bytes(declared)
    (folder / "truncated.png").write_bytes(image_bytes(0, "PNG")[:600])
    (folder / "drawing.png").write_text('<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd"/></svg>')
    (folder / "page.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 24 24\n")
    grey = pixels(0, grey=True).astype(np.float32)
    save("grey.jpg", base.convert("L"), "JPEG")
    save("grey_alpha.png", base.convert("LA"), "PNG")
    save("animated.webp", base, "WEBP", save_all=True, append_images=[base.rotate(90)])
    save("animated.png", base, "PNG", save_all=True, append_images=[base.rotate(90)])
    save("pages.tif", base, "TIFF", save_all=True, append_images=[base.rotate(90)])
    save("float.tif", Image.fromarray(grey / 255), "TIFF")
    save("not_numbers.tif", Image.fromarray(np.full_like(grey, np.nan)), "TIFF")
    save("deep.tif", Image.fromarray(grey.astype(np.uint16) * 257), "TIFF")
    turned = Image.Exif()
    turned[0x0112] = 6
    save("turned.jpg", base, "JPEG", exif=turned)
    save("odd_exif.jpg", base, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    return {
        "declared.png": "image: too many pixels",
        "truncated.png": "image: cannot be decoded",
        "drawing.png": "image: not an image in a known format",
        "page.jpg": "image: not an image in a known format",
        "not_numbers.tif": "image: holds pixels that are not numbers",
        "zero.jpg": "image: empty",
        "truncated.jpg": "image: cannot be decoded",
        "text.jpg": "image: not an image in a known format",
        "tiny.png": "image: too small (1x1",
        "strip.png": "image: too small (2000x3",
        "huge.png": "image: too many pixels (9000x9000",
    } | dict.fromkeys(
        ["animated.gif", "fine.webp", "cmyk.jpg", "deep.png", "palette.png", "bit.png", "alpha.png", "grey.jpg",
         "grey_alpha.png", "animated.webp", "animated.png", "pages.tif", "float.tif", "deep.tif", "turned.jpg",
         "odd_exif.jpg"], None
    )  # fmt: skip


def test_every_odd_file_is_converted_or_quarantined_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "set/happy").mkdir(parents=True)
    expected = odd_files(tmp_path / "set/happy")
    ws = Workspace.create(tmp_path / "W")
    summary = ingest(ws, "image_folder", tmp_path / "set")
    table = get_samples(ws, include_quarantined=True).set_index("source_key")
    found = {key.removeprefix("happy/"): reason for key, reason in table["quarantine_reason"].items()}
    assert found.keys() == expected.keys()
    for name, reason in expected.items():
        assert (found[name] is None) if reason is None else found[name].startswith(reason), (name, found[name])
    assert summary.quarantined == {
        "image: not an image in a known format": 3, "image: cannot be decoded": 2, "image: too many pixels": 2,
        "image: too small": 2, "image: empty": 1, "image: holds pixels that are not numbers": 1,
    }  # fmt: skip
    assert summary.added == len(expected)
    assert summary.by_class["train"]["happiness"] == sum(reason is None for reason in expected.values())
    colour, grey = (
        decode(image_bytes(0, "PNG")).mean(2),
        pixels(0, grey=True),
    )  # what is converted shows the picture, upright, and its first frame
    for name in (name for name, reason in expected.items() if reason is None and name != "bit.png"):
        shown = decode((tmp_path / "set/happy" / name).read_bytes())
        shown = np.rot90(shown) if name == "turned.jpg" else shown
        first = grey if name in ("deep.png", "deep.tif", "float.tif") else colour
        assert np.corrcoef(shown.mean(2).ravel(), first.ravel())[0, 1] > 0.5, name
