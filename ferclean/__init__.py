"""ferclean finds, reviews and fixes wrong labels in facial-expression image sets.

Importing the package loads none of torch, duckdb, streamlit, fiftyone or datasets.
"""

__version__ = "0.1.0"
