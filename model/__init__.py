"""Windows `[batch, seq, 112, 112, 5]` in, text out: VGG-M over every step, then an LSTM."""
