"""A sequential model as two files, without pickle; the manifest of a bundle around them holds their hashes."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from scipy import sparse
from torch import Tensor

from training.bundle import BundleError
from training.files import write_json_atomic
from training.recommender.sequential.config import SequentialConfig, TransitionConfig
from training.recommender.sequential.model import SequentialRecommender
from training.recommender.sequential.network import SequentialNet
from training.recommender.sequential.terms import Occurrences, Terms
from training.recommender.sequential.transitions import Transitions

WEIGHTS, SETTINGS = "model.safetensors", "model.json"
_NET = "net."


def save_model(model: SequentialRecommender, folder: Path) -> None:
    """Write the model's two files into `folder`. Raises OSError."""
    net, transitions = model.net, model.transitions
    tensors = {_NET + name: value for name, value in net.state_dict().items() if name != "known"}
    tensors |= {"counts": torch.from_numpy(model.occurrences.counts), "weight": transitions.weight}
    tensors["latest"] = torch.from_numpy(model.occurrences.latest)
    if isinstance(transitions.table, Tensor):
        tensors["table"] = transitions.table
    else:
        parts = {name: getattr(transitions.table, name) for name in ("data", "indices", "indptr")}
        tensors |= {f"table.{name}": torch.from_numpy(value) for name, value in parts.items()}
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / WEIGHTS)
    settings = {
        "config": net.config.model_dump(),
        "transitions": transitions.config.model_dump(),
        "width": net.width,
        "length": model.length,
        "terms": asdict(model.terms),
    }
    write_json_atomic(folder / SETTINGS, settings)


def load_model(folder: Path) -> SequentialRecommender:
    """The inverse of `save_model`: scores are equal to the last bit. Raises BundleError for files it did not write."""
    try:
        settings = json.loads((folder / SETTINGS).read_text())
        tensors = load_file(folder / WEIGHTS)
        config = SequentialConfig.model_validate(settings["config"])
        occurrences = Occurrences(tensors["counts"].numpy(), tensors["latest"].numpy())
        net = SequentialNet(occurrences.counts, config, settings["width"])
        state = {name.removeprefix(_NET): value for name, value in tensors.items() if name.startswith(_NET)}
        missing, surplus = net.load_state_dict(state, strict=False)
        if surplus or set(missing) != {"known"}:
            raise KeyError(f"weights {sorted({*missing, *surplus} - {'known'})}")
        how = TransitionConfig.model_validate(settings["transitions"])
        transitions = Transitions(_table(tensors, net.n_items), tensors["weight"], how)
        terms = Terms(**settings["terms"])
        return SequentialRecommender(net, transitions, settings["length"], occurrences, terms)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise BundleError(f"{folder} holds no sequential model ({error})") from error


def _table(tensors: dict[str, Tensor], n: int) -> Tensor | sparse.csr_array:
    if "table" in tensors:
        return tensors["table"]
    data, indices, indptr = (tensors[f"table.{name}"].numpy() for name in ("data", "indices", "indptr"))
    return sparse.csr_array((data, indices, indptr), shape=(n, n))
