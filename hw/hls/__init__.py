"""High-level synthesis: the mathematics is written once, as a Python function over typed values.

::

    from rtlm.hw.hls import BF16, F32, Directives, Ram, SInt, UInt, Vec, exp2, index, kernel, recip, stream_sum

    @kernel
    def swiglu(gate: F32, up: F32) -> F32:
        return gate * recip(1 + exp2(gate * -1.4426950408889634)) * up

    @kernel
    def gemv(w: SInt(8), x: Ram[SInt(8), 1024]) -> SInt(32):
        return stream_sum(w * x[index(UInt(10))], SInt(32))

    y = swiglu.model(gate, up)               # NumPy, bit for bit what the gates compute
    fast = Directives(lanes=4, clock_mhz=300, technology="xilinx-us+")
    unit = swiglu.component(fast)            # Amaranth wiring.Component
    swiglu.schedule(fast)                    # latency, initiation_interval, operators, register_bits, why

**Types.** ``Float(exponent, mantissa)`` (exponent <= 8, mantissa <= 23; ``F32``, ``BF16``, ``F16``), ``SInt(n)``,
``UInt(n)`` (n <= 64), ``BOOL`` (``UInt(1)``), ``Fixed(integer, fraction, signed=True, rounding="nearest",
overflow="saturate")``, ``Vec[T, n]`` of these or of vectors. Floats round to nearest even, flush subnormals (inputs and
results) to signed zero, keep infinities and have one NaN. An argument annotated ``Shared[F32]`` has one value a beat
for all lanes. ``Ram[T, depth]`` is a memory that a stream of its own fills; ``memory[i]`` reads it. A result is one
type, ``tuple[A, B]``, or a ``NamedTuple``.

**Expressions.** ``+ - * /`` (``a / b`` is ``a * recip(b)``), unary ``-``, ``abs``, comparisons, ``select(c, a, b)``,
``maximum``, ``minimum``, ``fma(a, b, c)``, ``convert(x, float)``, ``to_int(x, width_or_type, frac=0)`` (nearest even,
saturating, NaN is 0), ``to_float(i, float=F32, frac=0)``, ``ldexp(x, i)``, ``exponent_field(x)``, ``clamp(x, low,
high)``, ``wrap(i, type)``, ``bits(i, start, stop)``, ``table(index, values, type)``, ``exp2``, ``exp``, ``recip``,
``recip_exact``, ``rsqrt``, ``sqrt``; integers widen as needed (``+ - * << >>``; shifts by a number or by an unsigned
value of up to 6 bits), ``shift(i, k, type, rounding="floor")`` is ``i * 2**k`` for a signed ``k``, ``//`` and ``%``
divide integers by a positive number. Sums and products of fixed-point numbers are exact; ``fixed(x, type)`` rounds to
a type. ``a if c else b``, ``and``, ``or``, ``not`` and ``0 < x < 1`` in a kernel's own body are multiplexers and logic.
Python numbers take the type of the other operand, which has to have them in its range. Kernels call kernels.

**Vectors.** All of these work element by element, a single value meets each. ``v[2]``, ``v[1:3]``, ``v[i]`` (a
multiplexer), ``v.sum()``, ``v.fold(function)`` (balanced trees), ``v.map(function)``, ``v.concat(w)``, ``v.reverse()``,
``dot(v, w)``, ``pack(v)`` and ``unpack(word, type)`` for words, ``Vector([a, b])``.

**Packets**, delimited by ``last``. Once a packet: ``stream_sum(i, type, saturate=False)``, ``stream_max(x)``,
``stream_argmax(x, index)``, ``stream_last(x)``, ``fold(step, initial, *xs, key=None, keys=0, associative=False)``
(``keys`` states, of which ``key`` chooses one). For each element: ``scan(step, initial, *xs, associative=False)``,
``previous(x, n=1, initial=0)``, ``window(x, n)``, ``index(type)``. ``step(state, *xs)`` returns the state behind an
element; ``constant(number, type)``, ``zeros(type)`` and ``filled(type, number)`` begin one. What a kernel cannot be is
a ``KernelError`` with its file and line.

**Loops.** ``for i in loop(n)`` and ``for i, j in loop(m, n)`` count to numbers of Python or to unsigned values of the
arguments; loops stand in each other, and the iterations of the innermost one are a packet. A kernel with loops takes a
command, with all of its arguments, and reads memories at what its loops count. Results have ``last`` at the end of a
command, and ``active`` where lanes may have no iteration.

**Directives.** ``Directives(lanes=1, clock_mhz=300, technology="generic", ii=None, chain=None, bind={},
partition={})``: ``chain`` is the share of a cycle up to which operators follow each other (0.75), ``bind`` what
memories and products are made of, ``partition`` how a memory's words lie: see there. They change area and rate, never a
bit.

**Model.** ``kern.model(*arrays, last=None)``: floats are float32 arrays (every format fits), integers int64
(``UInt(64)``: uint64). A kernel that works on packets takes ``(..., packet_length)``; when every result depends on
reductions only, that axis disappears. The axes of a vector are the last ones; a memory's array is ``(words, ...)``.
A kernel with loops takes one number an argument, and its results have an axis for each bound, without those of the
innermost loop where they come once a packet.
``to_bits(values, type)`` / ``from_bits(bits, type)`` translate to and from the wires.

**Component.** ``kern.component(directives, max_length=None, tag=None, framing=False, busy=False, keys=1)`` has streams
``i`` and ``o``, and one for each memory. The payload is a ``StructLayout``: one field for each argument / result (a
vector ``v`` has ``v_0``, ``v_1``, ...), an ``ArrayLayout(bits, lanes)`` of plain bits (always an array, also for one
lane), except that a ``Shared`` argument and a result that is the same in all lanes (it comes from reductions or
``Shared`` arguments only) is a plain field; then ``last`` (kernels that work on packets, or ``framing=True``), then
``tag`` (any Amaranth shape, passed along beside the data) when given, then ``key`` where ``keys`` is above 1, then
``release`` if there are memories: the beat is the last to read what they hold. With ``keys=n`` packets interleave: each
beat has a ``key``, ``last`` ends the packet of that key only, and sums and states exist for each. Kernels that use
elements again after a reduction, know no packets or have loops cannot have it. A single result is called ``result``,
those of a plain tuple ``result0``, ``result1`` ... . ``max_length`` is the longest packet in beats; of a longer one
nothing comes out (output ``too_long``). With ``busy=True`` the output ``busy`` says that something inside is on its
way: a clock may stop while it and ``i.valid`` are low. Element ``k`` of a packet is beat ``k // lanes``, lane
``k % lanes``. Results that depend on reductions only come once a packet if all do, else in each beat. ``.latency`` is
in cycles (for kernels that reduce: from the last beat in to the first beat out). The component of a kernel with loops
is :class:`.nests.component.NestComponent`.

**Regions.** ``@region`` on a function over ``Stream[T]`` (``Stream[A, B]`` has two parts): kernels, regions and the
operators of rates called on streams: ``pair(*xs)``, ``widen(x, n)``, ``narrow(x)``, ``repeat(x, n, packets=False)``,
``repeat(x, y)``, ``split(x, n, packets=False)``, ``join(*xs, packets=False)``; ``load(x, packets)`` fills a kernel's
memory. A stream that is used twice forks, streams that a kernel takes are paired. Rates that do not match are a
``KernelError``. ``reg.model(*arrays)``; ``reg.schedule(directives, max_length=None)`` with the FIFOs and why they are
as deep; ``reg.component(directives, max_length=None)``.
"""

