"""Strong insults that need no context.

The abuse lexicon is small and weak: it knows strong insults that need no context, so it misses most abuse and says
nothing about contempt in plain words. A text without a hit is not thereby decent.
"""

import re
import unicodedata

INSULTS = re.compile(
    r"\b(?:(?:mother)?fuck(?:er|ers|ing|ed)?|cunts?|bitch(?:es)?|sluts?|whores?|fagg?ots?|nigg(?:er|a)s?|retards?|kys"
    r"|kill yourself|assholes?|dickheads?|wankers?)\b"
    r"|傻[逼屄比叉]|[煞傻]笔|妈(?:了个)?[逼屄]|[操草肏日干]你(?:妈|娘|大爷|全家|祖宗)|草泥马|狗日的|狗娘养|王八蛋|婊子|贱[人货逼]"
    r"|杂种|畜生|人渣|去死吧|死全家|脑残|龟孙|支那|黑鬼",
    re.IGNORECASE,
)


def is_insulting(text: str) -> bool:
    """Whether the lexicon finds a strong insult."""
    return INSULTS.search(unicodedata.normalize("NFKC", text)) is not None
