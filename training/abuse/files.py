"""Guard and judge as files of a generator's bundle: `abuse.json`, and `abuse.safetensors` where there are any."""

import json
from pathlib import Path

from safetensors.numpy import load_file, save_file

from training.abuse.fit import AbuseModels
from training.abuse.model import AbuseModel

WEIGHTS, FACTS = "abuse.safetensors", "abuse.json"
_ROLES = ("guard", "judge")


def write_models(folder: Path, models: AbuseModels) -> None:
    """Write both into `folder`. Raises OSError."""
    known = {role: getattr(models, role) for role in _ROLES}
    present = {role: model for role, model in known.items() if model is not None}
    if present:
        arrays = {
            f"{role}.{name}": array
            for role, model in present.items()
            for name, array in model.arrays().items()
        }
        save_file(arrays, folder / WEIGHTS)
    facts = {"models": {role: model.to_dict() for role, model in present.items()}, "notes": models.notes}
    (folder / FACTS).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")


def read_models(folder: Path) -> AbuseModels | None:
    """What `write_models` wrote; None where a bundle was written before there were any.

    Raises OSError, and ValueError for files that do not fit together.
    """
    if not (folder / FACTS).exists():
        return None
    facts = json.loads((folder / FACTS).read_text("utf-8"))
    try:
        present = dict(facts["models"])
        arrays = load_file(folder / WEIGHTS) if present else {}
        models = {
            role: AbuseModel.read(
                {
                    name.removeprefix(f"{role}."): array
                    for name, array in arrays.items()
                    if name.startswith(f"{role}.")
                },
                found,
            )
            for role, found in present.items()
        }
        return AbuseModels(models.get("guard"), models.get("judge"), list(facts["notes"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{FACTS} is not what was written there ({error})") from error
