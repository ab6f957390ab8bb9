"""Prometheus metrics of one server. Each app has its own registry, so that tests and probes do not share counters."""

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST
_LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_FSYNC = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0)


class Metrics:
    """All metrics, by the names that dashboards and the documentation use."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.latency = Histogram(
            "tidegate_request_seconds",
            "Seconds from the request's head to the answer's last byte.",
            ("method", "route", "status"),
            buckets=_LATENCY,
            registry=registry,
        )
        self.in_flight = Gauge("tidegate_requests_in_flight", "Requests being answered.", registry=registry)
        self.fallbacks = Counter(
            "tidegate_fallbacks",
            "Recommendations that a named fallback answered.",
            ("fallback",),
            registry=registry,
        )
        self.swaps = Counter("tidegate_swaps", "Bundles put into service.", ("model",), registry=registry)
        self.refusals = Counter(
            "tidegate_swap_refusals",
            "Bundles or states refused.",
            ("model",),
            registry=registry,
        )
        self.champion = Gauge(
            "tidegate_champion",
            "1 for the version that answers.",
            ("model", "version", "digest"),
            registry=registry,
        )
        self.stale = Gauge(
            "tidegate_champion_stale",
            "1 while an older version answers.",
            ("model",),
            registry=registry,
        )
        self.state_published = Gauge(
            "tidegate_state_published_timestamp_seconds",
            "When the feed's state was published.",
            registry=registry,
        )
        self.live_events = Gauge(
            "tidegate_live_events", "Events observed since that state.", registry=registry
        )
        self.journal_rows = Counter(
            "tidegate_journal_rows", "Rows made durable.", ("stream",), registry=registry
        )
        self.journal_failures = Counter(
            "tidegate_journal_failures",
            "Requests refused because the disk did.",
            ("stream",),
            registry=registry,
        )
        self.journal_fsync = Histogram(
            "tidegate_journal_commit_seconds",
            "Seconds of one group commit.",
            ("stream",),
            buckets=_FSYNC,
            registry=registry,
        )
        self.journal_group = Histogram(
            "tidegate_journal_group_requests",
            "Requests that share one group commit.",
            ("stream",),
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=registry,
        )
        self.journal_sealed = Counter(
            "tidegate_journal_sealed", "Segments sealed.", ("stream",), registry=registry
        )
        self.generations = Gauge("tidegate_generations_active", "Generations under way.", registry=registry)
        self.generation_rows = Gauge(
            "tidegate_generation_rows", "Texts made side by side in the last step.", registry=registry
        )
        self.first_token = Histogram(
            "tidegate_first_token_seconds",
            "Seconds from a request for text to the first of it.",
            buckets=_LATENCY,
            registry=registry,
        )
        self.generations_refused = Counter(
            "tidegate_generations_refused", "Generations refused with 429.", registry=registry
        )
        self.generations_cancelled = Counter(
            "tidegate_generations_cancelled", "Generations whose client went away.", registry=registry
        )
        self.content_filtered = Counter(
            "tidegate_content_filtered",
            "Prompts refused and answers ended by the content filter.",
            ("stage", "reason"),
            registry=registry,
        )
        self.tokens = Counter(
            "tidegate_tokens", "Tokens read and written.", ("direction",), registry=registry
        )

    def expose(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self.registry)
