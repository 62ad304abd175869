"""The recognizers: one module each, under the contract of `base.Method`, listed in `catalogue.METHODS`.

Importing this package loads no network library: names, papers and years can be shown at once.
"""

from ferclean.recognition.methods.catalogue import METHODS, MethodInfo, catalogue, check_methods, get_method

__all__ = ["METHODS", "MethodInfo", "catalogue", "check_methods", "get_method"]
