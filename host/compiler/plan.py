"""The plan of a decoding step: what lies in memory, and what the accelerator does with it, in order.

`make_plan` is the only place that knows the order. Layout gives the plan's regions addresses, the program is its
instructions with these addresses, the image is filled region by region, and the bytes that a step needs are summed
instruction by instruction. A plan is made from sizes alone: it needs no weights.
"""

from dataclasses import dataclass
from typing import Any

from rtlm.host.compiler.header import HEADER_BYTES, HEADER_WORDS
from rtlm.host.errors import ModelError
from rtlm.host.families import SWITCHES
from rtlm.host.models.model import LlamaModel
from rtlm.host.models.stored import ModelShape, Storage
from rtlm.hw.control.isa import INSTRUCTION_BYTES, Index, Instruction, Opcode, Operator, f32_bits
from rtlm.hw.formats import BLOCK, BlockFormat
from rtlm.hw.params import AcceleratorParams
from rtlm.hw.vector.epilogue import Epilogue

F32_BYTES = 4

FP16_BYTES = 2

BLOCK_PACKET_SHIFT = 5
"""log2 of 32: one block of results in a packet."""

PAIR_PACKET_SHIFT = 6
"""log2 of 64: gate and up rows that make one block."""

PURPOSES = ("program", "weights", "embedding", "norms", "rope", "kv", "logits")
"""What bytes are counted as."""

ROPE, WINDOW_ROPE, NO_ROPE = "rope", "window_rope", "no_rope"
"""Regions of rotations: of layers that attend to all positions, of layers with a window, of layers without RoPE."""


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """A matrix in tiles.

    Parameters
    ----------
    sources
        The model's matrices of which it is made; the rows of several alternate.
    layer
        Their layer; None for the output projection.
    rows, columns
        Its size in memory; the rows may be more than those of the sources, whose last row is then repeated.
    storage
        How it is stored.
    """

    sources: tuple[str, ...]
    layer: int | None
    rows: int
    columns: int
    storage: Storage


@dataclass(frozen=True, kw_only=True)
class Norm:
    """The weights of a normalisation, float32.

    Parameters
    ----------
    source
        The model's vector.
    layer
        Its layer; None for the last norm.
    """

    source: str
    layer: int | None


@dataclass(frozen=True, kw_only=True)
class HeadVectors:
    """What the heads of a layer are added to or multiplied by, float32.

    Parameters
    ----------
    name
        A method of `LlamaModel` that returns it: ``biases`` or ``head_norms``.
    layer
        Its layer.
    """

    name: str
    layer: int


@dataclass(frozen=True, kw_only=True)
class Region:
    """A run of words: entries of equal length, of which an instruction takes one.

    A table has an entry for each token or position, a matrix or norm is a single one.

    Parameters
    ----------
    name
        Unique name, for example ``layer3.wo``.
    purpose
        What its bytes count as, one of `PURPOSES`.
    entry_words
        Words of an entry.
    entry_bytes
        Bytes of an entry without padding.
    entries
        Number of entries.
    tensor
        Which of the model's tensors lies there; None for the rest.
    """

    name: str
    purpose: str
    entry_words: int
    entry_bytes: int
    entries: int = 1
    tensor: Matrix | Norm | HeadVectors | None = None

    @property
    def words(self) -> int:
        """Words of all entries."""
        return self.entries * self.entry_words


