"""The page: one module a tab, each with a function that builds it."""
