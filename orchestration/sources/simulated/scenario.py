"""What a simulated world is to be like, and how long it is to run: the small file that the `simulated` reader reads.

A world is its population (users, posts, bots, seed, and the days they were counted over) and its history of shifts. A
scenario is a stretch of days of a world. A day's content depends on the world, the day and the rate of events, never on
other days' events, so a world can be continued, and a longer stretch begins as the shorter one does.
"""

import json
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.errors import UserError
from training.files import write_atomic

BACKLOG_DAYS = 7
"""Days before the first one whose posts are delivered with it, so that the first feed is not empty."""

_DAY_MICROSECONDS = 86_400_000_000
_LEAST_RAMP_DAYS = 5
# A day's posts and replies are numbered up to half a million each; about one event in a hundred is a reply.
_MOST_EVENTS_A_DAY, _MOST_POSTS_A_DAY = 20_000_000, 400_000


class Shift(BaseModel):
    """A change of the whole world: at once on the morning of `day`, or ramping up over `days` days from then."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["gradual", "sudden"]
    day: int = Field(description="Day of the world, 0-based.")
    days: int = Field(0, ge=0, description="Length of the ramp; 0 when sudden.")

    def done(self, day: float) -> float:
        """How far it is done on a day, 0 to 1."""
        if self.days == 0:
            return float(day >= self.day)
        return min(max((day - self.day) / self.days, 0.0), 1.0)


class Scenario(BaseModel):
    """A stretch of days of a world. Raises ValidationError on values that make no world."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    users: int = Field(
        1500, ge=20, le=2_000_000, description="Users who are there or join within the world's days."
    )
    posts: int = Field(
        5000, ge=50, le=20_000_000, description="Opening posts within the world's days; replies come on top."
    )
    events: int = Field(150_000, ge=100, le=2_000_000_000, description="Events within this stretch, about.")
    days: int = Field(42, ge=1, le=10_000, description="Days of this stretch.")
    seed: int = Field(7, ge=0, description="All choice comes from it.")
    drift: Literal["none", "gradual", "sudden"] = Field(
        "none", description="How the world shifts in this stretch."
    )
    drift_day: int | None = Field(
        None,
        ge=0,
        description="Day of this stretch, 0-based, on which the shift begins; two thirds through where absent.",
    )
    bots: int = Field(5, ge=0, le=1000, description="Spam bots among the users.")
    start: date = Field(date(2026, 1, 5), description="Date of the world's day 0, UTC.")
    first_day: int = Field(0, ge=0, description="Day of the world on which this stretch begins.")
    world_days: int | None = Field(
        None, ge=1, description="Days over which users and posts are counted; `days` where absent."
    )
    shifts: tuple[Shift, ...] = Field((), description="Shifts of earlier stretches.")
    truth: str | None = Field(
        None, description="Folder for the known truth, relative to this file; none where absent."
    )

    @model_validator(mode="after")
    def _consistent(self) -> "Scenario":
        if self.bots * 4 > self.users:
            raise ValueError("more than a quarter of the users would be bots")
        if self.drift_day is not None and self.drift_day >= self.days:
            raise ValueError(f"drift_day {self.drift_day} is not within the {self.days} days")
        if self.events_a_day > _MOST_EVENTS_A_DAY or self.posts_a_day > _MOST_POSTS_A_DAY:
            raise ValueError(
                f"a day has at most {_MOST_EVENTS_A_DAY:,} events and {_MOST_POSTS_A_DAY:,} posts; make it more days"
            )
        return self

    @property
    def counted_days(self) -> int:
        """Days over which `users` and `posts` are counted."""
        return self.world_days or self.days

    @property
    def end_day(self) -> int:
        """The day of the world after this stretch's last."""
        return self.first_day + self.days

    @property
    def events_a_day(self) -> float:
        """Mean rate of events."""
        return self.events / self.days

    @property
    def posts_a_day(self) -> float:
        """Mean rate of opening posts; the backlog's are among those counted."""
        return self.posts / (self.counted_days + BACKLOG_DAYS)

    @property
    def shift(self) -> Shift | None:
        """The shift of this stretch."""
        if self.drift == "none":
            return None
        within = self.days * 2 // 3 if self.drift_day is None else self.drift_day
        ramp = max(self.days - within, _LEAST_RAMP_DAYS) if self.drift == "gradual" else 0
        return Shift(kind=self.drift, day=self.first_day + within, days=ramp)

    @property
    def all_shifts(self) -> tuple[Shift, ...]:
        """The world's shifts up to the end of this stretch, in order."""
        return (*self.shifts, self.shift) if self.shift else self.shifts

    @property
    def tag(self) -> str:
        """Four hexadecimal characters that tell this world's ids from another's."""
        world = [self.users, self.posts, self.seed, self.bots, self.counted_days, self.start.isoformat()]
        return blake2b(json.dumps(world).encode(), digest_size=2).hexdigest()

    def microseconds(self, day: float) -> int:
        """Microseconds since 1970 of the beginning of a day of the world."""
        epoch = datetime(self.start.year, self.start.month, self.start.day, tzinfo=UTC)
        return int(epoch.timestamp()) * 1_000_000 + int(day * _DAY_MICROSECONDS)

    def date_of(self, day: int) -> date:
        """The date of a day of the world."""
        return self.start + timedelta(days=day)


def continue_scenario(
    previous: Scenario,
    days: int = 7,
    events: int | None = None,
    drift: Literal["none", "gradual", "sudden"] = "none",
    drift_day: int | None = None,
) -> Scenario:
    """The days after `previous` of the same world; as many events a day where `events` is absent.

    A world that had shifted stays shifted. A second shift brings it back, a third one there again.
    """
    return Scenario(
        **previous.model_dump(
            exclude={"days", "events", "drift", "drift_day", "first_day", "world_days", "shifts"}
        ),
        days=days,
        events=round(previous.events_a_day * days) if events is None else events,
        drift=drift,
        drift_day=drift_day,
        first_day=previous.end_day,
        world_days=previous.counted_days,
        shifts=previous.all_shifts,
    )


def write_scenario(path: Path, scenario: Scenario) -> None:
    """Write a scenario, as JSON or by its ending (`.yaml`, `.yml`) as YAML; whole or not at all."""
    content = scenario.model_dump(mode="json")
    if path.suffix.lower() in {".yaml", ".yml"}:
        text = yaml.safe_dump(content, sort_keys=False)
    else:
        text = json.dumps(content, indent=2) + "\n"
    write_atomic(path, text.encode())


def load_scenario(path: Path) -> Scenario:
    """Read a scenario from JSON or YAML. Raises UserError in one line when it is none."""
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a scenario in YAML or JSON ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: a scenario names its knobs ({', '.join(Scenario.model_fields)})")
    try:
        return Scenario(**content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}: {where + ': ' if where else ''}{first['msg']}") from error
