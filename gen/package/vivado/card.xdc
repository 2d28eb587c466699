# The interrupt goes from the accelerator's clock to that of the XDMA through two registers of card_host.v.
set_false_path -to [get_pins -hierarchical -filter {NAME =~ *host*/irq_first_reg/D}]
