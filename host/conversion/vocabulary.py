"""The tokenizer of a Hugging Face folder, as a GGUF file states it."""

import re
from dataclasses import dataclass
from typing import Any

import gguf
from gguf import Keys, TokenType
from rtlm.host.conversion.folder import Folder
from rtlm.host.errors import ModelError
from rtlm.host.models.pre_tokenizers import CONTRACTIONS, GPT_2, PRE_TOKENIZERS

FILE = "tokenizer.json"

ANY_CASE = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
"""How tokenizer.json has the contractions."""


@dataclass(frozen=True, kw_only=True)
class FolderVocabulary:
    """What is written into a GGUF file.

    Parameters
    ----------
    tokens, kinds
        Text and type of each token.
    merges
        Merge rules of byte-level BPE; None for SentencePiece.
    pre
        Its pre-tokenizer.
    scores
        Scores of SentencePiece; None for byte-level BPE.
    space_prefix
        Whether SentencePiece puts a space before a text.
    bos, eos
        Tokens that begin and end a text, if there are any.
    add_bos, add_eos
        Whether every text begins and ends with them.
    template
        The chat template, or nothing.
    """

    tokens: list[str]
    kinds: list[TokenType]
    merges: list[str] | None
    pre: str
    scores: list[float] | None
    space_prefix: bool
    bos: int | None
    eos: int | None
    add_bos: bool
    add_eos: bool
    template: str

    def write(self, writer: gguf.GGUFWriter) -> None:
        """Write it."""
        writer.add_token_list(self.tokens)
        writer.add_token_types(self.kinds)
        if self.scores is None:
            writer.add_tokenizer_model("gpt2")
            writer.add_tokenizer_pre(self.pre)
            writer.add_token_merges(self.merges or [])
        else:
            writer.add_tokenizer_model("llama")
            writer.add_token_scores(self.scores)
            writer.add_add_space_prefix(self.space_prefix)
        for token, add in ((self.bos, writer.add_bos_token_id), (self.eos, writer.add_eos_token_id)):
            if token is not None:
                add(token)
        writer.add_add_bos_token(self.add_bos)
        writer.add_bool(Keys.Tokenizer.ADD_EOS, self.add_eos)
        if self.template:
            writer.add_chat_template(self.template)


def read_vocabulary(folder: Folder, size: int) -> FolderVocabulary:
    """Return the tokenizer of a folder.

    Parameters
    ----------
    folder
        The folder.
    size
        Rows of the embedding; numbers without a token get one that stands for nothing.

    Raises
    ------
    ModelError
        If it is no BPE, cuts text in an unknown way, or has impossible numbers.
    """
    values = folder.json(FILE)
    model = values.get("model")
    if not isinstance(model, dict) or model.get("type", "BPE") != "BPE":
        kind = model.get("type") if isinstance(model, dict) else model
        raise ModelError(f"{folder.path / FILE}: the tokenizer must be BPE, got {kind!r:.60}")
    tokens, kinds = _tokens(folder, model, values.get("added_tokens") or [], size)
    merges = _merges(folder, model)
    bytes_of_characters = bool(model.get("byte_fallback"))
    settings = folder.json("tokenizer_config.json", required=False)
    config = folder.json("config.json")
    ids = {token: index for index, token in enumerate(tokens)}
    before, behind = _edges(values.get("post_processor"))
    bos, eos = (_edge(ids, settings, config, name, size) for name in ("bos", "eos"))
    return FolderVocabulary(
        tokens=tokens,
        kinds=kinds,
        merges=None if bytes_of_characters else [" ".join(rule) for rule in merges],
        pre="" if bytes_of_characters else _pre_tokenizer(folder, values, bool(model.get("ignore_merges"))),
        scores=_scores(tokens, merges) if bytes_of_characters else None,
        space_prefix=_space_prefix(values),
        bos=bos,
        eos=eos,
        add_bos=bos is not None and tokens[bos] in before,
        add_eos=eos is not None and tokens[eos] in behind,
        template=_template(folder, settings),
    )


def _tokens(folder: Folder, model: dict[str, Any], added: Any, size: int) -> tuple[list[str], list[TokenType]]:
    vocabulary = model.get("vocab")
    entries = [] if not isinstance(added, list) else added
    if not isinstance(vocabulary, dict) or not all(isinstance(entry, dict) for entry in entries):
        raise ModelError(f"{folder.path / FILE}: the tokenizer must have a vocabulary and a list of added tokens")
    tokens: list[str | None] = [None] * size
    kinds = [TokenType.UNUSED] * size
    named = [(token, index, TokenType.NORMAL) for token, index in vocabulary.items()]
    for entry in entries:
        kind = TokenType.CONTROL if entry.get("special") else TokenType.USER_DEFINED
        named.append((entry.get("content"), entry.get("id"), kind))
    fallback = bool(model.get("byte_fallback"))
    for token, index, kind in named:
        if not isinstance(token, str) or type(index) is not int or not 0 <= index < size:
            raise ModelError(
                f"{folder.path / FILE}: a token must have a number from 0 to {size - 1}, got {index!r:.40} for "
                f"{token!r:.40}"
            )
        tokens[index] = token
        kinds[index] = TokenType.BYTE if fallback and len(token) == 6 and token.startswith("<0x") else kind
    return [f"[PAD{index}]" if token is None else token for index, token in enumerate(tokens)], kinds


