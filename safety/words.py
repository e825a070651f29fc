"""Every sentence of a report, by language: `assets/words/<language>.yaml` is the only place where they stand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ..envs.conditions import JOINT, parts_of
from ..envs.errors import UnknownName
from ..envs.files import asset


@dataclass(frozen=True)
class Words:
    """One language. `words("verdict.PASS")`; numbers are filled in by name: `words("episodes", n=3003)` gives "3,003 episodes".

    `confidence` ("95 %") is filled in wherever a sentence speaks of it.
    """

    language: str
    sentences: Mapping[str, str]
    confidence: str = "95 %"

    def __call__(self, key: str, **values: Any) -> str:
        """The sentence with its values. Raises UnknownName (a mistake in this program) for a key that is not there."""
        if key not in self.sentences:
            raise UnknownName(f"word ({self.language})", key, self.sentences)
        shown = {name: _shown(value) for name, value in values.items()}
        return unbroken(self.sentences[key].format(**{"confidence": self.confidence, **shown}))

    def name(self, kind: str, value: str) -> str:
        """What people call a disturbance, an outcome or a confidence; its id where the catalogue has no word for it; of "a + b", both."""
        return JOINT.join(self.sentences.get(f"{kind}.{part}", part) for part in parts_of(value))

    def pick(self, says: Mapping[str, str]) -> str:
        """A text that is kept in several languages, in this one or else in English."""
        return says.get(self.language) or says["en"]


def languages() -> list[str]:
    """The languages there are."""
    return sorted(path.stem for path in asset("words").glob("*.yaml"))


def load_words(language: str, confidence: str = "95 %") -> Words:
    """The catalogue of a language. Raises UnknownName with those that there are."""
    if language not in languages():
        raise UnknownName("language", language, languages())
    text = asset("words", f"{language}.yaml").read_text(encoding="utf-8")
    return Words(language, yaml.safe_load(text), confidence)


def unbroken(text: str) -> str:
    """The text with its units tied to their numbers."""
    return re.sub(r"(?<=\d) (?=%|(?:m/s|rad/s|rad|ms|m|s|N·m|N)\b)", "\u00a0", text)


def _shown(value: Any) -> Any:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value
