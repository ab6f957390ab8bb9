"""A public model in memory: tokenizer, network and chat template, from a source or from a bundle.

In a bundle: `checkpoint/` as transformers reads it (and any server that does), and beside it

- `config.json`: which ids begin and end a text, how far back is looked, where the base model is from
- `chat_template.jinja`: where the base model has one, made ready for our server by `templates.py`
"""

import json
import tempfile
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.errors import UserError
from training.generator.config import PretrainedConfig
from training.generator.mixture import LanguageModel
from training.generator.pretrained.network import PretrainedNetwork
from training.generator.pretrained.source import Provenance, Source, find
from training.generator.pretrained.templates import served_template
from training.generator.pretrained.tokenizer import FILES, PretrainedTokenizer
from training.generator.tokenizer import END

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CHECKPOINT, SETTINGS, TEMPLATE = "checkpoint", "config.json", "chat_template.jinja"


@dataclass(frozen=True)
class Ids:
    """Ids of the model's own vocabulary."""

    end: int
    begin: int
    other_ends: tuple[int, ...]


class PretrainedModel(LanguageModel):
    """A public model, as it came or fine-tuned. It has no n-gram partner: its vocabulary and its text are not ours."""

    tokenizer: PretrainedTokenizer
    network: PretrainedNetwork

    def __init__(
        self,
        tokenizer: PretrainedTokenizer,
        network: PretrainedNetwork,
        ids: Ids,
        template: str | None,
        provenance: Provenance,
    ) -> None:
        """`template`: chat template in Jinja; None for a model that was taught no conversations."""
        super().__init__(tokenizer, None, network)
        self._ids, self.template, self.provenance = ids, template, provenance

    def write(self, folder: Path) -> None:
        """The model as transformers reads it under `checkpoint/`; chat template and settings beside it."""
        checkpoint = folder / CHECKPOINT
        with self.network.original() as causal:
            causal.save_pretrained(checkpoint)
        self.tokenizer.save(checkpoint)
        settings = {
            "end": self._ids.end,
            "begin": self._ids.begin,
            "other_ends": list(self._ids.other_ends),
            "context": self.network.context,
            "base_model": self.provenance.to_dict(),
        }
        (folder / SETTINGS).write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", "utf-8")
        if self.template is not None:
            (checkpoint / TEMPLATE).write_text(self.template, "utf-8")
            (folder / TEMPLATE).write_text(served_template(self.template, self.tokenizer), "utf-8")


def read(folder: Path) -> PretrainedModel:
    """What `write` wrote. Raises whatever a part raises that is not as it was written."""
    settings = json.loads((folder / SETTINGS).read_text("utf-8"))
    checkpoint, template = folder / CHECKPOINT, folder / CHECKPOINT / TEMPLATE
    ids = Ids(settings["end"], settings["begin"], tuple(settings["other_ends"]))
    files = {name: (checkpoint / name).read_bytes() for name in FILES}
    return _assembled(
        _causal(Source("bundle", checkpoint)),
        files,
        ids,
        settings["context"],
        template.read_text("utf-8") if template.is_file() else None,
        Provenance(**settings["base_model"]),
    )


def load(name: str, config: PretrainedConfig) -> PretrainedModel:
    """The base model `name`, float32. Raises UserError in one line when it is not there or cannot be used."""
    source = find(name, config.allow_download)
    try:
        tokenizer, causal = _tokenizer(source), _causal(source)
        ids, template = (
            _ids(tokenizer, causal),
            tokenizer.get_chat_template() if tokenizer.chat_template else None,
        )
        most = int(getattr(causal.config, "max_position_embeddings", config.context))
        with tempfile.TemporaryDirectory() as scratch:
            tokenizer.save_pretrained(scratch)
            files = {name: (Path(scratch) / name).read_bytes() for name in FILES}
        return _assembled(causal, files, ids, min(config.context, most), template, source.provenance())
    except UserError as error:
        raise UserError(f"base_model {name}: {error}") from error
    except Exception as error:  # transformers and tokenizers raise of every kind for files they cannot use
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"base_model {name} cannot be loaded: {line}") from error


def _assembled(
    causal: "PreTrainedModel",
    files: dict[str, bytes],
    ids: Ids,
    context: int,
    template: str | None,
    provenance: Provenance,
) -> PretrainedModel:
    rows = causal.get_output_embeddings().weight.shape[0]
    tokenizer = PretrainedTokenizer(files, rows, ids.end, ids.begin, ids.other_ends)
    network = PretrainedNetwork(causal, ids.end, tokenizer.begin, context)
    return PretrainedModel(tokenizer, network, ids, template, provenance)


def _tokenizer(source: Source) -> "PreTrainedTokenizerBase":
    from transformers import AutoTokenizer

    found = AutoTokenizer.from_pretrained(
        source.folder, gguf_file=source.gguf, local_files_only=True, trust_remote_code=False
    )
    if not found.is_fast:
        raise UserError("its tokenizer has no tokenizer.json and cannot be turned into one")
    return found


def _causal(source: Source) -> "PreTrainedModel":
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    more: dict[str, Any] = {"use_safetensors": True}
    if source.gguf:
        more = {"gguf_file": source.gguf, "quantization_config": GgufConfig(dequantize=True)}
    # The reader of GGUF draws a bar that nothing turns off. float32 is asked for, because the default is the file's own
    # type, and half precision on processors is slower by orders.
    with redirect_stderr(StringIO()):
        return AutoModelForCausalLM.from_pretrained(
            source.folder, dtype=torch.float32, local_files_only=True, trust_remote_code=False, **more
        )


def _ids(tokenizer: "PreTrainedTokenizerBase", causal: "PreTrainedModel") -> Ids:
    """The end is what the tokenizer calls so, and what else the model's own settings stop at ends a text too.

    A document begins after the token that the tokenizer itself puts first; if it puts none, after the separator of
    documents where the vocabulary has the usual one, else after the end token.
    """
    stops = causal.generation_config.eos_token_id if causal.generation_config else None
    stops = stops if isinstance(stops, list) else [] if stops is None else [stops]
    end = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else next(iter(stops), None)
    if end is None:
        raise UserError("it has no token that ends a text")
    first = tokenizer("a")["input_ids"][0]
    separator = tokenizer.get_vocab().get(END)
    begin = first if first == tokenizer.bos_token_id else end if separator is None else separator
    rows = causal.get_output_embeddings().weight.shape[0]
    return Ids(end, begin, tuple(stop for stop in stops if stop != end and stop < rows))
