"""Tiny public models, made here: random weights, a tokenizer trained on the test's own texts."""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.training.generator.world import texts

END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "{{ '<|im_start|>system\nBe kind<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SIZE = 600


def byte_level() -> PreTrainedTokenizerFast:
    """As SmolLM2's: byte-level, no token put first, `<|im_end|>` ends a turn."""
    encoder = Tokenizer(models.BPE())
    encoder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    encoder.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<unk>", END, START, STOP]
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    encoder.train_from_iterator(texts(300), trainer)
    found = PreTrainedTokenizerFast(
        tokenizer_object=encoder, bos_token=START, eos_token=STOP, unk_token="<unk>"
    )
    found.chat_template = TEMPLATE
    return found


def sentence_piece() -> PreTrainedTokenizerFast:
    """As Llama 2's: spaces as U+2581, bytes for unknown characters, `<s>` put first."""
    special = ["<unk>", "<s>", "</s>"]
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    known = sorted({character for text in texts(300) for character in text} - {" "} | {"\u2581"})
    vocabulary = {piece: index for index, piece in enumerate([*special, *bytes_, *known])}
    encoder = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    encoder.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    encoder.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    encoder.add_special_tokens(special)
    encoder.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=encoder, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def llama(tokenizer: PreTrainedTokenizerFast, **more: Any) -> LlamaForCausalLM:
    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=96,
        initializer_range=0.3,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **more,
    )
    return LlamaForCausalLM(config)


def gpt2(tokenizer: PreTrainedTokenizerFast) -> GPT2LMHeadModel:
    torch.manual_seed(5)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=64,
        n_embd=32,
        n_layer=2,
        n_head=4,
        initializer_range=0.3,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return GPT2LMHeadModel(config)


def save(folder: Path, model: Any, tokenizer: PreTrainedTokenizerFast, licence: str = "mit") -> Path:
    """As the hub lays a model out."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(f"---\nlicense: {licence}\n---\n# Tiny\n")
    return folder


def folder_of(kind: str, folder: Path) -> Path:
    """A checkpoint of one of KINDS."""
    if kind == "sentence-piece":
        tokenizer = sentence_piece()
        return save(folder, llama(tokenizer), tokenizer)
    tokenizer = byte_level()
    if kind == "gpt2":
        return save(folder, gpt2(tokenizer), tokenizer)
    # The embedding has rows that no token uses, and is not tied to the head's.
    model = llama(tokenizer, tie_word_embeddings=False)
    model.resize_token_embeddings(len(tokenizer) + 24)
    return save(folder, model, tokenizer)


KINDS = ("llama", "sentence-piece", "gpt2")


def gguf_of(folder: Path, target: Path, licence: str = "apache-2.0") -> Path:
    """The Llama checkpoint in `folder` as a GGUF file, weights as they are."""
    import gguf
    from safetensors.torch import load_file

    config = json.loads((folder / "config.json").read_text())
    described = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = described["model"]["vocab"]
    special = {token["content"] for token in described["added_tokens"]}
    pieces = sorted(vocabulary, key=vocabulary.__getitem__)
    writer = gguf.GGUFWriter(target, "llama")
    writer.add_name("Tiny")
    writer.add_license(licence)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(pieces)
    writer.add_token_types(
        [gguf.TokenType.CONTROL if piece in special else gguf.TokenType.NORMAL for piece in pieces]
    )
    writer.add_token_merges([" ".join(pair) for pair in described["model"]["merges"]])
    writer.add_bos_token_id(vocabulary[START])
    writer.add_eos_token_id(vocabulary[STOP])
    writer.add_unk_token_id(vocabulary["<unk>"])
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for name, tensor in load_file(folder / "model.safetensors").items():
        heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
        for part, count in heads.items():
            if part in name:
                # llama.cpp keeps the halves of rotary pairs side by side.
                rows, columns = tensor.shape
                tensor = (
                    tensor.view(count, 2, rows // count // 2, columns).swapaxes(1, 2).reshape(rows, columns)
                )
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), tensor.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
