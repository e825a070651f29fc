"""A check that is killed, or whose disk is full or read-only, loses nothing that was finished and says one line."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from genba.envs.errors import BadInput
from genba.safety.campaign import check
from genba.safety.evidence import read_evidence
from genba.safety.folders import attempts
from genba.safety.report import report
from genba.tests.test_campaign import SUITE, Expert, Rows

DIES = """
import os, sys
from pathlib import Path
from genba.envs import files
from genba.safety.campaign import check
from genba.tests.test_campaign import Expert, SUITE
left, after, rename = int({left}), {after}, os.replace
def dies(draft, path):
    global left
    left -= 1
    if left == 0 and not after:
        os._exit(9)
    rename(draft, path)
    if left == 0:
        os._exit(9)
files.os.replace = dies
check(Expert(Path({folder!r})), suite=SUITE, seed=7, worlds={worlds}, threads=1)
"""
EARLY = 3  # files before the first shard: platform.json, plan.sha256, plan.json


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One uninterrupted check of 24 episodes in 24 shards."""
    return check(Expert(tmp_path_factory.mktemp("run")), suite=SUITE, seed=7, worlds=24).folder


def shards(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((folder / "shards").iterdir())]


def killed(folder: Path, left: int, after: bool, worlds: int = 3) -> None:
    """A check in a process that ends, as if killed, before or after it renames its `left`-th file into place."""
    code = DIES.format(folder=str(folder), left=left, after=after, worlds=worlds)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=300, check=False)
    assert run.returncode == 9, run.stderr.decode()


LATE = EARLY + len(SUITE.conditions) * SUITE.episodes_per_condition + 1  # check.json
MOMENTS = [(EARLY + 1, False), (EARLY + 13, True), (LATE, False)]


def goes_on(folder: Path, reference: Path) -> None:
    """What was killed ends in the bytes of what was not."""
    result = check(Expert(folder), suite=SUITE, seed=7, worlds=6, resume=True)
    assert result.folder == folder / "checks" / "01" and attempts(folder) == [1]
    assert shards(result.folder) == shards(reference)
    assert result.evidence.sha256 == read_evidence(reference).sha256


@pytest.mark.quick_for("16")
@pytest.mark.parametrize(("left", "after"), MOMENTS)
def test_killed_at_a_rename_and_gone_on_with(reference: Path, tmp_path: Path, left: int, after: bool) -> None:
    killed(tmp_path, left, after)
    assert not (tmp_path / "checks" / "01" / "check.json").exists()
    goes_on(tmp_path, reference)


@pytest.mark.long
@pytest.mark.parametrize("left", range(EARLY + 1, LATE + 1, 2))
def test_killed_at_any_rename_and_gone_on_with(reference: Path, tmp_path: Path, left: int) -> None:
    killed(tmp_path, left, after=left % 4 == 0 and left != LATE)
    goes_on(tmp_path, reference)


def _no_more(folder: Path, kept: int) -> bool:
    return len(list((folder / "shards").glob("*.parquet"))) == kept


@pytest.mark.long
def test_killed_again_and_again_at_any_moment(reference: Path, tmp_path: Path) -> None:
    """SIGKILL after times that are drawn, each time gone on with, until it ends."""
    delays = np.random.default_rng(3).uniform(0.0, 0.4, 40)
    folder = tmp_path / "checks" / "01"
    code = DIES.format(folder=str(tmp_path), left=1 << 30, after=False, worlds=3)
    for delay in delays.tolist():
        resume = (folder / "plan.json").is_file()
        text = code.replace("threads=1)", f"threads=1, resume={resume})")
        with subprocess.Popen([sys.executable, "-c", text], stderr=subprocess.PIPE) as child:
            while not (folder / "plan.json").is_file() and child.poll() is None:
                time.sleep(0.005)
            kept = len(list((folder / "shards").glob("*.parquet")))
            give_up = time.monotonic() + 60.0
            while time.monotonic() < give_up and child.poll() is None and _no_more(folder, kept):
                time.sleep(0.002)
            time.sleep(delay)
            child.kill()
            _, errors = child.communicate()
        assert child.returncode in (0, -signal.SIGKILL), errors.decode()
        if child.returncode == 0:
            break
    if not (folder / "check.json").exists():
        goes_on(tmp_path, reference)
    assert attempts(tmp_path) == [1] and shards(folder) == shards(reference)


