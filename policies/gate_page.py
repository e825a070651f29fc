"""What `genba bench gate` found, as an object, a table and a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..envs.platform import cores
from ..safety.percent import at_least, at_most
from ..safety.statistics import clopper_pearson_lower, clopper_pearson_upper
from .gate_defects import DEFECTS, SEVERITIES

Found = tuple[tuple[str, str, str, str], Mapping[str, Any]]
GATES = {"success": "success rate alone", "control-rate": "success, and limits at control rate"}
MIDDLE = SEVERITIES[1]
SCANNED = {"hole", "no-number", "restless", "lost", "unrepeatable"}  # reasons that the scan gives


@dataclass(frozen=True)
class GateResult:
    """Results by (kind, id, cell, level)."""

    found: tuple[Found, ...]
    cells: tuple[str, ...]
    quick: bool
    seed: int
    page: Path

    def of(self, kind: str, level: str = "") -> list[Found]:
        """The results of a kind, at a level."""
        return [each for each in self.found if each[0][0] == kind and (not level or each[0][3] == level)]

    @property
    def clean(self) -> list[Found]:
        """Runs of policies that the oracle certified."""
        return [each for each in self.of("clean") if each[0][1:3] in self.certified]

    @property
    def certified(self) -> frozenset[tuple[str, str]]:
        """Policy and cell of what the oracle found clean."""
        return frozenset(key[1:3] for key, found in self.of("certificate") if found["clean"])

    @property
    def sound(self) -> bool:
        """The self-test is green, and red for every mutant; every lying artefact is refused, the honest one is not."""
        tests = all(not found["wrong"] for _, found in self.of("self-test"))
        mutants = all(found["red"] for _, found in self.of("mutant"))
        artefacts = all(found["refused"] == (key[1] != "honest") for key, found in self.of("artefact"))
        return tests and mutants and artefacts

    @property
    def exit_code(self) -> int:
        return 0 if self.sound else 1

    def as_json(self) -> Mapping[str, Any]:
        middle = self.of("defect", MIDDLE)
        return {
            "baselines": {
                gate: {"detection": rate([found["others"][gate] for _, found in middle])} for gate in GATES
            },
            "genba": {
                "detection": rate([found["caught"] for _, found in middle]),
                "right_reason": rate([found["right"] for _, found in middle if found["caught"]]),
                "false_alarm": self.false_alarms(),
            },
            "policies": [
                {"id": f"{key[2]}/{key[1]}/{key[3]}", "defect": key[1], "severity": key[3],
                 **{name: found[name] for name in ("caught", "right", "verdict", "reasons", "seconds", "steps")}}
                for key, found in self.of("defect")
            ],
            "clean": [
                {"id": f"{key[2]}/{key[1]}/{key[3]}", "certified": key[1:3] in self.certified,
                 **{name: found[name] for name in ("verdict", "reasons", "seconds", "steps")}}
                for key, found in self.of("clean")
            ],
            "artefacts": [{"id": key[1], "refused": found["refused"]} for key, found in self.of("artefact")],
            "mutants": [{"id": key[1], "red": bool(found["red"])} for key, found in self.of("mutant")],
            "self_test": not any(found["wrong"] for _, found in self.of("self-test")),
            "tasks": list(self.cells),
            "quick": self.quick,
            "page": str(self.page),
        }  # fmt: skip

    def summary(self) -> dict[str, Any]:
        """How well defects are found, for those who only see that none was: by severity, all and those that the scan names."""
        found: dict[str, Any] = {}
        for severity in SEVERITIES:
            rows = [row for key, row in self.of("defect") if key[3] == severity]
            if rows:
                caught = [row for row in rows if row["caught"]]
                scanned = sum(bool(set(row["reasons"]) & SCANNED) for row in caught)
                found[severity] = {"n": len(rows), "caught": len(caught), "by_scan": scanned}
        return {"cells": list(self.cells), "defects": found, "clean": self.false_alarms()}

    def false_alarms(self) -> dict[str, Any]:
        """Clean runs that did not pass; the bound counts policies, since runs of one policy are not independent."""
        alarms = [found["verdict"] != "PASS" for _, found in self.clean]
        by_policy: dict[tuple[str, str], bool] = {}
        for (key, _), alarm in zip(self.clean, alarms, strict=True):
            by_policy[key[1], key[2]] = by_policy.get((key[1], key[2]), False) or alarm
        policies, wrong = len(by_policy), sum(by_policy.values())
        return {
            "rate": float(np.mean(alarms)) if alarms else None,
            "count": int(sum(alarms)),
            "n": len(alarms),
            "policies": policies,
            "policies_with_one": int(wrong),
            "upper95": clopper_pearson_upper(int(wrong), policies, 0.95) if policies else None,
        }

    def table(self) -> str:
        whole = self.as_json()
        lines = [
            f"gate     detection {_shown(whole['genba']['detection'])}",
            f"         right reason {_shown(whole['genba']['right_reason'])}",
            f"         false alarms {_alarms(whole['genba']['false_alarm'])}",
        ]
        lines += [
            f"         {GATES[name]}: detection {_shown(each['detection'])}"
            for name, each in whole["baselines"].items()
        ]
        red = sum(each["red"] for each in whole["mutants"])
        kept_out = sum(each["refused"] for each in whole["artefacts"])
        lines.append(
            f"         self-test {'green' if whole['self_test'] else 'RED'}, red for {red} of {len(whole['mutants'])} broken gates; "
            f"{kept_out} of {len(whole['artefacts']) - 1} lying artefacts refused"
        )
        lines += [f"         missed: {name}" for name in missed(self)]
        lines.append(f"         {self.page}")
        return "\n".join(lines)


def rate(flags: Iterable[Any]) -> dict[str, Any]:
    """A share with its one-sided 95 % lower bound (Clopper-Pearson)."""
    values = [bool(each) for each in flags]
    n, count = len(values), sum(values)
    return {
        "rate": count / n if n else None,
        "count": count,
        "n": n,
        "lower95": clopper_pearson_lower(count, n, 0.95) if n else None,
    }


def _shown(found: Mapping[str, Any]) -> str:
    if not found["n"]:
        return "nothing measured"
    return f"{found['count']} of {found['n']} (at least {at_least(found['lower95'])})"


def _alarms(found: Mapping[str, Any]) -> str:
    if not found["n"]:
        return "nothing measured"
    return (
        f"{found['count']} of {found['n']} runs, {found['policies_with_one']} of {found['policies']} policies "
        f"(at most {at_most(found['upper95'])} of policies)"
    )


def missed(result: GateResult) -> list[str]:
    """Planted defects that passed."""
    return [f"{key[1]} ({key[2]}, {key[3]})" for key, found in result.of("defect") if not found["caught"]]


def page(result: GateResult) -> str:
    """The page, in Markdown."""
    parts = (_summary(result), _defects(result), _clean(result), _artefacts(result), _mutants(result))
    return "\n".join(line for part in parts if part for line in [*part, ""])


def _summary(result: GateResult) -> list[str]:
    whole = result.as_json()
    genba = whole["genba"]
    seconds = [found["seconds"] for kind in ("defect", "clean") for _, found in result.of(kind)]
    steps = [found["steps"] for _, found in result.of("clean")]
    named = "".join(f" {cell}" for cell in result.cells) + (" --quick" if result.quick else "")
    scope = "middle severity" if result.quick else "all severities"
    if not result.of("clean"):
        scope += ", no clean policies (`--no-clean`)"
    elif result.quick:
        scope += ", each clean policy once"
    return [
        "# The gate, measured",
        "",
        f"Written by `genba bench gate{named}`: {scope}. A defect is planted in a released policy, as ONNX surgery; the gate sees a file like any "
        "other. Caught is what does not get PASS; the reason is right when the verdict names one of",
        "the things that this defect does (listed in `policies/gate_defects.py`). Clean are variants of released policies that an oracle certified in "
        "other worlds at physics rate (`policies/gate_oracle.py`), without the gate's",
        f"monitor, suites or statistics. Bounds are one-sided 95 % (Clopper-Pearson). {cores()} processors, one for each verdict, which took "
        f"{np.median(seconds):.0f} s (median) and {max(seconds):.0f} s at most"
        + (f"; a clean policy costs {np.median(steps) / 1e6:.1f} million physics steps." if steps else "."),
        "",
        "| gate | detection at middle severity | right reason | false alarms |",
        "|---|---|---|---|",
        f"| Genba | {_shown(genba['detection'])} | {_shown(genba['right_reason'])} | {_alarms(genba['false_alarm'])} |",
        *(
            f"| {GATES[name]} | {_shown(each['detection'])} | | |"
            for name, each in whole["baselines"].items()
        ),
        "",
        "The two simpler gates play 100 undisturbed episodes, ask for 95 % success and, the second, see each limit once a control tick; "
        "they were given no clean policies.",
    ]


def _defects(result: GateResult) -> list[str]:
    columns = _columns(result)
    return [
        "## Defects",
        "",
        "| defect | what it does | " + " | ".join(f"{cell}, {level}" for cell, level in columns) + " |",
        "|---" * (2 + len(columns)) + "|",
        *(_row(result, defect.id, defect.says) for defect in DEFECTS),
        "",
        "A cell shows the verdict's reasons, or **missed**.",
        "",
        "**Missed:** " + ("; ".join(missed(result)) or "none") + ".",
    ]


def _clean(result: GateResult) -> list[str]:
    if not result.of("clean"):
        return []
    return [
        "## Clean policies",
        "",
        "| policy | cell | certified | verdicts |",
        "|---|---|---|---|",
        *_clean_rows(result),
    ]


def _artefacts(result: GateResult) -> list[str]:
    return [
        "## Artefacts",
        "",
        *(f"- `{key[1]}`: {_artefact(key[1], found)}" for key, found in result.of("artefact")),
    ]


def _mutants(result: GateResult) -> list[str]:
    return [
        "## Broken gates",
        "",
        "The self-test asks the gate questions with known answers (`safety/selftest.py`); each of these gates is broken in one place "
        "(`safety/mutants.py`) and must answer some of them wrongly.",
        "",
        *(
            f"- `{key[1]}`: {', '.join(found['red']) or '**not noticed**'}"
            for key, found in result.of("mutant")
        ),
    ]


def _columns(result: GateResult) -> list[tuple[str, str]]:
    found = {(key[2], key[3]) for key, _ in result.of("defect")}
    return sorted(found, key=lambda each: (SEVERITIES.index(each[1]), each[0]))


def _row(result: GateResult, defect: str, says: str) -> str:
    cells = []
    for cell, level in _columns(result):
        found = [f for key, f in result.of("defect", level) if key[1] == defect and key[2] == cell]
        cells.append(_verdict(found[0]) if found else "")
    return f"| `{defect}` | {says} | " + " | ".join(cells) + " |"


def _verdict(found: Mapping[str, Any]) -> str:
    if not found["caught"]:
        return "**missed**"
    doubt = "" if found["right"] else " (not the right reason)"
    return ", ".join(found["reasons"][:3]) + doubt


def _clean_rows(result: GateResult) -> Sequence[str]:
    rows = []
    for key, certificate in result.of("certificate"):
        words = [found["verdict"] for other, found in result.of("clean") if other[1:3] == key[1:3]]
        sure = "yes" if certificate["clean"] else f"no ({_broken(certificate)})"
        rows.append(f"| {key[1]} | {key[2]} | {sure} | {', '.join(words)} |")
    return rows


def _broken(certificate: Mapping[str, Any]) -> str:
    over = [f"{name} {count}" for name, count in certificate["broken"].items() if count]
    rates = [f"success {value:.1%} at severity {level}" for level, value in certificate["success"].items()]
    return ", ".join([*over, *rates])


def _artefact(name: str, found: Mapping[str, Any]) -> str:
    if name == "honest":
        return "taken, as it should be" if not found["refused"] else f"**refused**: {found['says']}"
    return f"refused: {found['says']}" if found["refused"] else "**taken**"
