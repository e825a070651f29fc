"""The page of disturbances: what it shows was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from genba.envs import bench_disturbances as module
from genba.envs.disturbances import disturbance_classes
from genba.envs.errors import UnknownName
from genba.envs.files import asset


def test_the_page_shows_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "task_ids", lambda: ["conveyor-sort", "kit-pick"])
    made = module.bench_disturbances(tmp_path, ("belt-speed", "timestep"))
    assert list(made.effects) == ["belt-speed", "timestep"]
    assert list(made.effects["belt-speed"]) == ["conveyor-sort"]
    assert list(made.effects["timestep"]) == ["conveyor-sort", "kit-pick"]
    page = made.page.read_text(encoding="utf-8")
    assert "cells with a belt: `conveyor-sort`." in page and "| measured | 1 | 2 | 3 | 5 | 7 |" in page
    assert "belt-speed" in made.table() and made.as_json()["disturbances"]["timestep"].keys() == {
        "conveyor-sort", "kit-pick",
    }  # fmt: skip
    with pytest.raises(UnknownName, match="Did you mean timestep"):
        module.bench_disturbances(tmp_path, ("timestp",))


def test_the_page_in_the_manual_has_every_disturbance_with_its_ladder() -> None:
    page = (asset().parent / "docs" / "disturbances.md").read_text(encoding="utf-8")
    for name, cls in disturbance_classes().items():
        assert f"### `{name}`" in page
        assert f"| claimed | {' | '.join(f'{value:g}' for value in cls.ladder.values[1:])} |" in page
