"""What all plots share: their style, and labels that do not overlap."""
