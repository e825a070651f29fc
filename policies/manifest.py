"""The manifest of a release: the SHA-256 of every file, in the format of `sha256sum -c MANIFEST.sha256`."""

from __future__ import annotations

from pathlib import Path

from ..envs.errors import BadInput, Refused
from ..envs.files import MANIFEST, atomic_write_text, sha256_file

NAME = MANIFEST


def files_of(folder: Path) -> list[str]:
    """Every file below `folder` but the manifest itself, relative, sorted. Raises Refused on links."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise Refused(f"{path}: is a link; a release holds files only")
        if path.is_file() and path != folder / NAME:
            found.append(path.relative_to(folder).as_posix())
    return found


def write_manifest(folder: Path) -> None:
    """Hash everything in `folder` into its manifest."""
    lines = [f"{sha256_file(folder / name)}  {name}\n" for name in files_of(folder)]
    atomic_write_text(folder / NAME, "".join(lines))


def verify_manifest(folder: Path) -> int:
    """Make sure that `folder` holds exactly what its manifest lists; returns the number of files.

    Raises:
        BadInput: no release there.
        Refused: a file is missing, added or changed; names the first.
    """
    expected = _read(folder)
    found = set(files_of(folder))
    for what, names in (("is missing", expected.keys() - found), ("was added", found - expected.keys())):
        if names:
            raise Refused(
                f"{folder}/{min(names)}: {what}; this is not the release that was made: get it again"
            )
    for name, digest in sorted(expected.items()):
        if sha256_file(folder / name) != digest:
            raise Refused(
                f"{folder}/{name}: was changed; this is not the release that was made: get it again"
            )
    return len(expected)


def _read(folder: Path) -> dict[str, str]:
    path = folder / NAME
    if not path.is_file():
        raise BadInput(f"{folder}: no release here ({NAME} is missing); releases lie in releases/")
    try:
        pairs = [line.split("  ", 1) for line in path.read_text(encoding="utf-8").splitlines()]
        expected = {name: digest for digest, name in pairs}
    except (ValueError, OSError):
        raise Refused(f"{path}: is damaged; get the release again") from None
    if not expected or len(expected) != len(pairs):
        raise Refused(f"{path}: is empty or lists a file twice; get the release again")
    return expected
