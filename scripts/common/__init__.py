"""What several commands share: flags out of dataclasses, settings, experiments, inputs, subtitles.

May import `pipeline` and `model`.
Offers `cli`, `bars`, `signals`, `commands`, `run_settings`, `experiment`, `decoders`, `inputs`, `subtitles`, `overlay`
and `sound`.
"""
