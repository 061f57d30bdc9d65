"""Bring your own data: a table, images or sequences as a family of tasks (docs/own_data.md)."""

from metajax.datasets.own.cards import Rules
from metajax.datasets.own.families import (
    Alphabet,
    image_family,
    look,
    sequence_family,
    table_family,
)
from metajax.datasets.own.guards import Usable, usable
from metajax.datasets.own.reports import Column, Reading, listed
from metajax.datasets.own.reports import restored as restored_reading
from metajax.datasets.own.reports import text as reading_text
from metajax.datasets.own.tables import reading, template

__all__ = [
    "Alphabet", "Column", "Reading", "Rules", "Usable", "image_family", "listed", "look", "reading",
    "reading_text", "restored_reading", "sequence_family", "table_family", "template", "usable",
]  # fmt: skip
