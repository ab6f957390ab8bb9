"""The jobs a person or a schedule launches. All run in one process: steps are small beside process start-up."""

import dagster as dg

from serving.pointers import KINDS

_TAGS = {"dagster/max_runtime": "7200"}
_FEATURES = dg.AssetSelection.groups("landing", "features")

ingest_job = dg.define_asset_job(
    "ingest",
    selection=_FEATURES | dg.AssetSelection.assets("online_state", "champion_drift"),
    description="Files that wait to landing zone, lake and features; publishes the state that the API reads, and looks "
    "whether the data has drifted away from the champions.",
    executor_def=dg.in_process_executor,
    tags=_TAGS,
)
train_recommender_job = dg.define_asset_job(
    "train_recommender",
    selection=dg.AssetSelection.assets(
        "feature_snapshot", "online_state", "recommender_candidates", "recommender_gate"
    ),
    description="Train recommender candidates on the newest features and let the gate decide on the best.",
    executor_def=dg.in_process_executor,
    tags=_TAGS,
)
train_generator_job = dg.define_asset_job(
    "train_generator",
    selection=dg.AssetSelection.assets(
        "feature_snapshot", "online_state", "generator_candidates", "generator_gate"
    ),
    description="Train generator candidates on the newest corpus and let the gate decide on the best.",
    executor_def=dg.in_process_executor,
    tags=_TAGS,
)
train_generator_preferences_job = dg.define_asset_job(
    "train_generator_preferences",
    selection=dg.AssetSelection.assets(
        "feature_snapshot", "online_state", "generator_preferences", "generator_preferences_gate"
    ),
    description="Train the generator's champion on people's ratings and edits and let the gate decide: it must win on "
    "held-out pairs and forget nothing.",
    executor_def=dg.in_process_executor,
    tags=_TAGS,
)
sweep_jobs = [
    dg.define_asset_job(
        f"{model}_sweep",
        selection=dg.AssetSelection.assets(
            "feature_snapshot", "online_state", f"{model}_trials", f"{model}_gate"
        ),
        description=f"Search the hyper-parameters of the {model} within a budget, train the best configuration and let "
        "the gate decide on it.",
        executor_def=dg.in_process_executor,
        # Three hours of trials at most, and the training after them.
        tags={"dagster/max_runtime": str(4 * 3600)},
    )
    for model in KINDS
]
full_loop_job = dg.define_asset_job(
    "full_loop",
    selection=dg.AssetSelection.all() - dg.AssetSelection.assets("recommender_trials", "generator_trials"),
    description="The whole loop: land, features, drift, train, gate, promote, serve check.",
    executor_def=dg.in_process_executor,
    tags=_TAGS,
)
