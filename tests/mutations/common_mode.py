"""Mutations that gates and golden model share, so that comparing the two cannot show them: constants, signs, order."""

from tests.mutations.table import Mutation

REFERENCES = "pytest tests/hw/kernels/test_references.py"
LLAMA_CPP = "pytest tests/host/golden/test_golden.py -k smollm2"
FAMILIES, PIECES = "pytest tests/host/golden/test_families.py", "pytest tests/host/models/test_sentencepiece.py"
TOKENIZER = "pytest tests/host/models/test_tokenizer.py -k longest"
MODEL, STORED, ROTARY, SCALARS, SENTENCEPIECE = (
    f"host/models/{name}.py" for name in ("model", "stored", "rotary", "scalars", "sentencepiece")
)
CONSTANTS = "pytest tests/host/models/test_scalars.py -k constants"
FAMILY = "host/families/family.py"
SWIGLU, ROPE, NORM, SCALE = (f"hw/kernels/{name}.py" for name in ("swiglu", "rope", "rmsnorm", "scale"))
GATED = "hw/kernels/gated.py"
ATTENTION, QUANTISE, SOFTMAX, ARGMAX = (
    f"hw/kernels/{name}.py" for name in ("attention", "quantise", "softmax", "argmax")
)
RESIDUAL_NORM, MATMUL = "hw/kernels/residual_norm.py", "hw/kernels/matmul.py"

OF_KERNELS = tuple(
    Mutation(name, file, old, new, REFERENCES)
    for name, file, old, new in (
        ("log2(e) 0.06 % off in SwiGLU", SWIGLU, "1.4426950408889634", "1.4435"),
        ("log2(e) two ulp of F32 off in SwiGLU", SWIGLU, "1.4426950408889634", "1.4426953"),
        ("sign of SwiGLU's exponent", SWIGLU, "gate * -LOG2_E", "gate * LOG2_E"),
        ("SwiGLU gates with the wrong half", SWIGLU, "return gate * recip", "return up * recip"),
        ("GELU's cube 0.03 % off", GATED, "0.044715 * LINEAR", "0.0447 * LINEAR"),
        ("GELU for SiLU", GATED, "select(gelu, LINEAR", "select(gelu == 0, LINEAR"),
        ("log2(e) off in exp", "hw/hls/language.py", "x * math.log2(math.e)", "x * 1.4427"),
        ("RoPE turns backwards", ROPE, "x0 * cos - x1 * sin, x0 * sin +", "x0 * cos + x1 * sin, -x0 * sin +"),
        (
            "RoPE swaps the pair",
            ROPE,
            "x0 * cos - x1 * sin, x0 * sin + x1 * cos",
            "x0 * sin + x1 * cos, x0 * cos - x1 * sin",
        ),
        ("RoPE swaps cosine and sine", ROPE, "cos: F32, sin: F32", "sin: F32, cos: F32"),
        ("no epsilon in RMSNorm", NORM, " * inv_n + eps)", " * inv_n + 0 * eps)"),
        ("epsilon outside the root", NORM, "inv_n + eps)", "inv_n) + eps"),
        ("epsilon subtracted", NORM, "inv_n + eps)", "inv_n - eps)"),
        ("unit of squares", NORM, "SQUARE_FRACTION = 24", "SQUARE_FRACTION = 23"),
        ("squares saturate late", NORM, "1 << 62", "3 << 61"),
        ("RMSNorm's weight used twice", NORM, "return NormInput(x * w, ", "return NormInput(x * w * w, "),
        ("unit of the accumulator", SCALE, "ACCUMULATOR_FRACTION = 24", "ACCUMULATOR_FRACTION = 23"),
        ("unit of probabilities", ATTENTION, "FRACTION = 24", "FRACTION = 23"),
        ("scale of value weights", ATTENTION, "WEIGHT_BIAS = 141", "WEIGHT_BIAS = 140"),
        ("sign of the softmax exponent", ATTENTION, "wrap(m - s, ", "wrap(s - m, "),
        ("softmax to the base e instead of 2", ATTENTION, "POWER_FRACTION - n /", "POWER_FRACTION - 1.442695 * n /"),
        ("value's scale left out", ATTENTION, "p * scale + ", "p * 65536 + "),
        ("unit of value weights", ATTENTION, "SCALE_FRACTION + 7)", "SCALE_FRACTION + 6)"),
        ("weights rounded down", ATTENTION, " + (1 << FRACTION + SCALE_FRACTION - 1)", ""),
        ("weight of a position that does not exist", ATTENTION, "select(exists, places, MOST_PLACES)", "places"),
        ("output's scale the wrong way", ATTENTION, "e - WEIGHT_BIAS)", "WEIGHT_BIAS - e)"),
        ("unit of scores", ATTENTION, "2 * 127 + 16 + 7", "2 * 127 + 16 + 8"),
        ("exponent of a key's scale left out", ATTENTION, " - bits(sk, 7, 15)", ""),
        ("significand of a key's scale left out", ATTENTION, "* _significand(bits(sk, 0, 7))", "* 128"),
        ("largest code 126", QUANTISE, "LARGEST = 127", "LARGEST = 126"),
        ("a 128th instead of a 127th", QUANTISE, "(1 / LARGEST), BF16", "(1 / 128), BF16"),
        ("binary16's bias", QUANTISE, "- 25)", "- 24)"),
        ("no implied bit in binary16", QUANTISE, " + ((field != 0) << 10)", ""),
        ("sign of binary16", QUANTISE, "-significand, significand", "significand, -significand"),
        ("maximum not subtracted in softmax", SOFTMAX, "exp(s - stream_max(s))", "exp(s)"),
        ("sum of softmax in another unit", SOFTMAX, "to_float(total, F32, FRACTION)", "to_float(total, F32, 23)"),
        ("smallest logit", ARGMAX, "stream_argmax(logit,", "stream_argmax(-logit,"),
        ("residual subtracted", "hw/kernels/residual.py", "return x + y", "return x - y"),
        ("bias of a weight's scale", MATMUL, "HALF_BIAS, SCALE_BIAS = 25, 134", "HALF_BIAS, SCALE_BIAS = 24, 134"),
        ("no implied bit in a weight's scale", MATMUL, "bits(d, 0, 10), normal]", "bits(d, 0, 10), bits(d, 9, 10)]"),
        (
            "terms rounded down",
            MATMUL,
            '-MAX_RIGHT_SHIFT, MAX_LEFT_SHIFT)\n    return shift(product, left, SInt(ACC_BITS), rounding="half_up")',
            '-MAX_RIGHT_SHIFT, MAX_LEFT_SHIFT)\n    return shift(product, left, SInt(ACC_BITS), rounding="floor")',
        ),
        ("terms shifted by less", MATMUL, "-MAX_RIGHT_SHIFT, MAX_LEFT", "-31, MAX_LEFT"),
        ("a score that does not exist counts", ATTENTION, "select(exists, s, SCORE.low)", "s"),
        ("smallest exponent 0", ATTENTION, "exponent_field(sv), 0)), 1)", "exponent_field(sv), 0)), 0)"),
        ("norm of the old residual", RESIDUAL_NORM, "norm_input(total, w)", "norm_input(x, w)"),
    )
)
"""What the float64 references must notice."""

