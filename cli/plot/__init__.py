"""`--plot`: numbers per window as lines or bars, as text."""
