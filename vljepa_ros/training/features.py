"""What training reads of an episode: stored tokens of its frames, or the frames themselves.

The tokens of a frozen X-Encoder that looks at one frame at a time never change, so that
`vljepa data` stores them. One that looks at whole windows is run on the frames as they are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from vljepa_ros.errors import InputError
from vljepa_ros.runtime.images import to_input_size
from vljepa_ros.training.language import Facts
from vljepa_ros.training.shards import (
    decode_jpeg,
    index_shard,
    list_shards,
    read_at,
    read_shards,
)

if TYPE_CHECKING:
    from vljepa_ros.runtime.frames import FrameEncoder

# Small batches stay in the processor's cache, which is faster on a CPU.
_BATCH = 4


class Frames(Protocol):
    """The frames of an episode, of which only those that are asked for are read."""

    def __len__(self) -> int: ...

    def __getitem__(self, numbers: list[int]) -> NDArray[Any]: ...


@dataclass(frozen=True)
class Episode:
    """Facts of an episode and its frames.

    Attributes:
        facts: see `vljepa_ros.training.language`.
        frames: by a list of T numbers, (T, N, C) float16 tokens or (T, S, S, 3) uint8 RGB.
    """

    facts: Facts
    frames: Frames


class Pictures:
    """Frames that are read from their shard and resized when they are drawn.

    Args:
        shard: tar file.
        places: offset and length of each frame's JPEG in it, in bytes.
        size: S, pixels a side.
    """

    def __init__(self, shard: Path, places: Sequence[tuple[int, int]], size: int) -> None:
        self.shard = shard
        self.places = places
        self.size = size

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, numbers: list[int]) -> NDArray[np.uint8]:
        """(T, S, S, 3) uint8 RGB."""
        pictures = []
        with self.shard.open("rb") as file:
            for number in numbers:
                jpeg = read_at(file, *self.places[number])
                pictures.append(to_input_size(decode_jpeg(jpeg), self.size))
        return np.stack(pictures)


class Encoded:
    """Frames that are encoded when they are first asked for, and whose tokens are kept.

    Args:
        pictures: the frames.
        encode: of a list of (S, S, 3) uint8 RGB to tokens (F, ...).
    """

    def __init__(
        self, pictures: Frames, encode: Callable[[list[NDArray[np.uint8]]], NDArray[Any]]
    ) -> None:
        self._pictures, self._encode = pictures, encode
        self._kept: dict[int, NDArray[np.float16]] = {}

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, numbers: list[int]) -> NDArray[np.float16]:
        """(T, ...) float16 tokens, as `vljepa data` stores them."""
        missing = [number for number in dict.fromkeys(numbers) if number not in self._kept]
        for start in range(0, len(missing), _BATCH):
            part = missing[start : start + _BATCH]
            made = self._encode(list(self._pictures[part])).astype(np.float16)
            self._kept.update(zip(part, made, strict=True))
        return np.stack([self._kept[number] for number in numbers])


class Rows:
    """Frames of which only the numbers in a table are told, that others look up.

    Args:
        first: number of the oldest.
        count: how many there are.
    """

    def __init__(self, first: int, count: int) -> None:
        self.first, self.count = first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, numbers: list[int]) -> NDArray[np.int64]:
        """(T,) int64."""
        return self.first + np.asarray(numbers, np.int64)


def to_table(
    episodes: Sequence[Episode], device: torch.device
) -> tuple[list[Episode], torch.Tensor]:
    """The tokens of all episodes on a device, so that no batch has to be copied there.

    Returns:
        The episodes, with `Rows` for frames, and their tokens, (F, N, C) float16.
    """
    total = sum(len(episode.frames) for episode in episodes)
    shape = episodes[0].frames[[0]].shape[1:]
    table = torch.empty(total, *shape, dtype=torch.float16, device=device)
    rows, first = [], 0
    for episode in episodes:
        count = len(episode.frames)
        tokens = episode.frames[list(range(count))]
        table[first : first + count] = torch.from_numpy(tokens)
        rows.append(replace(episode, frames=Rows(first, count)))
        first += count
    return rows, table


def features_path(shard: Path) -> Path:
    """Where the tokens of a shard are stored."""
    return shard.with_suffix(".tokens.npy")


def fingerprint_path(shard: Path) -> Path:
    """Where the fingerprint of the X-Encoder lies that made the tokens of a shard."""
    return shard.with_suffix(".tokens.sha256")


def encode_shard(shard: Path, encoder: FrameEncoder) -> None:
    """Store the tokens of all frames of a shard, (F, N, C) float16 in the shard's order."""
    jpegs = [data for _, frames in read_shards([shard]) for data in frames]
    size, shape = encoder.image_size, (len(jpegs), *encoder.shape)
    frames = np.empty((encoder.batch, size, size, 3), np.uint8)

    def put(place: int, jpeg: bytes) -> None:
        frames[place] = to_input_size(decode_jpeg(jpeg), size)

    part = shard.with_suffix(".part.npy")
    # Piece by piece: a GPU would wait for large arrays to be copied.
    with part.open("wb") as file, ThreadPoolExecutor() as pool:
        header = {"descr": "<f2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(jpegs), encoder.batch):
            some = jpegs[start : start + encoder.batch]
            list(pool.map(put, range(len(some)), some))  # decoded without Python's lock
            encoder(frames[: len(some)]).tofile(file)
    # In this order: a kill in between leaves no tokens that pass for another X-Encoder's.
    fingerprint_path(shard).unlink(missing_ok=True)
    part.replace(features_path(shard))
    fingerprint_path(shard).write_text(encoder.fingerprint, encoding="ascii")


def encode_missing(
    root: Path,
    sources: tuple[str, ...],
    split: str,
    encoder: FrameEncoder,
    progress: Callable[[int, int], None],
) -> None:
    """Encode every finished shard that has no tokens of this X-Encoder yet.

    Args:
        root: data folder.
        sources: which generators' shards, for example ("tabletop", "composites").
        split: "train", "val" or "test".
        encoder: of the frames.
        progress: called with shards done and in all.
    """
    shards = [shard for source in sources for shard in list_shards(root, source, split)]
    missing = [s for s in shards if _stored(s, encoder.shape, encoder.fingerprint) is None]
    for done, shard in enumerate(missing):
        encode_shard(shard, encoder)
        progress(done + 1, len(missing))


def load_episodes(
    root: Path,
    sources: tuple[str, ...],
    split: str,
    shape: tuple[int, int],
    fingerprint: str | None = None,
) -> list[Episode]:
    """Episodes with the stored tokens of an X-Encoder that looks at one frame at a time.

    Args:
        root: data folder.
        sources: which generators' shards.
        split: "train", "val" or "test".
        shape: (N, C), the tokens of a frame.
        fingerprint: of the X-Encoder, where the caller has it.

    Raises:
        InputError: a shard has no tokens, or those of another X-Encoder.
    """
    episodes = []
    for source in sources:
        for shard in list_shards(root, source, split):
            tokens = _stored(shard, shape, fingerprint)
            if tokens is None:
                raise InputError(
                    f"{shard} has no tokens of this model; run `vljepa data` again, with "
                    "--model for another than vljepa-tiny"
                )
            start = 0
            for entry in index_shard(shard):
                end = start + len(entry.places)
                episodes.append(Episode(entry.facts, tokens[start:end]))
                start = end
            if start != len(tokens):
                raise InputError(
                    f"{features_path(shard)} has {len(tokens)} frames and its shard {start}; "
                    "delete it and run `vljepa data` again"
                )
    return episodes


def load_pictures(root: Path, sources: tuple[str, ...], split: str, size: int) -> list[Episode]:
    """Episodes with their pictures, `size` pixels a side."""
    episodes = []
    for source in sources:
        for shard in list_shards(root, source, split):
            for entry in index_shard(shard):
                episodes.append(Episode(entry.facts, Pictures(shard, entry.places, size)))
    return episodes


def _stored(
    shard: Path, shape: tuple[int, int], fingerprint: str | None
) -> NDArray[np.float16] | None:
    """The tokens of a shard, mapped from disk; None where there are none of this X-Encoder.

    Those of a shard that was written again since are of other pictures; nobody knows whose those
    without a fingerprint are, and a damaged file has none.
    """
    path, made_by = features_path(shard), fingerprint_path(shard)
    if not made_by.is_file():
        return None
    if fingerprint is not None and made_by.read_text(encoding="ascii") != fingerprint:
        return None
    if not path.is_file() or path.stat().st_mtime_ns < shard.stat().st_mtime_ns:
        return None
    try:
        tokens: NDArray[np.float16] = np.load(path, mmap_mode="r")
    except (ValueError, EOFError):
        return None
    return tokens if tokens.shape[1:] == shape else None
