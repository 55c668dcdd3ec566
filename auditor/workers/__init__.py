"""More cores, more machines: a run cut into shards, and who does them."""
