"""Readers: foreign data sets in, batches of the canonical schema out."""

from orchestration.sources.registry import READERS, get_reader

__all__ = ["READERS", "get_reader"]
