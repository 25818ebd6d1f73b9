"""Tar shards of episodes: one JSON of facts, then the frames as JPEG (WebDataset layout).

A shard holds `KEY.json`, `KEY.000.jpg`, `KEY.001.jpg`, ... for each episode; KEY has no dot.
"""

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from vljepa_ros.errors import InputError

# Key of an episode, facts, and frames as JPEG bytes, oldest first.
Drawn = tuple[str, dict[str, Any], list[bytes]]

SPLITS = ("train", "val", "test")
EPISODES_PER_SHARD = 50
FRAME_PERIOD = 0.25  # s between frames
FRAME_SIZE = 224  # pixels, width and height of a frame
JPEG_QUALITY = 92


def shard_path(root: Path, source: str, split: str, index: int) -> Path:
    """Where shard number `index` of `source` ("tabletop", "composites") and `split` lies."""
    return root / source / split / f"shard-{index:04d}.tar"


def list_shards(root: Path, source: str, split: str) -> list[Path]:
    """Finished shards of one source and split, in order; empty where there are none."""
    return sorted((root / source / split).glob("shard-*.tar"))


def sources_with(root: Path, split: str) -> list[str]:
    """Sources of which there are shards of a split, whoever made them, sorted."""
    return sorted({path.parent.parent.name for path in root.glob(f"*/{split}/shard-*.tar")})


def encode_jpeg(rgb: NDArray[np.uint8], quality: int = JPEG_QUALITY) -> bytes:
    """JPEG bytes of `rgb`: (H, W, 3) uint8 RGB. At a quality of 100 hardly anything is lost."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality]
    if quality == 100:
        settings += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    done, data = cv2.imencode(".jpg", bgr, settings)
    if not done:
        raise InputError(f"cannot write an array of shape {rgb.shape} as JPEG")
    return data.tobytes()


def decode_jpeg(data: bytes) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of JPEG bytes; raises InputError when they are damaged."""
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise InputError("damaged JPEG; delete the shard it came from and run `vljepa data` again")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


class ShardWriter:
    """Writes one shard to `PATH.part`; it gets its name only when closed without an exception.

    So a shard that carries its name is whole, and an interrupted run is resumed by
    making the missing ones.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part = path.with_name(path.name + ".part")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._tar = tarfile.TarFile.open(self._part, "w", format=tarfile.USTAR_FORMAT)

    def add(self, key: str, facts: dict[str, Any], frames: Sequence[bytes]) -> None:
        """Add an episode. `key` has no dot; `frames` are JPEG bytes, `facts["frames"]` of them."""
        if "." in key or facts["frames"] != len(frames):
            raise InputError(f"episode {key!r}: {len(frames)} frames, facts say {facts['frames']}")
        self._add_file(f"{key}.json", json.dumps(facts, separators=(",", ":")).encode())
        for number, data in enumerate(frames):
            self._add_file(f"{key}.{number:03d}.jpg", data)

    def close(self) -> None:
        """Finish the shard and give it its name."""
        self._tar.close()
        self._part.replace(self.path)

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._tar.close()
            self._part.unlink(missing_ok=True)

    def _add_file(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        self._tar.addfile(info, io.BytesIO(data))


def check_request(split: str, episodes: int, workers: int) -> None:
    """Raise InputError for an unknown split, fewer than 0 episodes or fewer than one worker."""
    if split not in SPLITS or episodes < 0 or workers < 1:
        raise InputError(
            f"split {split!r}, {episodes} episodes, {workers} workers: take one of "
            f"{', '.join(SPLITS)}, no fewer than 0 episodes and at least one worker"
        )


def write_missing(
    root: Path,
    source: str,
    split: str,
    episodes: int,
    seed: int,
    workers: int,
    draw: Callable[[int], Drawn],
    progress: Callable[[int, int], None] | None,
) -> None:
    """Write the shards of a source's first `episodes` episodes, but not those that are there.

    Args:
        root: the data folder.
        source: name of the folder, for example "tabletop".
        split: one of SPLITS.
        episodes: how many, 0 or more.
        seed: that `draw` was given.
        workers: processes that draw.
        draw: draws the episode with this number; must be picklable, since it is called in
            those processes.
        progress: called with the number of episodes that are there and `episodes`, first with
            those found, then after each one.

    Raises:
        InputError: more are there, or those of another seed or of another origin.
    """
    shards = {
        shard_path(root, source, split, first // EPISODES_PER_SHARD): range(
            first, min(first + EPISODES_PER_SHARD, episodes)
        )
        for first in range(0, episodes, EPISODES_PER_SHARD)
    }
    there = {path: count_episodes(path) for path in list_shards(root, source, split)}
    if any(count > len(shards.get(path, ())) for path, count in there.items()):
        raise InputError(
            f"{root / source / split} has {sum(there.values())} episodes, more than the "
            f"{episodes} asked for; ask for as many, or give another folder with --data"
        )
    if episodes:
        _check_seed(root / source / split / "seed", seed, bool(there))
    missing = {p: numbers for p, numbers in shards.items() if there.get(p) != len(numbers)}
    tell = progress or (lambda done, total: None)
    done = episodes - sum(len(numbers) for numbers in missing.values())
    tell(done, episodes)
    # Spawned, not forked: neither OpenCV's threads nor a graphics context survive a fork.
    with ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        drawn = pool.map(draw, chain.from_iterable(missing.values()))
        try:
            for path, numbers in missing.items():
                with ShardWriter(path) as shard:
                    for episode in islice(drawn, len(numbers)):
                        shard.add(*episode)
                        done += 1
                        tell(done, episodes)
        except BaseException:
            pool.shutdown(cancel_futures=True)  # a full disk is full for all of them
            raise


def _check_seed(path: Path, seed: int, begun: bool) -> None:
    """Compare the seed with that of the episodes that are there; note it with the first.

    Raises:
        InputError: it is another or negative, or nobody knows that of the episodes.
    """
    if seed < 0:
        raise InputError(f"the seed is {seed}; give 0 or more")
    if not begun:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{seed}\n", encoding="ascii")
    elif not path.is_file():
        raise InputError(
            f"{path.parent} has shards that `vljepa data` did not make, which it would overwrite; "
            "keep them in a folder with a name of their own, or give another with --data"
        )
    elif (known := path.read_text(encoding="ascii").strip()) != str(seed):
        raise InputError(
            f"the episodes in {path.parent} are those of seed {known}, not {seed}; give another "
            "folder with --data"
        )


@dataclass
class Entry:
    """An episode in a shard: its facts, and offset and length of each frame's JPEG, in bytes."""

    facts: dict[str, Any]
    places: list[tuple[int, int]]


