"""More cores, more machines: a run cut into shards, and pools of workers that audit them."""
