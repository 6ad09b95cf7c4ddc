"""What stages, parts of the account, verdicts and changes are called, on every surface alike.

May know findings and numbers. Must not make sentences.
"""
