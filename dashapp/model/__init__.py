"""The arithmetic of sentiment candles: pure, no I/O, no clock, no framework."""
