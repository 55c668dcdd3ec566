"""What would mend the findings of a scan: a plan of changes, its files, and its proof."""
