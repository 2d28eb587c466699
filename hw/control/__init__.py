"""Instruction set, sequencer, registers and counters."""
