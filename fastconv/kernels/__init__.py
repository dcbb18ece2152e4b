"""The loops. One folder per backend; the same file, function and parameter names in each."""