@dataclass(frozen=True, kw_only=True)
class PlannedInstruction:
    """An instruction before regions have addresses.

    Parameters
    ----------
    instruction
        All fields but the addresses of regions.
    reads
        Region to whose first beat `address` is set. `ATTENTION` has none: its slot is known when a step starts.
    writes
        Region to whose first beat `aux` is set.
    """

    instruction: Instruction
    reads: Region | None = None
    writes: Region | None = None

    def is_skipped(self, columns: int, *, logits: bool) -> bool:
        """Say whether a step of so many columns, with or without logits, passes over it."""
        if self.instruction.logits and not logits:
            return True
        return self.instruction.index is not Index.NONE and self.instruction.column >= columns


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A decoding step of one model on one accelerator.

    Parameters
    ----------
    params
        The accelerator.
    shape
        The model.
    context
        Positions that the RoPE table has.
    regions
        In the order in which they lie in memory: header and program, tables, what is streamed in the order in which
        it is consumed, then what starts as zeros (KV slots and results).
    instructions
        In the order in which they are executed.
    """

    params: AcceleratorParams
    shape: ModelShape
    context: int
    regions: tuple[Region, ...]
    instructions: tuple[PlannedInstruction, ...]

    @property
    def words(self) -> int:
        """Words of all regions."""
        return sum(region.words for region in self.regions)


def embedding_row_words(params: AcceleratorParams, dim: int) -> int:
    """Return the words of an embedding row: its fp16 scales, then its int8 values, each from a word's start."""
    return _words(params, FP16_BYTES * (dim // BLOCK)) + _words(params, dim)


def output_rows(params: AcceleratorParams, vocab: int) -> int:
    """Return the rows of the output matrix in memory: the vocabulary, filled up to a multiple of the vector lanes.

    The rows behind the vocabulary repeat that of the last token. Their logits equal its logit, and among equals the
    arg-max takes the lowest index, so none of them wins; the driver leaves them out of what it reads back.
    """
    return -(-vocab // params.vector_lanes) * params.vector_lanes


def check_fit(params: AcceleratorParams, model: LlamaModel | ModelShape) -> None:
    """Refuse a model that is too large for the accelerator.

    Raises
    ------
    ModelError
        Naming the first size that does not fit.
    """
    group = model.heads // model.kv_heads
    for what, value, limit in (
        ("dim", model.dim, params.dim),
        ("hidden_dim", model.hidden_dim, params.hidden_dim),
        ("number of query heads", model.heads, params.heads),
        ("number of KV heads", model.kv_heads, params.kv_heads),
        ("number of query heads for each KV head", group, params.group),
        ("vocabulary", model.vocab, params.vocabulary),
    ):
        if value > limit:
            raise ModelError(f"the model's {what} must be at most {limit} for configuration {params.name}, got {value}")
    if model.head_dim != params.head_dim:
        raise ModelError(
            f"the model's heads must be {params.head_dim} wide for configuration {params.name}, got {model.head_dim}"
        )
    for key, phrase in needed_switches(model, params.context_limit).items():
        if not getattr(params, key.rpartition(".")[2]):
            raise ModelError(f"the model has {phrase}, which configuration {params.name} does only with {key} = true")
    if model.windowed and model.window < params.columns:
        raise ModelError(
            f"the model's window must be at least the {params.columns} columns of configuration {params.name}, "
            f"which attend to each other, got {model.window}"
        )


def needs_windows(model: LlamaModel | ModelShape, positions: int) -> bool:
    """Say whether so many positions are more than a layer's window."""
    return bool(model.windowed) and model.window < positions


def needed_switches(model: LlamaModel | ModelShape, positions: int) -> dict[str, str]:
    """Return which of `SWITCHES` a model needs for so many positions: keys of the configuration, a phrase for each."""
    has = {
        "vector.biases": model.biased,
        "vector.head_norms": model.head_normed,
        "vector.post_norms": model.post_normed,
        "vector.gelu": model.gelu,
        "attention.windows": needs_windows(model, positions),
    }
    return {key: phrase for key, phrase in SWITCHES.items() if has[key]}


def needed_formats(shape: ModelShape) -> list[BlockFormat]:
    """Return the formats of a model's matrices, in their order."""
    return sorted(
        {shape.output_storage.format, *(each.format for layer in shape.layer_storage for each in layer.values())}
    )


def check_formats(params: AcceleratorParams, shape: ModelShape) -> None:
    """Refuse a model with matrices in formats that the accelerator's gates do not read.

    Raises
    ------
    ModelError
        Naming them.
    """
    used = needed_formats(shape)
    if foreign := [each for each in used if each not in params.formats]:
        raise ModelError(
            f"the model has matrices in {', '.join(each.name for each in foreign)}, which the gates of configuration "
            f"{params.name} do not read; matmul.formats = [{', '.join(each.name.lower() for each in used)}] "
            "makes gates for this model"
        )


def make_plan(params: AcceleratorParams, shape: ModelShape, *, context: int) -> Plan:
    """Plan a step.

    Parameters
    ----------
    params
        The accelerator.
    shape
        The model.
    context
        Positions for which RoPE tables are stored, at most the accelerator's limit.

    Raises
    ------
    ModelError
        If the model does not fit the accelerator.
    """
    check_fit(params, shape)
    check_formats(params, shape)
    if not 1 <= context <= params.context_limit:
        raise ModelError(
            f"the context must have 1 to {params.context_limit} positions in configuration {params.name}, got {context}"
        )
    dim, attention = shape.dim, shape.heads * shape.head_dim
    score_factor = f32_bits(shape.scalars.score_factor(shape.head_dim))
    kv_slots = [
        Region(
            name=f"kv{slot}",
            purpose="kv",
            entries=shape.layers,
            entry_words=shape.kv_heads * params.kv.head_words,
            entry_bytes=shape.kv_heads * params.context_limit * params.kv.position_bytes,
        )
        for slot in range(params.columns)
    ]
    logits = Region(
        name="logits",
        purpose="logits",
        entries=params.columns,
        entry_words=_words(params, F32_BYTES * output_rows(params, shape.vocab)),
        entry_bytes=F32_BYTES * shape.vocab,
    )
    step = _Planner(params, shape)

    embedding = step.region(
        name="embedding",
        purpose="embedding",
        entries=shape.vocab,
        entry_words=embedding_row_words(params, dim),
        entry_bytes=FP16_BYTES * (dim // BLOCK) + dim,
    )
    tables = {
        name: step.region(
            name=name,
            purpose="rope",
            entries=entries,
            entry_words=_words(params, F32_BYTES * shape.head_dim),
            entry_bytes=F32_BYTES * shape.head_dim,
        )
        for name, entries, needed in (
            (ROPE, context, True),
            (WINDOW_ROPE, context, shape.windowed),
            (NO_ROPE, 1, shape.rotation_free),
        )
        if needed
    }
    rotations = [tables[_rotation(shape, i)] for i in range(shape.layers)]
    window = shape.window if needs_windows(shape, params.context_limit) else 0
    step.load_norm("attn_norm", 0)
    step.load_head_vectors(0)
    step.load_rotation(rotations[0])
    for column in range(params.columns):
        step.load_entry(
            embedding,
            opcode=Opcode.EMBED,
            epilogue=Epilogue.EMBED,
            operator=Operator.EMBED,
            column=column,
            index=Index.TOKEN,
            rows=dim,
            **step.scaling(shape.rms_eps),
        )
    for i in range(shape.layers):
        if i and rotations[i] is not rotations[i - 1]:
            step.load_rotation(rotations[i])
        layer_beats = i * kv_slots[0].entry_words * params.beats_per_word
        qkv: dict[str, Any] = {
            "bank": 0,
            "operator": Operator.QKV,
            "packet_shift": params.head_packet_shift,
            "aux": layer_beats,
        }
        first = 0
        for name, source, heads, epilogue in (
            ("wq", "attn_q", shape.heads, Epilogue.ROPE_Q),
            ("wk", "attn_k", shape.kv_heads, Epilogue.ROPE_K),
            ("wv", "attn_v", shape.kv_heads, Epilogue.VALUE),
        ):
            inputs = _head_inputs(shape, epilogue, first)
            step.matmul(
                f"layer{i}.{name}", (source,), i, heads * shape.head_dim, dim, epilogue=epilogue, **qkv, **inputs
            )
            first += heads
        following: tuple[str, int | None] = ("ffn_norm", i)
        step.load_first_norm("post_attention_norm", i, following)
        step.add(
            Instruction(
                opcode=Opcode.ATTENTION,
                epilogue=Epilogue.QUANTISE,
                operator=Operator.QK,
                address=layer_beats,
                rows=attention,
                kv_heads=shape.kv_heads,
                group=shape.heads // shape.kv_heads,
                imm0=score_factor,
                imm1=window if i in shape.windowed else 0,
            )
        )
        step.add_output(f"layer{i}.wo", "attn_output", i, attention, following, Operator.WO)
        sources = ("ffn_gate", "ffn_up") if shape.gated else ("ffn_up",)
        step.matmul(
            f"layer{i}.gate_up",
            sources,
            i,
            len(sources) * shape.hidden_dim,
            dim,
            bank=0,
            epilogue=Epilogue.SWIGLU,
            operator=Operator.MLP,
            packet_shift=PAIR_PACKET_SHIFT if shape.gated else BLOCK_PACKET_SHIFT,
            gelu=int(shape.gelu),
        )
        following = ("attn_norm", i + 1) if i + 1 < shape.layers else ("output_norm", None)
        step.load_first_norm("post_ffw_norm", i, following)
        if i + 1 < shape.layers:
            step.load_head_vectors(i + 1)
        step.add_output(f"layer{i}.down", "ffn_down", i, shape.hidden_dim, following, Operator.MLP)
    step.matmul(
        "output",
        ("output",),
        None,
        shape.vocab,
        dim,
        rows_in_memory=output_rows(params, shape.vocab),
        writes=logits,
        bank=0,
        epilogue=Epilogue.LOGITS,
        operator=Operator.LM_HEAD,
        store=1,
        logits=1,
        packet_shift=BLOCK_PACKET_SHIFT,
    )
    step.add(Instruction(opcode=Opcode.END))

    program_bytes = INSTRUCTION_BYTES * len(step.instructions)
    header = Region(name="header", purpose="program", entry_words=HEADER_WORDS, entry_bytes=HEADER_BYTES)
    program = Region(
        name="program", purpose="program", entry_words=_words(params, program_bytes), entry_bytes=program_bytes
    )
    return Plan(
        params=params,
        shape=shape,
        context=context,
        regions=(header, program, *step.regions, *kv_slots, logits),
        instructions=tuple(step.instructions),
    )


def _rotation(shape: ModelShape, layer: int) -> str:
    """Return the name of the region with a layer's rotations."""
    if layer in shape.rotation_free:
        return NO_ROPE
    return WINDOW_ROPE if layer in shape.windowed else ROPE


def _head_inputs(shape: ModelShape, epilogue: Epilogue, first: int) -> dict[str, Any]:
    """Return what an instruction says of its heads' biases, which begin at head `first` of all, and of their norms."""
    fields = {"biases": 1, "imm0": first} if shape.biased else {}
    if shape.head_normed and epilogue is not Epilogue.VALUE:
        fields |= {"head_norms": 1, "imm1": f32_bits(shape.own_eps)}
    return fields


class _Planner:
    """Collects the regions and instructions of a step in the order of the calls.

    Parameters
    ----------
    params, shape
        As in `Plan`.

    Attributes
    ----------
    regions, instructions : list
        What has been collected.
    """

    def __init__(self, params: AcceleratorParams, shape: ModelShape):
        self.params = params
        self.shape = shape
        self.regions: list[Region] = []
        self.instructions: list[PlannedInstruction] = []

    def region(self, **fields: Any) -> Region:
        """Append a region."""
        region = Region(**fields)
        self.regions.append(region)
        return region

    def add(self, instruction: Instruction, reads: Region | None = None, writes: Region | None = None) -> None:
        """Append an instruction."""
        self.instructions.append(PlannedInstruction(instruction=instruction, reads=reads, writes=writes))

    def load_entry(self, table: Region, **fields: Any) -> None:
        """Read the entry of a table that a register selects."""
        beats = 0 if table.name == NO_ROPE else table.entry_words * self.params.beats_per_word
        self.add(Instruction(words=table.entry_words, aux=beats, **fields), reads=table)

    def load_rotation(self, table: Region) -> None:
        """Read each column's sines and cosines: those of its position, or the only ones that a table has."""
        for column in range(self.params.columns):
            self.load_entry(
                table,
                opcode=Opcode.LOAD,
                epilogue=Epilogue.LOAD_ROPE,
                operator=Operator.LOAD,
                column=column,
                index=Index.POSITION,
                rows=self.shape.head_dim,
            )

    def load_norm(self, source: str, layer: int | None) -> None:
        """Read the weights of a norm."""
        name = source if layer is None else f"layer{layer}.{source}"
        self._load_vector(name, Norm(source=source, layer=layer), Epilogue.LOAD_NORM, self.shape.dim)

    def load_first_norm(self, own: str, layer: int, following: tuple[str, int | None]) -> None:
        """Read the weights of the norm that an output meets first: its `own`, or the one behind its sum."""
        self.load_norm(*((own, layer) if self.shape.post_normed else following))

    def add_output(
        self,
        name: str,
        source: str,
        layer: int,
        columns: int,
        following: tuple[str, int | None],
        operator: Operator,
    ) -> None:
        """Multiply with the last matrix of attention or feed-forward network, and add the results to the stream.

        Where they are normalised before, the norm that follows is read behind, as one table holds both.
        """
        shape = self.shape
        fields: dict[str, Any] = {"bank": 1, "packet_shift": BLOCK_PACKET_SHIFT, "operator": operator}
        fields["epilogue"] = Epilogue.POST_NORM if shape.post_normed else Epilogue.RESIDUAL
        fields |= self.scaling(shape.own_eps if shape.post_normed else shape.rms_eps)
        self.matmul(name, (source,), layer, shape.dim, columns, **fields)
        if shape.post_normed:
            self.load_norm(*following)
            sums = Instruction(
                opcode=Opcode.ADD,
                epilogue=Epilogue.ADD,
                operator=Operator.RMS,
                rows=shape.dim,
                **self.scaling(shape.rms_eps),
            )
            self.add(sums)

    def scaling(self, eps: float) -> dict[str, Any]:
        """Return what an instruction says of the norm of a residual vector."""
        return {"imm0": f32_bits(1 / self.shape.dim), "imm1": f32_bits(eps)}

    def load_head_vectors(self, layer: int) -> None:
        """Read the biases of a layer's queries, keys and values, and the norms of its queries and keys, if any."""
        shape = self.shape
        if shape.biased:
            size = (shape.heads + 2 * shape.kv_heads) * shape.head_dim
            tensor = HeadVectors(name="biases", layer=layer)
            self._load_vector(f"layer{layer}.biases", tensor, Epilogue.LOAD_BIAS, size)
        if shape.head_normed:
            tensor = HeadVectors(name="head_norms", layer=layer)
            self._load_vector(f"layer{layer}.head_norms", tensor, Epilogue.LOAD_HEAD_NORM, 2 * shape.head_dim)

    def _load_vector(self, name: str, tensor: Norm | HeadVectors, epilogue: Epilogue, values: int) -> None:
        size = F32_BYTES * values
        region = self.region(
            name=name, purpose="norms", entry_words=_words(self.params, size), entry_bytes=size, tensor=tensor
        )
        instruction = Instruction(
            opcode=Opcode.LOAD, epilogue=epilogue, operator=Operator.LOAD, words=region.words, rows=values
        )
        self.add(instruction, reads=region)

    def matmul(
        self,
        name: str,
        sources: tuple[str, ...],
        layer: int | None,
        rows: int,
        columns: int,
        *,
        rows_in_memory: int | None = None,
        writes: Region | None = None,
        **fields: Any,
    ) -> None:
        """Read a matrix of rows x columns, padded to `rows_in_memory` rows, and multiply with it."""
        stored = [self.shape.storage(source, layer) for source in sources]
        storage = Storage(format=stored[0].format, group_shift=min(each.group_shift for each in stored))
        for source, each in zip(sources, stored, strict=True):
            if each.format != storage.format:
                raise ModelError(
                    f"layer {layer} has {sources[0]} in {storage.format.name} and {source} in {each.format.name}; "
                    "they are stored row by row together and must have one format"
                )
        needed = sum(each.size(rows // len(sources), columns) for each in stored)
        rows, k_blocks = rows_in_memory or rows, columns // BLOCK
        region = self.region(
            name=name,
            purpose="weights",
            entry_words=self.params.tile_shape.words(storage.format, rows, k_blocks, storage.group_shift),
            entry_bytes=needed,
            tensor=Matrix(sources=sources, layer=layer, rows=rows, columns=columns, storage=storage),
        )
        instruction = Instruction(
            opcode=Opcode.MATMUL,
            format=storage.format,
            group_shift=storage.group_shift,
            words=region.words,
            rows=rows,
            k_blocks=k_blocks,
            **fields,
        )
        self.add(instruction, reads=region, writes=writes)


def _words(params: AcceleratorParams, size: int) -> int:
    """Return the words that `size` bytes take."""
    return -(-size // params.word_bytes)
