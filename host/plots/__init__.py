"""What plots of results share: labels that do not overlap."""
