"""What starts a training besides the clock: drift, feedback, and a reviewer's word in MLflow."""

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg

from orchestration.defs.jobs import (
    train_generator_job,
    train_generator_preferences_job,
    train_recommender_job,
)
from serving.settings import get_settings

_JOBS = {"recommender": train_recommender_job, "generator": train_generator_job}


def _cursor(context: dg.SensorEvaluationContext) -> dict[str, Any]:
    known: dict[str, Any] = json.loads(context.cursor) if context.cursor else {}
    return known


@dg.sensor(
    jobs=list(_JOBS.values()),
    minimum_interval_seconds=60,
    description="Retrains a model when the data has drifted away from its champion's training window.",
)
def drift_found(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Reads the newest `champion_drift` materialization; each finding starts one training a model."""
    found = context.instance.fetch_materializations(dg.AssetKey("champion_drift"), limit=1).records
    if not found or found[0].asset_materialization is None:
        yield dg.SkipReason("drift was never looked for")
        return
    newest, told = found[0].storage_id, found[0].asset_materialization.metadata
    known, asked = _cursor(context), False
    for model, job in _JOBS.items():
        drifted = told.get(f"{model}_drifted")
        columns = drifted.value if drifted is not None else None
        if not columns or known.get(model) == newest:
            continue
        known[model], asked = newest, True
        yield dg.RunRequest(job_name=job.name, tags={"tidegate/reason": f"drift in {columns}"[:250]})
    context.update_cursor(json.dumps(known))
    if not asked:
        yield dg.SkipReason("no drift that was not answered already")


@dg.sensor(
    job=train_generator_preferences_job,
    minimum_interval_seconds=60,
    description="Trains the generator from feedback when enough has come in that its champion does not know.",
)
def feedback_volume(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Counts feedback that no candidate of the present champion has learnt from. The cursor holds for which champion
    and at how many rows a training was last asked for: one that is under way, or failed, is not asked for again.
    """
    from orchestration.preferences import feedback_due

    settings = get_settings()
    due, needed, known = feedback_due(settings), settings.feedback_volume, _cursor(context)
    if not due.enough(needed) or due.champion is None:
        yield dg.SkipReason(due.line(needed))
        return
    asked_at = known["rows"] if known.get("champion") == due.champion.digest else 0
    if due.rows - asked_at < needed:
        yield dg.SkipReason(
            f"asked for at {asked_at} feedback rows, there are {due.rows}; {needed} more are needed"
        )
        return
    context.update_cursor(json.dumps({"champion": due.champion.digest, "rows": due.rows}))
    yield dg.RunRequest(tags={"tidegate/reason": f"{due.new} new feedback rows"})


@dg.sensor(
    minimum_interval_seconds=30,
    description="Carries out a reviewer's approval or rejection, given as a tag on the model version in MLflow.",
)
def reviewer_approval(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Tag `gate.approve` (value: your name) or `gate.reject` (value: `name: reason`) on a version under review.

    The decision is made again with the approval as evidence, so the sensor acts itself and asks for no run.
    """
    from orchestration.judge import act_on_reviews

    done = act_on_reviews(get_settings())
    return dg.SkipReason("; ".join(done) if done else "no review was answered")
