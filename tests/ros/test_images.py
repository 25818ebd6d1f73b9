"""Every encoding of one picture means the same; what cannot be a picture says why."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image

from vljepa_ros.errors import InputError
from vljepa_ros.nodes import images
from vljepa_ros.nodes.conversions import to_header
from vljepa_ros.nodes.images import to_rgb
from vljepa_ros.nodes.serialized import read_image
from vljepa_ros.runtime import Engine, to_input_size

WIDTH, HEIGHT = 320, 240


@pytest.fixture(scope="module")
def embed() -> Callable[..., np.ndarray]:
    """What the shipped model makes of a picture, for a query."""
    engine = Engine.load()
    return lambda rgb, query="What is shown?": engine.predict(
        list(engine.encode_frames([rgb])), [query]
    )[0]


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """A picture as a camera takes it: no edge is sharp to the pixel."""
    bgr = cv2.imread(str(Path(__file__).parent / "scene.png"))
    assert bgr is not None and bgr.shape == (HEIGHT, WIDTH, 3)
    return np.ascontiguousarray(bgr[..., ::-1])


@pytest.fixture(params=["cv_bridge", "rosbags-image"])
def converter(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both libraries in turn, where they are."""
    if request.param == "rosbags-image":
        monkeypatch.setattr(images, "_bridge", None)
    elif images._bridge is None:
        pytest.skip("cv_bridge is not here, or not for this NumPy")


def message(encoding: str, data: np.ndarray, step: int, height: int = HEIGHT) -> Image:
    result = Image(encoding=encoding, width=WIDTH, height=height, step=step)
    result.data = array("B", np.ascontiguousarray(data).tobytes())
    return result


