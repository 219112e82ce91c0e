"""Adds what other systems know, or marks it missing."""

from andon.enrichment.cache import CachedConnector, CachePolicy
from andon.enrichment.mistakes import check
from andon.enrichment.stage import EnrichmentStage

__all__ = ["CachePolicy", "CachedConnector", "EnrichmentStage", "check"]
