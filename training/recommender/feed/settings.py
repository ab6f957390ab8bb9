"""Every setting of the feed, with its meaning; the server takes them from `TIDEGATE_FEED_*`."""

from hashlib import blake2b

from pydantic import BaseModel, ConfigDict, Field


class FeedSettings(BaseModel):
    """How a ranking becomes a feed. Nothing here is learned, so all of it may change without training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    author_dislike: float = Field(
        2.0,
        ge=0,
        description="Leave out authors whom the user has disliked this much: the weights of posts hidden (1 each) and "
        "reported (2 each), added up. 0: never.",
    )
    language_events: int = Field(
        5,
        ge=0,
        description="Leave out languages that the user does not read, once the profile states one or the history holds "
        "so many posts of known language. 0: never.",
    )
    max_age_days: float = Field(0.0, ge=0, description="Leave out posts older than this. 0: never.")
    author_gap: int = Field(
        3, ge=0, description="No author twice in so many consecutive places. 0 or 1: off."
    )
    topic_run: int = Field(
        3, ge=0, description="At most so many posts of one main topic one after the other. 0: off."
    )
    explore: float = Field(
        0.03, ge=0, le=0.5, description="Chance of each place to show a post from below the head. 0: off."
    )
    explore_depth: int = Field(
        10,
        ge=1,
        le=100,
        description="Posts that each place explores among: with k places, the k times this best below the head.",
    )


PLAIN = FeedSettings(
    author_dislike=0, language_events=0, max_age_days=0, author_gap=0, topic_run=0, explore=0, explore_depth=1
)
"""The model's own order: what nobody may be shown is left out, and nothing else happens."""


def seed_of(request_id: str, user_id: str) -> int:
    """Seed of an answer's exploration: who repeats a request under its id gets the same draw."""
    text = f"{request_id}\x00{user_id}".encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")
