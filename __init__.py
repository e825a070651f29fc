"""Genba: robot policies learn factory work in MuJoCo, are judged, and leave only with evidence."""

__version__ = "0.1.0"
