"""What two texts can share: words of a script with spaces, neighbouring pairs of Chinese characters and kana."""

import re
import unicodedata

_RUNS = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+|[^\W_\u3040-\u30ff\u3400-\u9fff]+"
)
_PAIRED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")

_STOPPED = (
    "a about after all also an and any are as at be been but by can could did do does for from get had has have he her "
    "his how i if in into is it its just like me more my no not of on one or our out she so some than that the their "
    "them then there they this to up us was we were what when where which who why will with would you your anyone "
    "anybody know think please tell don t s re ve ll m d "
    "什么 怎么 为什 如何 怎样 哪里 哪个 哪些 多少 是不 不是 有没 没有 可以 这个 那个 一个 我们 你们 他们 "
    "自己 就是 知道 觉得 大家 请问 有人 么样 么办 么是 是什 吗 呢 的是 了吗 关于 一下 还是 但是 因为 所以 如果"
)
STOP_WORDS = frozenset(_STOPPED.split())
"""Words and pairs that nearly every question has."""


def words(text: str) -> list[str]:
    """Lower-case words and character pairs of `text` in order, without STOP_WORDS; a lone character is a word."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    found: list[str] = []
    for run in _RUNS.findall(folded):
        if _PAIRED.match(run):
            found += [run[i : i + 2] for i in range(max(len(run) - 1, 1))]
        else:
            found.append(run)
    return [word for word in found if word not in STOP_WORDS]
