"""The door: one Typer app. Each verb parses, calls and prints."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
