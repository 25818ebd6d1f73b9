"""Shards are WebDataset's: any order of files will do, and one that is not whole is named."""

from __future__ import annotations

import json
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import webdataset

from vljepa_ros.errors import InputError
from vljepa_ros.training import shards as shards_module
from vljepa_ros.training.features import load_pictures
from vljepa_ros.training.shards import (
    Drawn,
    ShardWriter,
    count_episodes,
    decode_jpeg,
    encode_jpeg,
    index_shard,
    list_shards,
    read_shards,
    shard_path,
    write_missing,
)

_SOURCES = ("composites",)


def test_the_library_webdataset_reads_the_shards(shards: Path) -> None:
    shard = shard_path(shards, "composites", "train", 0)
    samples = list(webdataset.WebDataset(str(shard), shardshuffle=False))
    assert [s["__key__"] for s in samples] == [f"{n:06d}" for n in range(4)]
    assert json.loads(samples[1]["json"])["objects"][0]["name"] == "car"
    assert [k for k in samples[1] if k.endswith("jpg")] == [f"{n:03d}.jpg" for n in range(8)]


@pytest.mark.parametrize("missing", ["json", "007.jpg"])
def test_an_episode_that_is_not_whole_is_named(shards: Path, tmp_path: Path, missing: str) -> None:
    shard = shard_path(tmp_path, "composites", "train", 0)
    shard.parent.mkdir(parents=True)
    source = shard_path(shards, "composites", "train", 0)
    with tarfile.open(source) as whole, tarfile.open(shard, "w") as broken:
        for member in whole:
            if member.name != f"000002.{missing}":
                broken.addfile(member, whole.extractfile(member))
    with pytest.raises(InputError, match="episode 000002 has"):
        load_pictures(tmp_path, _SOURCES, "train", 32)


def test_the_order_of_files_in_a_shard_does_not_matter(shards: Path, tmp_path: Path) -> None:
    shard = shard_path(tmp_path, "composites", "train", 0)
    shard.parent.mkdir(parents=True)
    source = shard_path(shards, "composites", "train", 0)
    with tarfile.open(source) as whole, tarfile.open(shard, "w") as sorted_:
        for member in sorted(whole, key=lambda member: member.name):
            sorted_.addfile(member, whole.extractfile(member))
    ours, theirs = (load_pictures(root, _SOURCES, "train", 32) for root in (tmp_path, shards))
    for one, two in zip(ours, theirs, strict=True):
        assert one.facts == two.facts
        assert (one.frames[list(range(8))] == two.frames[list(range(8))]).all()


def test_jpeg_of_the_highest_quality_keeps_colors_of_single_pixels() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    lost = [
        np.abs(decode_jpeg(encode_jpeg(rgb, quality)).astype(int) - rgb).mean()
        for quality in (100, 99)
    ]
    assert lost[0] < 2 < 10 < lost[1]


def test_the_thousandth_frame_follows_the_one_before_it(tmp_path: Path) -> None:
    shard = shard_path(tmp_path, "composites", "train", 0)
    frames = [str(number).encode() for number in range(1_102)]
    with ShardWriter(shard) as writer:
        writer.add("long", {"frames": len(frames)}, frames)
    ((_, read),) = read_shards([shard])
    assert read == frames


def test_a_shard_that_was_cut_off_is_named(shards: Path, tmp_path: Path) -> None:
    shard = shard_path(tmp_path, "composites", "train", 0)
    shard.parent.mkdir(parents=True)
    whole = shard_path(shards, "composites", "train", 0)
    offset, length = index_shard(whole)[-1].places[-1]
    for left in (100, offset + length // 2):
        shard.write_bytes(whole.read_bytes()[:left])
        with pytest.raises(InputError, match=f"{shard} is damaged"):
            load_pictures(tmp_path, _SOURCES, "train", 32)
        with pytest.raises(InputError, match=f"{shard} is damaged"):
            _write(tmp_path, 0)


@pytest.mark.parametrize(
    ("seed", "match"), [(0, "`vljepa data` did not make"), (-1, "seed is -1; give 0 or more")]
)
def test_shards_of_others_are_never_overwritten(
    shards: Path, tmp_path: Path, seed: int, match: str
) -> None:
    shard = shard_path(tmp_path, "composites", "train", 0)
    shard.parent.mkdir(parents=True)
    whole = shard_path(shards, "composites", "train", 0).read_bytes()
    shard.write_bytes(whole)
    with pytest.raises(InputError, match=match):
        _write(tmp_path, seed)
    assert shard.read_bytes() == whole


def _write(root: Path, seed: int) -> None:
    write_missing(root, "composites", "train", 9, seed, 1, _none, None)


def _none(number: int) -> Drawn:
    raise AssertionError(f"episode {number} is drawn")


def test_a_shard_that_is_not_full_grows_with_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        shards_module, "ProcessPoolExecutor", lambda workers, *_, **__: ThreadPoolExecutor(workers)
    )
    for episodes in (60, 120):
        write_missing(
            *(tmp_path, "made-up", "train", episodes, 0, 1),
            lambda number: (f"{number:06d}", {"frames": 1}, [b"x"]),
            None,
        )
        counts = [count_episodes(path) for path in list_shards(tmp_path, "made-up", "train")]
        assert sum(counts) == episodes and counts[0] == 50


def test_a_key_with_a_dot_is_refused(tmp_path: Path) -> None:
    shard = shard_path(tmp_path, "composites", "train", 0)
    with pytest.raises(InputError, match=r"clip\.mp4"), ShardWriter(shard) as writer:
        writer.add("clip.mp4", {"frames": 1}, [b"x"])
    assert not shard.exists()
