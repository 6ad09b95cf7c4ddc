"""The words, numbers and figures of the findings: no other room writes a sentence for a reader.

It takes findings and gives plain text or values. It must not know a surface, a file or a framework.
"""
