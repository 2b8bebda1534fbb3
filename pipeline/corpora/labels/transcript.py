"""Plain text: all that is said in the video, in any number of lines."""

from pipeline.corpora.labels import phrases
from pipeline.corpora.labels.phrases import Labels


def read(text: str, name: str, recording: str) -> Labels:
    """Returns the text of the whole video."""
    del recording  # a file has one text
    return Labels(text=phrases.clean(text, name))