def count_episodes(shard: Path) -> int:
    """Episodes in a finished shard; 0 where there is none. Raises InputError for a damaged one."""
    if not shard.is_file():
        return 0
    with _opened(shard) as tar:
        return sum(name.endswith(".json") for name in tar.getnames())


def index_shard(path: Path) -> list[Entry]:
    """The episodes of a shard; reads no frame.

    Raises:
        InputError: an episode without facts, or with another number of frames than they say, or
            a damaged shard.
    """
    facts: dict[str, dict[str, Any]] = {}
    frames: dict[str, dict[str, tuple[int, int]]] = {}
    with _opened(path) as tar:
        for member in tar:
            key, _, ending = member.name.partition(".")
            if not member.isfile():
                continue
            places = frames.setdefault(key, {})
            if ending == "json":
                file = tar.extractfile(member)
                assert file is not None
                facts[key] = json.loads(file.read())
            elif ending.endswith(".jpg"):
                places[ending] = (member.offset_data, member.size)
    entries = []
    for key, places in frames.items():
        wanted = facts.get(key, {}).get("frames")
        if wanted != len(places):
            raise InputError(
                f"{path}: episode {key} has {len(places)} frames, its facts say {wanted}"
            )
        # The thousandth frame and those after it have longer names.
        ordered = sorted(places, key=lambda ending: (len(ending), ending))
        entries.append(Entry(facts[key], [places[ending] for ending in ordered]))
    return entries


@contextmanager
def _opened(shard: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(shard, "r:") as tar:
            yield tar
    except tarfile.TarError as error:
        raise InputError(
            f"{shard} is damaged ({error}); delete it and run `vljepa data` again"
        ) from error


def read_shards(paths: Iterable[Path]) -> Iterator[tuple[dict[str, Any], list[bytes]]]:
    """Yield (facts, frames as JPEG bytes, oldest first) for each episode of the shards.

    Raises:
        InputError: as `index_shard`.
    """
    for path in paths:
        entries = index_shard(path)
        with path.open("rb") as file:
            for entry in entries:
                yield entry.facts, [read_at(file, *place) for place in entry.places]


def read_at(file: BinaryIO, offset: int, length: int) -> bytes:
    """Bytes of an open file."""
    file.seek(offset)
    return file.read(length)
