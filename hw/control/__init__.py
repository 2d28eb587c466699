"""From a program to commands: instruction set, rules of legality, program fetch, sequencer, word router, counters."""
