"""What a run has to answer, checked before anything is built: model, accelerator, prompts, context."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rtlm.gen.common.progress import Progress
from rtlm.gen.configuration.defaults import DEFAULT_PRESET
from rtlm.gen.configuration.load import load_config
from rtlm.gen.configuration.schema import Configuration
from rtlm.host.compiler.fit import as_options, check_config, fit_config, needed_values
from rtlm.host.compiler.plan import Plan, make_plan
from rtlm.host.errors import ModelError
from rtlm.host.models.download import fetch
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.sources import DEFAULT_MODEL, find_source
from rtlm.host.models.stored import ModelShape
from rtlm.host.models.tokenizer import Tokenizer
from rtlm.host.runtime.sampling import SamplingParams
from rtlm.host.session_options import RunOptions
from rtlm.hw.params import AcceleratorParams


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of which model on which accelerator.

    Parameters
    ----------
    options
        What the user has asked for.
    config
        The accelerator.
    path, model
        The model's file, and what is in it.
    sha256
        Hash of the file where it is known because the file was fetched, else None.
    plan
        What a step does, with as many positions as the answers may need.
    tokenizer
        The model's.
    prompts
        Tokens of each prompt; none where a conversation brings them.
    sampling
        How tokens are drawn.
    """

    options: RunOptions
    config: Configuration
    path: Path
    model: LlamaModel
    sha256: str | None
    plan: Plan
    tokenizer: Tokenizer
    prompts: list[list[int]]
    sampling: SamplingParams


def make_request(options: RunOptions, progress: Progress) -> Request:
    """Open what the options name, fetching a model that is named, and check that they can be met together.

    Parameters
    ----------
    options
        What the user has asked for.
    progress
        Told what is fetched, and what is changed in the configuration for the model.

    Raises
    ------
    ConfigError, ModelError
        If an option is not allowed, or model, accelerator and prompts do not fit each other.
    """
    config = load_config(options.config or DEFAULT_PRESET, options.overrides)
    sampling = SamplingParams(
        temperature=options.temperature, top_k=options.top_k, top_p=options.top_p, seed=options.seed
    )
    name = str(options.model or DEFAULT_MODEL)
    source = find_source(name)
    path = fetch(source, progress=progress.stage, licences=options.licences) if source else Path(name)
    model = LlamaModel.open(path)
    tokenizer = Tokenizer(model.file)
    if options.chat:
        prompts = [chat_prompt(tokenizer, [user_message(text)], options.system) for text in options.texts]
    else:
        prompts = [tokenizer.encode(text) for text in options.texts]
    shape = ModelShape.of(model)
    config = _fitted(options, config, shape, progress)
    params = config.to_params()
    _check_columns(options, params)
    context = _context(options, config, model, [len(prompt) for prompt in prompts])
    return Request(
        options=options,
        config=config,
        path=path,
        model=model,
        sha256=source.sha256 if source else None,
        plan=make_plan(params, shape, context=context),
        tokenizer=tokenizer,
        prompts=prompts,
        sampling=sampling,
    )


def _fitted(options: RunOptions, config: Configuration, shape: ModelShape, progress: Progress) -> Configuration:
    """Return a configuration that holds the model: the one that was named, or the default preset with what is missing.

    Values that the user has set stay as they are.
    """
    if options.config is None:
        fitted, changes = fit_config(config, shape, context=1)
        given = {override.partition("=")[0].strip() for override in options.overrides}
        if given.isdisjoint(needed_values(config, shape, context=1)):
            if changes:
                progress.note(f"{config.name} holds this model with {as_options(changes)}, which is added.")
            return fitted
    check_config(config, shape)
    return config


def user_message(text: str) -> dict[str, str]:
    """Return what the user says as a message for the chat template."""
    return {"role": "user", "content": text}


def chat_prompt(tokenizer: Tokenizer, messages: Sequence[dict[str, str]], system: str | None) -> list[int]:
    """Return the tokens of a chat, up to where the model answers.

    Parameters
    ----------
    tokenizer
        The model's, with its chat template.
    messages
        What was said, the oldest first.
    system
        The system message; None leaves it to the template.

    Raises
    ------
    ModelError
        If there is no template, or it cannot render the messages or leaves out the system message.
    """
    if system is None:
        return tokenizer.encode(tokenizer.chat(messages))
    text = tokenizer.chat([{"role": "system", "content": system}, *messages])
    if system.strip() not in text:
        raise ModelError("the model's chat template must use the system message that is given; this one leaves it out")
    return tokenizer.encode(text)


def _check_columns(options: RunOptions, params: AcceleratorParams) -> None:
    """Refuse what needs more columns than there are, before anything is built."""
    count = len(options.texts)
    if count > params.columns:
        raise ModelError(
            f"the prompts must be at most as many as the columns of configuration {params.name}, {params.columns}, got "
            f"{count}; add --set matmul.columns={count}"
        )
    if options.speculate and (params.columns == 1 or count > 1):
        raise ModelError(
            "speculation must have one prompt, and columns besides its own to verify guesses on, got "
            f"{max(count, 1)} prompts and {params.columns} columns; try --set matmul.columns=8"
        )


def _context(options: RunOptions, config: Configuration, model: LlamaModel, prompts: Sequence[int]) -> int:
    """Return the positions that are provided for, in which prompts of so many tokens fit with their answers."""
    if not all(prompts):
        raise ModelError("the prompt must have at least one token, got none")
    limit = min(config.attention.context_limit, model.context)
    context = options.context or limit
    if context > limit:
        raise ModelError(
            f"the context must have at most {config.attention.context_limit} positions, the configuration's limit, and "
            f"at most {model.context}, the model's, got {context}"
        )
    if prompts and max(prompts) + options.max_tokens > context:
        raise ModelError(
            f"prompt and answer must fit the context of {context} positions, got {max(prompts)} prompt tokens and "
            f"{options.max_tokens} new ones"
        )
    return context
