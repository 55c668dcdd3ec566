"""Plans the changes that fix the findings of a scan: the plan, its files, and its proof."""
