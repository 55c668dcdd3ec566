"""The catalogue of findings, the judge, and advice: facts to findings, verdict and remedies."""
