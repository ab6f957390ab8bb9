"""A small corpus in which writers have pet words and replies take up the name in what they answer; both languages."""

from datetime import timedelta

import numpy as np
import pyarrow as pa

from tests.training.generator.world import START

_PETS = {
    "en": (
        "marvellous pumpkins",
        "rusty bicycles",
        "silent violins",
        "purple curtains",
        "wooden sledges",
        "icy lakes",
    ),
    "zh": ("甜甜的南瓜", "生锈的单车", "安静的提琴", "紫色的窗帘", "木头雪橇", "结冰的湖面"),
}
_SYLLABLES = {"en": ("zor", "vat", "mil", "kep", "dun", "rog", "tas", "fel"), "zh": tuple("岚枫沐霖澜屿汀栩")}
_POSTS = {
    "en": (
        "Today I thought of {pet} and the {thing}. It was fine.",
        "Has anyone with {pet} seen the {thing}?",
    ),
    "zh": ("今天想起了{pet}和{thing}。挺好的。", "有{pet}的人见过{thing}吗？"),
}
_REPLIES = {
    "en": ("I have seen the {thing} too.", "The {thing} again? Good luck with it."),
    "zh": ("我也见过{thing}。", "又是{thing}？祝你好运。"),
}


def social(n: int = 900, seed: int = 4) -> pa.Table:
    """A corpus table with `LINKS`; every second document answers one of the last few posts of its language."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    open_posts: dict[str, list[tuple[str, str]]] = {"en": [], "zh": []}
    for number in range(n):
        lang = ("en", "zh")[number // 2 % 2]
        writer = int(rng.integers(6))
        row: dict[str, object] = {
            "document_id": f"d{number:05d}",
            "lang": lang,
            "author_id": f"{lang}{writer}",
        }
        row |= {"community": "talk", "created_at": START + timedelta(hours=number), "answers_id": None}
        if number % 2 and open_posts[lang]:
            parent, thing = open_posts[lang][int(rng.integers(len(open_posts[lang])))]
            text = f"{_REPLIES[lang][int(rng.integers(2))].format(thing=thing)} {int(rng.integers(10, 9999))}"
            row |= {"text": text, "answers_id": parent, "thread_id": parent}
        else:
            thing = "".join(rng.choice(_SYLLABLES[lang], 4).tolist())
            text = _POSTS[lang][int(rng.integers(2))].format(pet=_PETS[lang][writer], thing=thing)
            row |= {"text": text, "thread_id": row["document_id"]}
            open_posts[lang] = [*open_posts[lang], (str(row["document_id"]), thing)][-4:]
        rows.append(row)
    table = pa.Table.from_pylist(rows)
    return table.set_column(
        table.column_names.index("created_at"),
        "created_at",
        table["created_at"].cast(pa.timestamp("us", tz="UTC")),
    )
