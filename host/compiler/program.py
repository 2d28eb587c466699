"""The compiler: from a model's shape to the accelerator's program."""

import math
import zlib
from typing import Any

from rtlm.host.compiler.layout import (
    MemoryMap,
    embedding_row_words,
    layer_formats,
    memory_map,
    output_rows,
    stored_format,
)
from rtlm.host.model import LlamaModel
from rtlm.hw.control.isa import Epilogue, Index, Instruction, Opcode, Operator, assemble, f32_bits
from rtlm.hw.formats import BLOCK, BlockFormat
from rtlm.hw.params import AcceleratorParams

BLOCK_PACKET_SHIFT = 5
"""log2 of 32: one block of results in a packet."""

PAIR_PACKET_SHIFT = 6
"""log2 of 64: gate and up rows that make one block."""


def instruction_count(params: AcceleratorParams, model: LlamaModel) -> int:
    """Give the length of a model's program: it is needed before the program's addresses are."""
    return 1 + 2 * params.columns + 9 * model.layers + 2


def program_crc(params: AcceleratorParams, program: list[Instruction]) -> int:
    """Give the CRC-32 of a program's words, by which the accelerator knows that it fetched what was compiled."""
    raw = assemble(program).tobytes()
    return zlib.crc32(raw + bytes(-len(raw) % params.word_bytes))


def compile_model(params: AcceleratorParams, model: LlamaModel, *, context: int) -> tuple[MemoryMap, list[Instruction]]:
    """Lay a model out and write its program, which runs once for each token.

    Parameters
    ----------
    params
        The accelerator.
    model
        The model.
    context
        Positions for which RoPE tables are stored.

    Raises
    ------
    ModelError
        If the model does not fit.
    """
    memory = memory_map(params, model, instructions=instruction_count(params, model), context=context)
    beats = params.beats_per_word
    inverse: dict[str, Any] = {"imm0": f32_bits(1 / model.dim), "imm1": f32_bits(model.rms_eps)}

    def load_norm(name: str) -> Instruction:
        return Instruction(
            opcode=Opcode.LOAD,
            epilogue=Epilogue.LOAD_NORM,
            operator=Operator.LOAD,
            address=memory.address(name),
            words=memory.regions[name].words,
            rows=model.dim,
        )

    def matmul(
        name: str, format: BlockFormat, rows: int, columns: int, *, bank: int, epilogue: Epilogue, **more: Any
    ) -> Instruction:
        return Instruction(
            opcode=Opcode.MATMUL,
            epilogue=epilogue,
            format=format,
            bank=bank,
            address=memory.address(name),
            words=memory.regions[name].words,
            rows=rows,
            k_blocks=columns // BLOCK,
            group_shift=memory.regions[name].group_shift,
            **more,
        )

    head: dict[str, Any] = {"packet_shift": params.head_packet_shift}
    block: dict[str, Any] = {"packet_shift": BLOCK_PACKET_SHIFT}
    program = [load_norm("layer0.attn_norm")]
    for column in range(params.columns):
        program.append(
            Instruction(
                opcode=Opcode.LOAD,
                epilogue=Epilogue.LOAD_ROPE,
                operator=Operator.LOAD,
                column=column,
                index=Index.POSITION,
                address=memory.address("rope"),
                aux=memory.regions["rope"].words // context * beats,
                words=memory.regions["rope"].words // context,
                rows=model.head_dim,
            )
        )
    row_words = embedding_row_words(params, model.dim)
    for column in range(params.columns):
        program.append(
            Instruction(
                opcode=Opcode.EMBED,
                epilogue=Epilogue.EMBED,
                operator=Operator.EMBED,
                column=column,
                index=Index.TOKEN,
                address=memory.address("embedding"),
                aux=row_words * beats,
                words=row_words,
                rows=model.dim,
                **inverse,
            )
        )
    attention, keys = model.heads * model.head_dim, model.kv_heads * model.head_dim
    for i in range(model.layers):
        formats = layer_formats(model, i)
        kv: dict[str, Any] = {
            "aux": i * model.kv_heads * params.kv_head_words * beats,
            **head,
            "operator": Operator.QKV,
            "bank": 0,
        }
        following = f"layer{i + 1}.attn_norm" if i + 1 < model.layers else "output_norm"
        name = f"layer{i}"
        program += [
            matmul(f"{name}.wq", formats["wq"], attention, model.dim, epilogue=Epilogue.ROPE_Q, **kv),
            matmul(f"{name}.wk", formats["wk"], keys, model.dim, epilogue=Epilogue.ROPE_K, **kv),
            matmul(f"{name}.wv", formats["wv"], keys, model.dim, epilogue=Epilogue.VALUE, **kv),
            load_norm(f"{name}.ffn_norm"),
            Instruction(
                opcode=Opcode.ATTENTION,
                epilogue=Epilogue.QUANTISE,
                operator=Operator.QK,
                address=kv["aux"],
                rows=attention,
                kv_heads=model.kv_heads,
                group=model.heads // model.kv_heads,
                imm0=f32_bits(math.log2(math.e) / math.sqrt(model.head_dim)),
            ),
            matmul(
                f"{name}.wo",
                formats["wo"],
                model.dim,
                attention,
                bank=1,
                epilogue=Epilogue.RESIDUAL,
                operator=Operator.WO,
                **block,
                **inverse,
            ),
            matmul(
                f"{name}.gate_up",
                formats["gate"],
                2 * model.hidden_dim,
                model.dim,
                bank=0,
                epilogue=Epilogue.SWIGLU,
                operator=Operator.MLP,
                packet_shift=PAIR_PACKET_SHIFT,
            ),
            load_norm(following),
            matmul(
                f"{name}.down",
                formats["down"],
                model.dim,
                model.hidden_dim,
                bank=1,
                epilogue=Epilogue.RESIDUAL,
                operator=Operator.MLP,
                **block,
                **inverse,
            ),
        ]
    program += [
        matmul(
            "output",
            stored_format(model, "output", None),
            output_rows(params, model.vocab),
            model.dim,
            bank=0,
            epilogue=Epilogue.LOGITS,
            operator=Operator.LM_HEAD,
            store=1,
            logits=1,
            aux=memory.address("logits"),
            **block,
        ),
        Instruction(opcode=Opcode.END),
    ]
    return memory, program