def _merges(folder: Folder, model: dict[str, Any]) -> list[tuple[str, str]]:
    rules = model.get("merges")
    pairs = [rule.split(" ") if isinstance(rule, str) else rule for rule in rules] if isinstance(rules, list) else None
    if pairs is None or not all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair) for pair in pairs
    ):
        raise ModelError(f"{folder.path / FILE}: the merges must be a list of pairs of tokens")
    return [(first, second) for first, second in pairs]


def _pre_tokenizer(folder: Folder, values: dict[str, Any], whole_words: bool) -> str:
    """Return the name of the pre-tokenizer that cuts as the folder's does; its expressions are compared, not run."""
    if not values.get("normalizer"):
        patterns = _patterns(values.get("pre_tokenizer"))
        for name, rules in PRE_TOKENIZERS.items():
            if patterns == tuple(map(_unescaped, rules.patterns)) and rules.whole_words == whole_words:
                return name
    raise ModelError(
        f"{folder.path / FILE}: the tokenizer must cut text as one of {', '.join(PRE_TOKENIZERS)}; this one has "
        "another pre-tokenizer"
    )


def _unescaped(pattern: str) -> str:
    """Return an expression with characters for their codes, as tokenizer.json has them."""
    return re.sub(r"\\u([0-9a-f]{4})", lambda code: chr(int(code[1], 16)), pattern)


def _patterns(value: Any) -> tuple[str, ...] | None:
    """Return the expressions by which a pre-tokenizer cuts; None if it does anything else."""
    match value:
        case {"type": "Sequence", "pretokenizers": [*parts]}:
            inner = [_patterns(part) for part in parts]
            return None if None in inner else tuple(each for part in inner for each in part or ())
        case {"type": "Split", "pattern": {"Regex": str(pattern)}, "behavior": "Isolated", "invert": False}:
            return (pattern.replace(ANY_CASE, CONTRACTIONS),)
        case {"type": "Digits", "individual_digits": True}:
            return (r"\p{N}",)
        case {"type": "ByteLevel", "add_prefix_space": False}:
            return (GPT_2,) if value.get("use_regex", True) else ()
    return None


def _edges(value: Any) -> tuple[set[str], set[str]]:
    """Return the special tokens that a post-processor puts before and behind a text."""
    before: set[str] = set()
    behind: set[str] = set()
    match value:
        case {"type": "Sequence", "processors": [*parts]}:
            for part in parts:
                found = _edges(part)
                before |= found[0]
                behind |= found[1]
        case {"type": "TemplateProcessing", "single": [*parts]}:
            side = before
            for part in parts:
                match part:
                    case {"SpecialToken": {"id": str(token)}}:
                        side.add(token)
                    case {"Sequence": _}:
                        side = behind
    return before, behind


def _scores(tokens: list[str], merges: list[tuple[str, str]]) -> list[float]:
    """Return scores that order merges as their list does."""
    ranks: dict[str, int] = {}
    for rank, (first, second) in enumerate(merges):
        ranks.setdefault(first + second, rank)
    return [-float(ranks.get(token, len(merges))) for token in tokens]


def _space_prefix(values: dict[str, Any]) -> bool:
    """Say whether a tokenizer.json of SentencePiece puts a space before a text."""

    def parts(value: Any) -> list[dict[str, Any]]:
        if not isinstance(value, dict):
            return []
        inner = value.get("normalizers") or value.get("pretokenizers") or []
        return [value, *(part for part in inner if isinstance(part, dict))]

    prepends = any(part.get("type") == "Prepend" for part in parts(values.get("normalizer")))
    return prepends or any(
        part.get("type") == "Metaspace" and part.get("prepend_scheme", "always") != "never"
        for part in parts(values.get("pre_tokenizer"))
    )


def _edge(ids: dict[str, int], settings: dict[str, Any], config: dict[str, Any], name: str, size: int) -> int | None:
    """Return the token that begins or ends a text, which tokenizer_config.json names or config.json numbers."""
    token = settings.get(f"{name}_token")
    token = token.get("content") if isinstance(token, dict) else token
    if isinstance(token, str) and token in ids:
        return ids[token]
    number = config.get(f"{name}_token_id")
    number = number[0] if isinstance(number, list) and number else number
    if number is None:
        return None
    if type(number) is not int or not 0 <= number < size:
        raise ModelError(f"{name}_token_id must be from 0 to {size - 1}, got {number!r:.40}")
    return number


def _template(folder: Folder, settings: dict[str, Any]) -> str:
    """Return the default chat template, from a file of its own or from tokenizer_config.json."""
    path = folder.path / "chat_template.jinja"
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise ModelError(f"{path}: the file must be UTF-8 text") from None
    template = settings.get("chat_template")
    if isinstance(template, list):
        named = [entry for entry in template if isinstance(entry, dict) and entry.get("name") == "default"]
        template = named[0].get("template") if named else None
    return template if isinstance(template, str) else ""
