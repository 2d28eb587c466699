"""The folder that `rtlm generate` writes: Verilog, headers, pages, IP-XACT, templates, benches."""