def yuv_planes(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Y (H, W), and U and V (H / 2, W / 2)."""
    planes = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
    y, u, v = np.split(planes.reshape(-1), [WIDTH * HEIGHT, WIDTH * HEIGHT * 5 // 4])
    half = (HEIGHT // 2, WIDTH // 2)
    return y.reshape(HEIGHT, WIDTH), u.reshape(half), v.reshape(half)


def packed_yuv(rgb: np.ndarray, order: str) -> np.ndarray:
    """YUV 4:2:2 with the bytes of two pixels in an order such as "yuyv"."""
    y, u, v = yuv_planes(rgb)
    u, v = np.repeat(u, 2, axis=0), np.repeat(v, 2, axis=0)
    ys = iter((y[:, 0::2], y[:, 1::2]))
    return np.stack([next(ys) if c == "y" else {"u": u, "v": v}[c] for c in order], axis=-1)


def encode(rgb: np.ndarray, encoding: str) -> Image | CompressedImage:
    """A message of the picture in an encoding that keeps its colors."""
    alpha = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    bgr = rgb[..., ::-1]
    if encoding in ("jpeg", "png"):
        data = cv2.imencode(f".{encoding}", np.ascontiguousarray(bgr))[1]
        return CompressedImage(format=encoding, data=array("B", data.tobytes()))
    if encoding in ("nv12", "nv21"):
        y, u, v = yuv_planes(rgb)
        color = np.stack([u, v] if encoding == "nv12" else [v, u], axis=-1)
        return message(encoding, np.concatenate([y.reshape(-1), color.reshape(-1)]), WIDTH)
    packed = {"yuyv": "yuyv", "yuv422_yuy2": "yuyv", "uyvy": "uyvy", "yuv422": "uyvy"}
    if encoding in packed:
        return message(encoding, packed_yuv(rgb, packed[encoding]), 2 * WIDTH)
    data = {
        "rgb8": rgb,
        "bgr8": bgr,
        "8UC3": bgr,
        "rgba8": np.concatenate([rgb, alpha], axis=-1),
        "bgra8": np.concatenate([bgr, alpha], axis=-1),
        "8UC4": np.concatenate([bgr, alpha], axis=-1),
        "rgb16": rgb.astype(np.uint16) * 257,
        "bgr16": bgr.astype(np.uint16) * 257,
        "rgba16": np.concatenate([rgb, alpha], axis=-1).astype(np.uint16) * 257,
        "bgra16": np.concatenate([bgr, alpha], axis=-1).astype(np.uint16) * 257,
    }[encoding]
    return message(encoding, data, data.dtype.itemsize * data.shape[2] * WIDTH)


@pytest.mark.usefixtures("converter")
@pytest.mark.parametrize(
    "encoding",
    [
        *("rgb8", "bgr8", "rgba8", "bgra8", "8UC3", "8UC4", "jpeg", "png"),
        *("rgb16", "bgr16", "rgba16", "bgra16"),
        *("yuyv", "yuv422_yuy2", "uyvy", "yuv422", "nv12", "nv21"),
    ],
)
def test_a_picture_means_the_same_in_every_encoding(
    encoding: str,
    embed: Callable[..., np.ndarray],
    photo: np.ndarray,
    scene: Callable[..., np.ndarray],
) -> None:
    drawn, event = scene(WIDTH, HEIGHT), "What is happening?"
    assert embed(to_rgb(encode(drawn, encoding)), event) @ embed(drawn, event) > 0.99
    got = to_rgb(encode(photo, encoding))
    assert got.shape == photo.shape and got.dtype == np.uint8
    assert np.abs(got.astype(int) - photo).mean() < 6
    assert embed(got) @ embed(photo) > 0.99


def test_swapped_colors_would_be_noticed(
    embed: Callable[..., np.ndarray], photo: np.ndarray
) -> None:
    assert embed(np.ascontiguousarray(photo[..., ::-1])) @ embed(photo) < 0.97


@pytest.mark.usefixtures("converter")
@pytest.mark.parametrize("encoding", ["mono8", "8UC1", "mono16"])
def test_grey_images_become_grey_rgb(encoding: str, scene: Callable[..., np.ndarray]) -> None:
    grey = cv2.cvtColor(scene(WIDTH, HEIGHT), cv2.COLOR_RGB2GRAY)
    data = grey.astype(np.uint16) * 257 if encoding == "mono16" else grey
    got = to_rgb(message(encoding, data, data.dtype.itemsize * WIDTH))
    assert np.abs(got.astype(int) - grey[..., None]).max() <= 1


@pytest.mark.usefixtures("converter")
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("order", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_images_keep_their_colors(
    order: str, bits: int, scene: Callable[..., np.ndarray]
) -> None:
    rgb = scene(WIDTH, HEIGHT)
    mosaic = np.empty((HEIGHT, WIDTH), np.uint8)
    for index, color in enumerate(order):
        row, column = divmod(index, 2)
        mosaic[row::2, column::2] = rgb[row::2, column::2, "rgb".index(color)]
    data = mosaic if bits == 8 else mosaic.astype(np.uint16) * 257
    got = to_rgb(message(f"bayer_{order}{bits}", data, bits // 8 * WIDTH))
    inner = np.s_[4:-4, 4:-4]
    assert np.abs(got[inner].astype(int) - rgb[inner]).mean() < 4


@pytest.mark.parametrize("missing", [0, 40])  # bytes, of the last row's padding
def test_rows_may_be_padded(missing: int, photo: np.ndarray) -> None:
    rows = np.pad(photo.reshape(HEIGHT, -1), ((0, 0), (0, 40)), constant_values=99).reshape(-1)
    assert (to_rgb(message("rgb8", rows[: len(rows) - missing], 3 * WIDTH + 40)) == photo).all()


@pytest.mark.usefixtures("converter")
@pytest.mark.parametrize("padding", [0, 40])
@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "mono8", "jpeg", "yuyv"])
def test_resizing_first_changes_little(encoding: str, padding: int, photo: np.ndarray) -> None:
    grey = encoding == "mono8"
    sent = message("mono8", photo[..., 0], WIDTH) if grey else encode(photo, encoding)
    if encoding != "jpeg":
        rows = np.frombuffer(sent.data, np.uint8).reshape(HEIGHT, -1)
        padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
        sent = message(encoding, padded, padded.shape[1])
    got, expected = to_rgb(sent, 96), to_input_size(to_rgb(sent), 96)
    assert got.shape == expected.shape
    assert np.abs(got.astype(int) - expected).mean() < 1


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1920, 1080), (1279, 719), (160, 120)])
def test_a_picture_of_any_size_means_what_it_means_to_the_engine(
    width: int, height: int, embed: Callable[..., np.ndarray], photo: np.ndarray
) -> None:
    large = cv2.resize(photo, (width, height), interpolation=cv2.INTER_CUBIC)
    sent = Image(encoding="bgr8", width=width, height=height, step=3 * width)
    sent.data = array("B", np.ascontiguousarray(large[..., ::-1]).tobytes())
    assert embed(to_rgb(sent, 224)) @ embed(large) > 0.995


def test_pixels_are_read_where_they_lie(photo: np.ndarray) -> None:
    sent = encode(photo, "rgb8")
    sent.header.stamp.sec, sent.header.frame_id = 7, "camera_optical"
    data = serialize_message(sent)
    read = read_image(data, "sensor_msgs/msg/Image")
    assert to_header(read.header) == sent.header
    for field in ("height", "width", "encoding", "is_bigendian", "step"):
        assert getattr(read, field) == getattr(sent, field)
    np.testing.assert_array_equal(to_rgb(read), photo)
    assert np.shares_memory(to_rgb(read), np.frombuffer(data, np.uint8))


def test_compressed_images_are_read_too(photo: np.ndarray) -> None:
    sent = encode(photo, "png")
    read = read_image(serialize_message(sent), "sensor_msgs/msg/CompressedImage")
    assert read.format == "png"
    np.testing.assert_array_equal(to_rgb(read), photo)


@pytest.mark.parametrize(
    "told",
    [
        *("jpeg", "png", "rgb8; jpeg compressed bgr8", "bgr8; png compressed "),
        *("mono16; png compressed", "8UC3; png compressed bgr8", "bayer_rggb8; jpeg compressed"),
    ],
)
def test_a_compressed_picture_is_read_whatever_it_was_made_of(
    told: str, photo: np.ndarray
) -> None:
    sent = encode(photo, "png")
    sent.format = told
    np.testing.assert_array_equal(to_rgb(sent), photo)


@pytest.mark.parametrize(
    "told",
    [
        *("16UC1; png compressed", "16UC1; compressedDepth png", "32FC1; compressedDepth"),
        *("32FC1; tiff compressed ", "8UC2; png compressed"),
    ],
)
def test_a_compressed_measurement_is_refused_as_a_raw_one_is(told: str) -> None:
    data = cv2.imencode(".png", np.full((HEIGHT, WIDTH), 1500, np.uint16))[1]
    with pytest.raises(InputError, match=r"the encoding '\w+' is not a color or grey image"):
        to_rgb(CompressedImage(format=told, data=array("B", data.tobytes())))


def test_a_message_that_is_no_utf8_says_what_to_do(photo: np.ndarray) -> None:
    sent = encode(photo, "rgb8")
    sent.header.frame_id = "camera"
    data = serialize_message(sent).replace(b"camera", "caméra".encode("latin-1"))
    with pytest.raises(InputError, match="plain ASCII"):
        read_image(data, "sensor_msgs/msg/Image")


def nothing() -> np.ndarray:
    return np.zeros(0, np.uint8)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (message("rgb8", np.zeros(1000, np.uint8), 3 * WIDTH), "truncated"),
        (
            Image(encoding="rgb8", width=64, height=48, step=10, data=bytes(9216)),
            "step is 10 bytes, but a row of 64 rgb8 pixels has 192; check the camera driver",
        ),
        (message("nv12", np.zeros(WIDTH * HEIGHT, np.uint8), WIDTH), "truncated"),
        (message("rgb8", nothing(), 3 * WIDTH, height=0), "no pixels"),
        (Image(), "no pixels"),
        (message("16UC1", np.zeros(2 * WIDTH * HEIGHT, np.uint8), 2 * WIDTH), "16UC1"),
        (message("hologram", nothing(), WIDTH), "hologram"),
        (
            Image(encoding="nv12", width=3, height=4, step=3, data=bytes(18)),
            "nv12 needs an even width and height, not 3x4",
        ),
        (
            Image(encoding="nv21", width=4, height=3, step=4, data=bytes(16)),
            "nv21 needs an even width and height, not 4x3",
        ),
        (Image(encoding="yuyv", width=3, height=2, step=6, data=bytes(12)), "yuyv"),
        (CompressedImage(format="jpeg"), "cannot be decoded"),
        (CompressedImage(format="jpeg", data=b"no jpeg at all"), "cannot be decoded"),
    ],
)
def test_what_cannot_be_a_picture_says_why(bad: Image | CompressedImage, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        to_rgb(bad)


def test_a_driver_that_sets_no_step_has_no_padding(photo: np.ndarray) -> None:
    sent = encode(photo, "rgb8")
    sent.step = 0
    assert (to_rgb(sent) == photo).all()


@pytest.mark.usefixtures("converter")
@pytest.mark.parametrize("encoding", ["yuyv", "nv12", "bayer_rggb8", "rgb16"])
def test_rows_of_what_a_library_converts_may_be_padded(encoding: str, photo: np.ndarray) -> None:
    bayer = encoding.startswith("bayer")
    sent = message(encoding, photo[..., 0], WIDTH) if bayer else encode(photo, encoding)
    rows = np.pad(np.frombuffer(sent.data, np.uint8).reshape(-1, sent.step), ((0, 0), (0, 40)))
    assert (to_rgb(message(encoding, rows, sent.step + 40)) == to_rgb(sent)).all()


@pytest.mark.usefixtures("converter")
@pytest.mark.parametrize("encoding", ["rgb16", "mono16"])
def test_the_order_of_bytes_is_that_of_the_message(encoding: str, photo: np.ndarray) -> None:
    values = (photo if encoding == "rgb16" else photo[..., 0]).astype(np.uint16) * 256
    sent, swapped = (message(encoding, v, v[0].nbytes) for v in (values, values.byteswap()))
    swapped.is_bigendian = 1
    assert (to_rgb(swapped) == to_rgb(sent)).all()
