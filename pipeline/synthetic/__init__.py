"""Renders a corpus of talking faces in GRID's layout, for machines without data.

May import `pipeline.corpora` and above.
Offers `corpus.render`, `corpus.render_clip`, `corpus.SyntheticConfig`.
"""
