"""Bad and odd image bytes: each is shown upright in RGB or refused with a reason, never with a warning.

Every picture here is made by the test itself.
"""

from __future__ import annotations

import io
import struct
import threading
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from ferclean.recognition import images
from ferclean.recognition.images import UnreadableImageError, decode, inspect, load_pixels, thumbnails


def picture(width: int = 24, height: int = 16) -> np.ndarray:
    """(H, W, 3): a red ramp to the right, a green ramp downwards."""
    ramp = np.zeros((height, width, 3), dtype=np.uint8)
    ramp[..., 0] = np.linspace(0, 255, width)[None]
    ramp[..., 1] = np.linspace(0, 255, height)[:, None]
    return ramp


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    target = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(target, kind, **options)
    return target.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_come_back_exactly(kind: str) -> None:
    assert np.array_equal(decode(encoded(picture(), kind)), picture())


def test_webp_and_jpeg_come_back_nearly() -> None:
    for kind in ("WEBP", "JPEG"):
        assert np.abs(decode(encoded(picture(), kind, quality=95)).astype(int) - picture()).mean() < 8


def test_a_decoded_array_is_writable_and_its_own() -> None:
    first = decode(encoded(picture()))
    first[:] = 0
    assert decode(encoded(picture())).any()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"just a text, named .jpg", "not an image"),
        (b"\x00" * 100, "not an image"),
        (encoded(picture(200, 200), "JPEG")[:900], "cannot be decoded"),
        (encoded(picture(200, 200))[:150], "cannot be decoded"),
        (encoded(picture(), "GIF")[:-60], "cannot be decoded"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "not an image"),
    ],
    ids=["zero-byte", "text", "zeros", "truncated-jpeg", "truncated-png", "truncated-gif", "eps"],
)
def test_what_is_no_image_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImageError, match=reason) as caught:
        decode(data)
    assert caught.value.reason == str(caught.value)


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises width x height, with next to no data."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8_001, 12_000, 60_000])
def test_a_decompression_bomb_is_refused_from_its_header(side: int) -> None:
    with pytest.raises(UnreadableImageError, match="too many pixels"):
        decode(bomb(side, side))


def test_the_pixel_limit_is_inclusive() -> None:
    assert decode(encoded(picture()), max_pixels=24 * 16).shape == (16, 24, 3)
    with pytest.raises(UnreadableImageError, match="24x16"):
        decode(encoded(picture()), max_pixels=24 * 16 - 1)


def test_pillows_own_limit_is_left_as_it_was() -> None:
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(UnreadableImageError):
        decode(bomb(12_000, 12_000))
    assert before == Image.MAX_IMAGE_PIXELS


def test_only_the_first_frame_of_an_animation_is_shown() -> None:
    frames = [Image.new("RGB", (12, 12), color) for color in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(data)[0, 0].tolist() == [255, 0, 0]


def test_sixteen_bit_grey_keeps_its_brightness() -> None:
    ramp = np.linspace(0, 65535, 256).reshape(16, 16).astype(np.uint16)
    shown = decode(encoded(Image.fromarray(ramp)))
    assert np.abs(shown[..., 0].ravel().astype(int) - np.arange(256)).max() <= 1


def test_thirty_two_bit_and_float_greys_are_scaled() -> None:
    grey = np.arange(256, dtype=np.int32).reshape(16, 16)
    assert np.array_equal(decode(encoded(Image.fromarray(grey), "TIFF"))[..., 0], grey)
    unit = (grey / 255).astype(np.float32)
    assert np.array_equal(decode(encoded(Image.fromarray(unit), "TIFF"))[..., 0], grey)
    wide = (grey * 257).astype(np.float32)
    assert np.array_equal(decode(encoded(Image.fromarray(wide), "TIFF"))[..., 0], grey)


def test_float_pixels_that_are_no_numbers_are_refused() -> None:
    broken = np.full((9, 9), np.nan, dtype=np.float32)
    with pytest.raises(UnreadableImageError, match="not numbers"):
        decode(encoded(Image.fromarray(broken), "TIFF"))


def test_one_bit_palette_and_cmyk_become_rgb() -> None:
    assert decode(encoded(Image.new("1", (9, 9), 1))).min() == 255
    palette = Image.fromarray(picture()).quantize(16)
    assert np.array_equal(decode(encoded(palette)), np.asarray(palette.convert("RGB")))
    cmyk = decode(encoded(Image.new("CMYK", (9, 9), (0, 255, 255, 0)), "JPEG", quality=95))
    assert cmyk[4, 4, 0] > 200
    assert cmyk[4, 4, 1:].max() < 60


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white(mode: str) -> None:
    clear = Image.new(mode, (9, 9), (0,) * len(mode))
    assert decode(encoded(clear)).min() == 255


def test_a_transparent_palette_is_laid_on_white_without_a_warning() -> None:
    image = Image.new("P", (9, 9), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((0, 0), 1)
    shown = decode(encoded(image, "PNG", transparency=b"\x00\xff"))
    assert shown[4, 4].tolist() == [255, 255, 255]
    assert shown[0, 0].tolist() == [200, 100, 50]


def turned(upright: Image.Image, orientation: int) -> Image.Image:
    """What a camera stores so that a viewer that obeys `orientation` shows `upright`."""
    inverse = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    return upright if orientation == 1 else upright.transpose(Image.Transpose(inverse[orientation]))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_shown_upright(kind: str, orientation: int) -> None:
    upright = Image.fromarray(picture())
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, object] = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(turned(upright, orientation), kind, exif=exif, **options)
    assert np.array_equal(decode(data), picture())
    assert (inspect(data).width, inspect(data).height) == (24, 16)
    fitted = load_pixels([data], size=16)
    assert np.array_equal(fitted, load_pixels([encoded(picture())], size=16))


@pytest.mark.parametrize(
    "exif",
    [b"Exif\x00\x00garbage", b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff", b"Exif\x00\x00MM\x00*\xff\xff\xff\xff"],
)
def test_broken_exif_does_not_abort(exif: bytes) -> None:
    data = encoded(picture(), "JPEG", quality=95, exif=exif)
    assert decode(data).shape == (16, 24, 3)


def test_an_orientation_that_does_not_exist_counts_as_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 77
    assert np.array_equal(decode(encoded(picture(), exif=exif)), picture())


def test_facts_tell_size_mode_format_and_contrast() -> None:
    facts = inspect(encoded(Image.new("L", (10, 20), 100)))
    assert (facts.width, facts.height, facts.mode, facts.format) == (10, 20, "L", "PNG")
    assert facts.contrast == 0
    assert images.is_blank(facts.contrast)
    half = np.zeros((10, 10), dtype=np.uint8)
    half[:5] = 255
    assert inspect(encoded(half)).contrast == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("size", "reason"), [((1, 1), "too small"), ((7, 90), "too small"), ((3, 2000), "too small"), ((9, 2000), "strip")]
)
def test_images_without_room_for_a_face_are_named(size: tuple[int, int], reason: str) -> None:
    found = images.unusable_reason(inspect(encoded(Image.new("RGB", size))))
    assert found is not None
    assert reason in found
    assert f"{size[0]}x{size[1]}" in found


def test_ordinary_sizes_are_usable() -> None:
    for size in ((8, 8), (8, 40), (100, 100)):
        assert images.unusable_reason(inspect(encoded(Image.new("RGB", size)))) is None


def face(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6), dtype=np.uint8))
    return np.asarray(coarse.resize((48, 48), Image.Resampling.BICUBIC))


