"""What several test modules share."""

from __future__ import annotations

import pytest

from genba.envs.task import Task, get_task, task_ids


@pytest.fixture(scope="session")
def tasks() -> dict[str, Task]:
    """Each task by id, compiled once for the session: do not change them."""
    return {task_id: get_task(task_id) for task_id in task_ids()}
