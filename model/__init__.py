"""Turns windows `[batch, seq, 112, 112, 5]` into text: VGG-M over every step, then an LSTM.

May import nothing of `pipeline` or `scripts`.
Offers `config.LipReaderConfig`, `lipreader.LipReader`, `train.train`, `evaluate.evaluate`, `export`, and the parts that
they are made of.
"""