def test_pixels_are_loaded_in_order_and_grey_stays_exact(tmp_path) -> None:
    faces = [face(seed) for seed in range(70)]
    for index, one in enumerate(faces):
        (tmp_path / f"{index}.png").write_bytes(encoded(one))
    paths = [tmp_path / f"{index}.png" for index in range(70)]
    pixels = load_pixels(paths, size=48, channels=1)
    assert pixels.shape == (70, 1, 48, 48)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels[:, 0], np.stack(faces))
    assert np.array_equal(pixels, load_pixels([str(path) for path in paths], size=48, channels=1, workers=1))
    callables = [path.read_bytes for path in paths[:3]]
    assert np.array_equal(load_pixels(callables, size=48)[:, 1], np.stack(faces[:3]))


def test_the_middle_square_is_kept_and_proportions_too() -> None:
    wide = np.zeros((20, 60, 3), dtype=np.uint8)
    wide[:, 20:40] = 255
    assert load_pixels([encoded(wide)], size=20).min() == 255
    assert load_pixels([encoded(wide)], size=10)[0, 0, 5, 5] == 255


def test_resizing_is_antialiased() -> None:
    stripes = np.zeros((64, 64), dtype=np.uint8)
    stripes[:, ::2] = 255
    small = load_pixels([encoded(stripes)], size=16, channels=1)
    assert abs(int(small.mean()) - 127) < 3
    assert small[0, 0, :, 2:-2].std() < 5


def test_a_file_that_broke_after_ingest_is_named(tmp_path) -> None:
    (tmp_path / "gone.png").write_bytes(b"")
    for path in (tmp_path / "gone.png", tmp_path / "never.png"):
        with pytest.raises(UnreadableImageError, match=path.name):
            load_pixels([path], size=8)


def test_thumbnails_correlate_copies_and_not_others() -> None:
    one = face(1)
    others = [one, (one * 0.7).astype(np.uint8), np.clip(one.astype(int) + 20, 0, 255).astype(np.uint8), face(2)]
    flat = np.full_like(one, 128)
    small = thumbnails(np.stack([*others, flat])[:, None])
    assert small.shape == (5, 256)
    assert small.dtype == np.float32
    similarity = small @ small.T
    assert similarity[0, 1] > 0.99
    assert similarity[0, 2] > 0.95
    assert similarity[0, 3] < 0.7
    assert not small[4].any()
    assert np.allclose(np.diag(similarity)[:4], 1, atol=1e-5)
    assert np.allclose(small[:4].mean(axis=1), 0, atol=1e-6)


@pytest.mark.parametrize("side", [9, 16, 40, 48, 100])
def test_thumbnails_average_areas_of_any_size(side: int) -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, side), (side, side)).astype(np.uint8)
    small = thumbnails(np.stack([ramp] * 3)[None]).reshape(16, 16)
    assert np.allclose(small, small[0], atol=1e-6)
    assert (np.diff(small[0]) > -1e-6).all()
    assert np.allclose(small, thumbnails(ramp[None, None]).reshape(16, 16), atol=1e-3)


def test_decoding_in_many_threads_leaves_the_warning_filters_alone() -> None:
    before = list(warnings.filters)
    data = encoded(picture(), "JPEG", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff")
    threads = [threading.Thread(target=lambda: [decode(data) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


def test_random_damage_never_escapes_as_another_error() -> None:
    rng = np.random.default_rng(0)
    shown = refused = 0
    for original in (encoded(picture(), kind) for kind in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP")):
        for _ in range(60):
            data = bytearray(original)
            for position in rng.integers(0, len(data), 6):
                data[position] = rng.integers(0, 256)
            try:
                decode(bytes(data))
                shown += 1
            except UnreadableImageError:
                refused += 1
    assert shown > 20
    assert refused > 20
