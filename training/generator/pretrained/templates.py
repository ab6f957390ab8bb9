"""A base model's chat template, made ready for our server."""

import json

from training.generator.pretrained.tokenizer import PretrainedTokenizer
from training.generator.tokenizer import END_ID

_BREAK = "\u200b"
"""Zero-width space: the text reads the same, and is no special token any more."""


def served_template(template: str, tokenizer: PretrainedTokenizer) -> str:
    """`template` with the names that templates may use, over messages in which nobody can spell a special token.

    The server encodes what is rendered with special tokens, so a message that spelled one would speak in the name of
    another role. `bos_token` is empty where it is what every text begins with anyway.
    """
    bos = tokenizer.named("bos_token")
    known = {
        "bos_token": "" if tokenizer.special.get(bos) == tokenizer.begin else bos,
        "eos_token": next(text for text, token in tokenizer.special.items() if token == END_ID),
    }
    named = "".join(f"{{%- set {name} = {json.dumps(value)} -%}}" for name, value in known.items())
    plain = "message.content"
    for text in sorted(tokenizer.special):
        plain += f" | replace({json.dumps(text)}, {json.dumps(text[:1] + _BREAK + text[1:])})"
    return (
        f"{named}{{%- set ns = namespace(said=[]) -%}}{{%- for message in messages -%}}"
        f"{{%- set ns.said = ns.said + [dict(message, content={plain})] -%}}{{%- endfor -%}}"
        f"{{%- set messages = ns.said -%}}{template}"
    )
