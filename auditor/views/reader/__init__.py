"""Results read back: files, folders of parts, object stores, standard input."""
