"""Turns windows `[batch, seq, 112, 112, 5]` into text: VGG-M over every step, then an LSTM.

May import nothing of `pipeline` or `scripts`.
Offers `lipreader.LipReader`, `train.train`, `evaluate.evaluate`, `export`, and the parts they are made of.
"""
