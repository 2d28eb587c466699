"""What plots share: labels that do not overlap; and diagrams of boxes and arrows, an accelerator's among them."""
