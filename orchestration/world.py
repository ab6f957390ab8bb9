"""The embedded world: founds it in an empty lake, and lets it live on for more days."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from serving.settings import Settings
from training.errors import UserError
from training.files import write_json_atomic


def _worlds_dir(settings: Settings) -> Path:
    return settings.home / "worlds"


def found_world_if_empty(settings: Settings, progress: Callable[[str], None]) -> bool:
    """Found and ingest the default world when nothing was ever landed and nothing waits. True when it did."""
    landed = any((settings.landing_dir / "manifests").glob("*.json"))
    waits = any(path.is_file() for path in settings.incoming_dir.rglob("*"))
    if landed or waits:
        return False
    progress("nothing was ever landed: founding the embedded world")
    simulate(settings, {}, progress)
    return True


def _scenarios(settings: Settings) -> list[Path]:
    return sorted(_worlds_dir(settings).glob("*.json"))


def simulate(settings: Settings, knobs: dict[str, Any], progress: Callable[[str], None]) -> str:
    """Found a simulated world, or continue the one that is there by more days; ingest it and say so in one line.

    `knobs` are the scenario's fields that the user set (users, posts, events, days, seed, drift, drift_day, bots).
    Raises UserError when a knob of the population is set to another value than the world was founded with.
    """
    from orchestration.lake.ingest import ingest
    from orchestration.sources.simulated import Scenario, continue_scenario

    found = _scenarios(settings)
    defaults = {
        "users": settings.world_users,
        "posts": settings.world_posts,
        "events": settings.world_events,
        "days": settings.world_days,
        "seed": settings.world_seed,
        "truth": str(settings.truth_dir),
    }
    if not found:
        scenario = Scenario(**defaults | knobs)
    else:
        previous = Scenario(**json.loads(found[-1].read_text()))
        for name in ("users", "posts", "seed", "bots"):
            if knobs.get(name) is not None and knobs[name] != getattr(previous, name):
                raise UserError(
                    f"the world in {settings.home} was founded with {name}={getattr(previous, name)}; to found "
                    "another one, set TIDEGATE_HOME to another folder"
                )
        knobs = {
            name: value for name, value in knobs.items() if name in {"days", "events", "drift", "drift_day"}
        }
        scenario = continue_scenario(previous, **knobs)
    path = _worlds_dir(settings) / f"{len(found):04d}.json"
    write_json_atomic(path, scenario.model_dump(mode="json"))
    try:
        report = ingest(settings, path, "simulated", progress)
    except BaseException:
        path.unlink()
        raise
    return report.line()