@pytest.mark.wide
@pytest.mark.parametrize(("left", "after"), [pytest.param(1, False, marks=pytest.mark.long), (3, False)])
def test_killed_before_its_plan_a_check_begins_anew(
    reference: Path, tmp_path: Path, left: int, after: bool
) -> None:
    killed(tmp_path, left, after)
    with pytest.raises(BadInput, match="no unfinished check"):
        check(Expert(tmp_path), suite=SUITE, seed=7, resume=True)
    result = check(Expert(tmp_path), suite=SUITE, seed=7, worlds=6)
    assert result.folder.name == "02" and shards(result.folder) == shards(reference)


Fault = Callable[[int, int], None]


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fault]:
    """`fault(number, at)`: from the `at`-th file on, nothing can be written: the system says error `number`."""
    count, real = 0, os.fsync

    def arm(number: int, at: int) -> None:
        def failing(descriptor: int) -> None:
            nonlocal count
            count += 1
            if count >= at:
                raise OSError(number, os.strerror(number))
            real(descriptor)

        monkeypatch.setattr(os, "fsync", failing)

    yield arm
    monkeypatch.undo()


@pytest.mark.quick_for("Read-only file system")
@pytest.mark.parametrize(
    ("number", "said", "at", "kept"),  # each file syncs itself and its folder
    [
        (errno.ENOSPC, "No space left on device", 1, None),
        (errno.ENOSPC, "No space left on device", 8, 0),
        (errno.EROFS, "Read-only file system", 15, 4),
    ],
)
def test_a_disk_that_is_full_keeps_what_was_finished(
    reference: Path, tmp_path: Path, fault: Fault, number: int, said: str, at: int, kept: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    fault(number, at)
    with pytest.raises(BadInput, match=f"cannot be written .{said}") as caught:
        check(Expert(tmp_path), suite=SUITE, seed=7, worlds=4)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2
    monkeypatch.undo()
    if kept is None:
        assert not (tmp_path / "checks" / "01" / "plan.json").exists()
        return
    found = len(shards(tmp_path / "checks" / "01"))
    assert kept <= found < 24 and f"{found} of 24 episodes are kept" in str(caught.value)
    goes_on(tmp_path, reference)


@pytest.mark.wide
def test_a_shard_that_stops_in_its_middle_is_one_line_and_not_kept(reference: Path, tmp_path: Path) -> None:
    """The system's own limit on a file's size, from the first action on: half of a shard fits."""
    most = min(path.stat().st_size for path in (reference / "shards").iterdir()) // 2
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limited(action: Rows) -> Rows:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most if len(action) > 3 else soft, hard))
        return action

    try:
        with pytest.raises(BadInput, match="cannot be written .File too large"):
            check(Expert(tmp_path, change=limited), suite=SUITE, seed=7, worlds=8, threads=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.rglob("*.part")) == [] and shards(tmp_path / "checks" / "01") == []
    goes_on(tmp_path, reference)


@pytest.mark.wide
def test_a_conclusion_that_cannot_be_written_is_drawn_again(
    reference: Path, tmp_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(errno.EDQUOT, 2 * (LATE - 1) + 1)
    with pytest.raises(BadInput, match="all episodes are kept; free some space and conclude with --resume"):
        check(Expert(tmp_path), suite=SUITE, seed=7, worlds=4)
    monkeypatch.undo()
    goes_on(tmp_path, reference)


def test_a_folder_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("not a folder")
    with pytest.raises(BadInput, match="run: cannot be written .* free some space or write elsewhere"):
        check(Expert(tmp_path / "run"), suite=SUITE, seed=7)


def test_evidence_that_is_read_only_can_be_read_and_its_report_says_where_not_to_write(
    reference: Path, fault: Fault
) -> None:
    before = sorted(path.name for path in reference.rglob("*"))
    fault(errno.EROFS, 1)
    assert len(read_evidence(reference)) == 24
    with pytest.raises(BadInput, match="report.html: cannot be written .Read-only file system"):
        report(reference)
    assert sorted(path.name for path in reference.rglob("*")) == before
