"""What several test modules share."""

from __future__ import annotations

from pathlib import Path

import pytest

from genba.envs.task import Task, get_task, task_ids


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a test that is `quick_for` some of its cases, the others are wide."""
    for item in items:
        few = item.get_closest_marker("quick_for")
        case = getattr(item, "callspec", None)
        if few is not None and (case is None or not set(few.args) & set(map(str, case.params.values()))):
            item.add_marker(pytest.mark.wide)


@pytest.fixture(scope="session")
def tasks() -> dict[str, Task]:
    """Each task by id, compiled once for the session: do not change them."""
    return {task_id: get_task(task_id) for task_id in task_ids()}


@pytest.fixture(scope="session")
def passed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of conveyor-sort that stands still, judged by a suite that asks for no more: PASS. Not to be changed."""
    from genba.tests.release_kit import TASK, make_check, make_run

    folder = make_run(tmp_path_factory.mktemp("runs") / TASK / "still")
    assert make_check(folder).passed
    return folder


@pytest.fixture(scope="session")
def made(passed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release of that run. Not to be changed."""
    from genba.policies.release import release

    return release(passed, tmp_path_factory.mktemp("releases")).folder
