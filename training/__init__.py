"""Pure machine learning: Arrow tables in, metrics and a bundle out. Knows no Dagster, no DuckDB and no HTTP.

Importing it turns telemetry and progress bars of the packages below off, unless the environment already says otherwise:
every entry point of the project imports this package before the others, also `mlflow.pyfunc.load_model` in a stranger's
process.
"""

import os

_TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",  # evidently (iterative-telemetry), dbt, huggingface_hub and others honour it
    "DAGSTER_DISABLE_TELEMETRY": "yes",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
_QUIET = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",  # a bar for every copied bundle
    "TOKENIZERS_PARALLELISM": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",  # a line for every table of a new store
}

for _name, _value in (_TELEMETRY_OFF | _QUIET).items():
    os.environ.setdefault(_name, _value)