from rtlm.hw.hls.directives import Directives
from rtlm.hw.hls.errors import KernelError
from rtlm.hw.hls.graph import Value, constant
from rtlm.hw.hls.kernel import Kernel, kernel
from rtlm.hw.hls.language import (
    bits,
    clamp,
    convert,
    exp,
    exp2,
    exponent_field,
    fixed,
    fma,
    ldexp,
    maximum,
    minimum,
    recip,
    recip_exact,
    rsqrt,
    select,
    shift,
    sqrt,
    stream_argmax,
    stream_last,
    stream_max,
    stream_sum,
    table,
    to_float,
    to_int,
    wrap,
)
from rtlm.hw.hls.loops import loop
from rtlm.hw.hls.regions.region import Region, region
from rtlm.hw.hls.regions.streams import Stream, join, load, narrow, pair, repeat, split, widen
from rtlm.hw.hls.sequence import filled, fold, index, previous, scan, window, zeros
from rtlm.hw.hls.types import BF16, BOOL, F16, F32, Fixed, Float, Ram, Shared, SInt, UInt, Vec, from_bits, to_bits
from rtlm.hw.hls.vectors import Vector, dot, pack, unpack

__all__ = [
    "BF16",
    "BOOL",
    "F16",
    "F32",
    "Directives",
    "Fixed",
    "Float",
    "Kernel",
    "KernelError",
    "Ram",
    "Region",
    "SInt",
    "Shared",
    "Stream",
    "UInt",
    "Value",
    "Vec",
    "Vector",
    "bits",
    "clamp",
    "constant",
    "convert",
    "dot",
    "exp",
    "exp2",
    "exponent_field",
    "filled",
    "fixed",
    "fma",
    "fold",
    "from_bits",
    "index",
    "join",
    "kernel",
    "ldexp",
    "load",
    "loop",
    "maximum",
    "minimum",
    "narrow",
    "pack",
    "pair",
    "previous",
    "recip",
    "recip_exact",
    "region",
    "repeat",
    "rsqrt",
    "scan",
    "select",
    "shift",
    "split",
    "sqrt",
    "stream_argmax",
    "stream_last",
    "stream_max",
    "stream_sum",
    "table",
    "to_bits",
    "to_float",
    "to_int",
    "unpack",
    "widen",
    "window",
    "wrap",
    "zeros",
]
