"""What several commands share: flags out of dataclasses, experiments, inputs, subtitles.

May import `pipeline` and `model`.
Offers `cli`, `signals`, `commands`, `experiment`, `decoding_flags`, `inputs`, `subtitles`, `overlay`, `sound`.
"""
