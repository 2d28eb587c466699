"""How byte-level BPE cuts text into words before it merges, by the name that a GGUF file gives (`tokenizer.ggml.pre`).

Names and rules as in llama.cpp's llama-vocab.cpp.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PreTokenizer:
    """A way of cutting.

    Parameters
    ----------
    patterns
        Regular expressions (Oniguruma's syntax). Each cuts every piece that the one before has left into its matches
        and what lies between them.
    whole_words
        Whether a word that is a token is that token, whatever merges make of it.
    add_bos
        Whether a text begins with the token for that, where the file does not say.
    """

    patterns: tuple[str, ...]
    whole_words: bool = False
    add_bos: bool = False


CONTRACTIONS = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
GPT_2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_PUNCTUATION_AND_SPACE = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_GPT_4 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s|" + _PUNCTUATION_AND_SPACE

_LETTER_NOT_LOWER, _LETTER_NOT_UPPER = r"(?:(?=\p{L})[^a-z])", r"(?:(?=\p{L})[^A-Z])"
_CASED = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_LETTER_NOT_LOWER}*{_LETTER_NOT_UPPER}+%s"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{_LETTER_NOT_LOWER}+{_LETTER_NOT_UPPER}*%s"
    r"|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

_GPT_2_WORDS = PreTokenizer((GPT_2,))
_SINGLE_DIGITS = PreTokenizer((r"\p{N}", GPT_2))
_LLAMA_3 = PreTokenizer((_GPT_4 % "{1,3}",), whole_words=True, add_bos=True)
_SMAUG = PreTokenizer(_LLAMA_3.patterns)
_GPT_4O = PreTokenizer((_CASED % (CONTRACTIONS + "?", CONTRACTIONS + "?", "{1,3}"),))
_QWEN_2 = PreTokenizer((_GPT_4 % "",))
_DEEPSEEK_CODER = PreTokenizer(
    ("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", r"\p{N}")
)
_DEEPSEEK_3 = PreTokenizer(
    (
        r"\p{N}{1,3}",
        r"[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    )
)

DEFAULT = "default"
"""The name that stands for a missing one."""

PRE_TOKENIZERS = {
    DEFAULT: PreTokenizer((r"[\p{P}$+<=>^~|]+", GPT_2, r"\p{N}+", "[0-9][0-9][0-9]")),
    "gpt-2": _GPT_2_WORDS,
    "mpt": _GPT_2_WORDS,
    "olmo": _GPT_2_WORDS,
    "smollm": _SINGLE_DIGITS,
    "starcoder": _SINGLE_DIGITS,
    "refact": _SINGLE_DIGITS,
    "command-r": _SINGLE_DIGITS,
    "exaone": _SINGLE_DIGITS,
    "codeshell": _SINGLE_DIGITS,
    "minerva-7b": _SINGLE_DIGITS,
    "falcon": PreTokenizer((r"[\p{P}$+<=>^~|`]+", GPT_2, "[0-9][0-9][0-9]")),
    "llama-bpe": _LLAMA_3,
    "llama3": _LLAMA_3,
    "llama-v3": _LLAMA_3,
    "falcon3": _LLAMA_3,
    "pixtral": _LLAMA_3,
    "smaug-bpe": _SMAUG,
    "dbrx": _SMAUG,
    "gpt-4o": _GPT_4O,
    "llama4": _GPT_4O,
    "tekken": PreTokenizer((_CASED % ("", "", ""),), whole_words=True, add_bos=True),
    "qwen2": _QWEN_2,
    "stablelm2": _QWEN_2,
    "deepseek-r1-qwen": _QWEN_2,
    "qwen35": PreTokenizer(
        (
            CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+"
            r"|\s+(?!\S)|\s+",
        )
    ),
    "deepseek-coder": _DEEPSEEK_CODER,
    "deepseek-v3": _DEEPSEEK_3,
}
"""Pre-tokenizers by the names in files."""
