"""What a town can show: a month of published figures, read and written out; made a paper by whoever asks."""