OF_MODEL = (
    Mutation("log2(e) 0.06 % off, real model", SWIGLU, "1.4426950408889634", "1.4435", LLAMA_CPP),
    Mutation("softmax 4 % too flat", SCALARS, "math.sqrt(head_dim)", "math.sqrt(70)", LLAMA_CPP),
    Mutation("angles of RoPE negative", ROTARY, "np.sin(angle)", "np.sin(-angle)", LLAMA_CPP),
    Mutation(
        "frequencies of RoPE a pair off",
        ROTARY,
        "base ** (-np.arange(0, head_dim, 2) / head_dim)",
        "base ** (-np.arange(2, head_dim + 2, 2) / head_dim)",
        LLAMA_CPP,
    ),
)
"""What only a reference of another make, llama.cpp's logits of SmolLM2, must notice."""

OF_FAMILIES = tuple(
    Mutation(name, file, old, new, check)
    for name, file, old, new, check in (
        (
            "epsilon in the unit of the file",
            MODEL,
            "self.rms_eps / self.scalars.residual**2",
            "self.rms_eps",
            CONSTANTS,
        ),
        (
            "embedding without the unit",
            STORED,
            "scalars.embedding / model.scalars.residual",
            "scalars.embedding",
            FAMILIES,
        ),
        ("factor of the scores ignored", SCALARS, "if self.attention is None", "if True", FAMILIES),
        ("halves of a head swapped", MODEL, "heads.transpose(0, 2, 1)", "heads[:, ::-1].transpose(0, 2, 1)", FAMILIES),
        ("rows of halves as they are", MODEL, "heads.transpose(0, 2, 1)", "heads", FAMILIES),
        (
            "another layer without RoPE",
            FAMILY,
            "range(step - 1, layers, step)",
            "range(step - 2, layers, step)",
            FAMILIES,
        ),
        ("RoPE multiplied by its divisors", ROTARY, "frequency / _factors", "frequency * _factors", FAMILIES),
        ("YaRN from the wrong end", ROTARY, "return 1 - np.clip", "return np.clip", FAMILIES),
        ("YaRN without its magnitude", ROTARY, "1 + 0.1 * math.log", "1 + 0.0 * math.log", FAMILIES),
        ("lowest score first", SENTENCEPIECE, "(-scores[token]", "(scores[token]", PIECES),
        ("no space before a text", SENTENCEPIECE, "(self._prefix if first", "(self._prefix if not first", PIECES),
        ("text passes for control tokens", SENTENCEPIECE, "of_kind(TokenType.CONTROL)", "of_kind()", PIECES),
        ("shortest special token first", "host/models/special_tokens.py", "reverse=True", "reverse=False", TOKENIZER),
    )
)
"""What references of another make must notice of families and tokenizers: float32 without folding, plain loops."""

COMMON_MODE = OF_KERNELS + OF_MODEL + OF_FAMILIES
