"""Published posts with their texts: what drafts, replies, summaries and answers are made of.

Read from `texts.parquet` of the online state: the newest posts, cleaned, personal data masked, none deleted. The
lake is never opened.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from training.generator.tasks.history import profile_of
from training.generator.tasks.prompt import Profile, Turn
from training.generator.tasks.quote import Post
from training.generator.tasks.retrieval import Found, PostIndex
from training.privacy.injection import injections

TEXTS = "texts.parquet"
_LIKED = 200
"""Newest liked posts that tell a user's topics who has written nothing."""

Known = Literal["posts", "activity", "languages", "nothing"]


@dataclass(frozen=True)
class Writer:
    """A user's profile, and what it is made of."""

    profile: Profile
    known_by: Known

    @classmethod
    def unknown(cls) -> "Writer":
        """Of whom nothing is known."""
        return cls(Profile(), "nothing")


class Library:
    """The texts of one published state. Read from several threads, never changed."""

    def __init__(self, texts: pa.Table, folder: Path) -> None:
        """`texts` has a row a post, oldest first; `folder` is the state's."""
        self._folder = folder
        rows = texts.to_pylist()
        self._posts = {
            row["post_id"]: Post(
                row["post_id"], row["text"], row["lang"], row["author_id"], row["created_at"]
            )
            for row in rows
        }
        self._communities: dict[str, str | None] = {row["post_id"]: row["community"] for row in rows}
        self._parents: dict[str, str | None] = {row["post_id"]: row["reply_to"] for row in rows}
        self._threads: dict[str, list[str]] = defaultdict(list)
        self._written: dict[str, list[str]] = defaultdict(list)
        self._thread_of: dict[str, str] = {}
        for row in rows:
            self._threads[row["item_id"]].append(row["post_id"])
            self._thread_of[row["post_id"]] = row["item_id"]
            if row["author_id"] is not None:
                self._written[row["author_id"]].append(row["post_id"])
        # What was said twice is found once, as the latest said it.
        latest = {row["document_id"]: row["post_id"] for row in rows}
        # A post that talks to the model is read as itself, and never handed over as somebody's answer.
        self._index = PostIndex(
            [self._posts[name] for name in latest.values() if not injections(self._posts[name].text)]
        )

    @classmethod
    def load(cls, folder: Path) -> "Library | None":
        """The texts in a state's folder; None for a state published without any. Raises OSError, pa.ArrowException."""
        path = folder / TEXTS
        return cls(pq.read_table(path), folder) if path.is_file() else None

    def __len__(self) -> int:
        return len(self._posts)

    def post(self, post_id: str) -> Post | None:
        """A post, None where none of that name is published."""
        return self._posts.get(post_id)

    def thread(self, post_id: str) -> list[Post]:
        """The conversation that a post belongs to, oldest first; empty for an unknown post."""
        thread = self._thread_of.get(post_id, post_id)
        return [self._posts[name] for name in self._threads.get(thread, [])]

    def conversation(self, post_id: str, most: int, writer: str | None) -> list[Turn]:
        """The post and what it answers, at most `most` posts, oldest first, as `writer` sees them."""
        found: list[Post] = []
        here: str | None = post_id
        while here is not None and len(found) < most and (post := self._posts.get(here)) is not None:
            if post in found:
                break
            found.append(post)
            here = self._parents[here]
        return [Turn(post.text, writer is not None and post.author_id == writer) for post in reversed(found)]

    def search(self, question: str, most: int) -> list[Found]:
        """Posts that speak of what `question` asks, best first."""
        return self._index.search(question, most)

    def writer(self, user_id: str, own_posts: int) -> Writer:
        """What is known of a user: from own posts, else from posts liked, else the languages of the profile."""
        mine = self._written.get(user_id, [])
        if mine:
            return Writer(
                self._profile(mine, [self._posts[name].text for name in mine[-own_posts:]]), "posts"
            )
        liked = self._liked(user_id)
        if liked:
            return Writer(self._profile(liked, []), "activity")
        languages = self._languages(user_id)
        return Writer(Profile(languages=languages), "languages" if languages else "nothing")

    def _profile(self, posts: Sequence[str], texts: Sequence[str]) -> Profile:
        langs = [self._posts[name].lang for name in posts]
        return profile_of(langs, [self._communities[name] for name in posts], texts)

    def _liked(self, user_id: str) -> list[str]:
        found = pq.read_table(
            self._folder / "interactions.parquet",
            columns=["post_id", "occurred_at"],
            filters=(pc.field("user_id") == user_id) & pc.field("is_positive"),
        ).sort_by("occurred_at")
        names = [name for name in found["post_id"].to_pylist() if name in self._posts]
        return names[-_LIKED:]

    def _languages(self, user_id: str) -> tuple[str, ...]:
        users = pq.read_table(
            self._folder / "users.parquet",
            columns=["stated_language", "languages"],
            filters=pc.field("user_id") == user_id,
        ).to_pylist()
        if not users:
            return ()
        named = [users[0]["stated_language"], *(users[0]["languages"] or [])]
        return tuple(dict.fromkeys(name for name in named if name))


class Shelf:
    """Holds the library of the state that answers; replaced in one assignment."""

    def __init__(self) -> None:
        self.library: Library | None = None

    def put(self, folder: Path) -> None:
        """Load the library of a state. Raises as `Library.load`; the former one stays then."""
        self.library = Library.load(folder)
