"""Renders a corpus of talking faces for machines without data.

May import `pipeline.corpora` and above.
Offers `corpus.render`, `corpus.SyntheticConfig`.
"""
