"""Language of a text as a BCP 47 tag: by script where the script tells, by py3langid where it does not.

Chinese, Japanese and Korean are told by the share of their characters, also in texts mixed with English words.
Other scripts go to py3langid, restricted to languages with a written social web: left alone it takes "Thanks!" for
Kabyle. Where it is not sure, or nothing is left but links and mentions, the answer is `und`: a wrong tag would make
a false slice.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

UNDETERMINED = "und"

# fmt: off
_LANGUAGES = [
    "ar", "bg", "bn", "ca", "cs", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "he", "hi", "hr", "hu", "id",
    "it", "ja", "ko", "lt", "lv", "ms", "nl", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "ta", "te", "th",
    "tr", "uk", "ur", "vi", "zh",
]
# fmt: on
# Below this posterior, comments of real forums are tagged wrongly more often than not.
_LEAST_CONFIDENCE = 0.3
# The language shows early; a longer look costs time in proportion.
_CHARACTERS_READ = 400
_HAN_CHARACTERS_PER_WORD = 1.6

_NOT_LANGUAGE = (
    r"https?://\S+|www\.\S+|[\w.+-]+@[\w-]+\.\w+|[@＠][\p{L}\p{N}_.-]+|#\w+|\$[^$]*\$|`[^`]*`|<[^>]*>"
)


@lru_cache(maxsize=1)
def _identifier() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(
        MODEL_FILE, norm_probs=True, min_confidence=_LEAST_CONFIDENCE
    )
    identifier.set_languages(_LANGUAGES)
    return identifier


def _by_script(texts: pa.Array) -> pa.Array:
    """`zh`, `ja`, `ko` or null for each cleaned text, by counts of characters and Latin words."""
    han = pc.count_substring_regex(texts, r"\p{Han}")
    kana = pc.count_substring_regex(texts, r"[\p{Hiragana}\p{Katakana}]")
    hangul = pc.count_substring_regex(texts, r"\p{Hangul}")
    words = pc.count_substring_regex(texts, r"[\p{Latin}\p{Cyrillic}\p{Greek}\p{Arabic}]+").cast(pa.float64())
    enough_han = pc.and_(
        pc.greater(han, 0),
        pc.greater_equal(pc.divide(han.cast(pa.float64()), _HAN_CHARACTERS_PER_WORD), words),
    )
    # Every Japanese sentence has kana; a Chinese one quotes one or two at most.
    japanese = pc.and_(pc.greater(kana, 2), pc.greater(pc.multiply(kana, 5), han))
    korean = pc.and_(pc.greater(hangul, 1), pc.greater(hangul, han))
    return pc.case_when(pc.make_struct(japanese, korean, enough_han), "ja", "ko", "zh")


def detect_languages(texts: pa.Array) -> pa.Array:
    """Return a tag for each text (null for null), each distinct text looked at once."""
    encoded = pc.dictionary_encode(texts)
    distinct = pc.utf8_slice_codeunits(encoded.dictionary, 0, _CHARACTERS_READ)
    cleaned = pc.utf8_trim_whitespace(pc.replace_substring_regex(distinct, _NOT_LANGUAGE, " "))
    tags = _by_script(cleaned).to_pylist()
    # A Chinese name in an English sentence must not decide for it.
    cleaned = pc.replace_substring_regex(cleaned, r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]+", " ")
    has_letters = pc.match_substring_regex(cleaned, r"\p{L}").to_pylist()
    for index, tag in enumerate(tags):
        if tag is None:
            known = has_letters[index]
            tags[index] = _identifier().classify(cleaned[index].as_py())[0] if known else UNDETERMINED
    return pc.take(pa.array(tags, pa.string()), encoded.indices)
