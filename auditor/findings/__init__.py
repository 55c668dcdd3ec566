"""The catalogue (data, not code) and the judge: facts to findings to a verdict."""
