"""The review screen: one face, what speaks for and against its label, and one key to decide.

It only draws; what it shows and records comes from `ferclean.steps`.
"""
